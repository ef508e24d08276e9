"""Polynomials in several variables with ball coefficients, enclosing functions on [-1, 1]^n.

The same as `theory.polynomials`, for several variables: the coefficient of monomial number j is a
ball, monomials are numbered by total degree, and a list that ends early has zeros after it. What
is cut off, and the remainder of Taylor's theorem, join the radius of the constant coefficient.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache

from flint import arb, arb_poly, arb_series

from theory.intervals import Pair
from theory.polynomials import NAN, UNIT, ZERO, Polynomials


@cache
def exponents(variables: int, order: int) -> tuple[tuple[int, ...], ...]:
    """All (a_1, ..., a_n) with a sum of at most `order`, by their sum."""
    degrees = (
        itertools.combinations_with_replacement(range(variables), d) for d in range(order + 1)
    )
    return tuple(
        tuple(places.count(i) for i in range(variables)) for many in degrees for places in many
    )


@cache
def _sums(variables: int, order: int) -> tuple[tuple[int, ...], ...]:
    """For monomial i the numbers of its products with monomials 0, 1, ... while they are kept."""
    found = exponents(variables, order)
    number = {a: i for i, a in enumerate(found)}
    rows = []
    for a in found:
        kept = found[: math.comb(variables + order - sum(a), variables)]
        rows.append(tuple(number[tuple(map(sum, zip(a, b, strict=True)))] for b in kept))
    return tuple(rows)


class Poly:
    """One polynomial: its coefficients, and how many variables and degrees they are of."""

    def __init__(self, coefficients: list[arb], variables: int, order: int):
        self.c, self.variables, self.order = coefficients or [ZERO], variables, order

    def coeffs(self) -> list[arb]:
        """The coefficients, by number."""
        return self.c

    def __getitem__(self, i: int) -> arb:
        return self.c[i] if i < len(self.c) else ZERO

    def length(self) -> int:
        """How many coefficients are written down."""
        return len(self.c)

    def like(self, coefficients: list[arb]) -> Poly:
        """Another polynomial of the same kind."""
        return Poly(coefficients, self.variables, self.order)

    def __add__(self, other: Poly | arb | float) -> Poly:
        if not isinstance(other, Poly):
            return self.like([self.c[0] + other, *self.c[1:]])
        pairs = itertools.zip_longest(self.c, other.c, fillvalue=ZERO)
        return self.like([a + b for a, b in pairs])

    def __neg__(self) -> Poly:
        return self.like([-a for a in self.c])

    def __sub__(self, other: Poly) -> Poly:
        return self + -other

    def __mul__(self, factor: arb | float) -> Poly:
        return self.like([a * factor for a in self.c])

    def degrees(self) -> list[arb]:
        """Sums of |c_j| over the monomials of each degree."""
        out, first = [], 0
        for degree in range(self.order + 1):
            end = math.comb(self.variables + degree, degree)
            out.append(sum((abs(c) for c in self.c[first:end]), ZERO))
            first = end
        return out

    def slopes(self) -> list[Pair]:
        """Bounds of each dp/dt_i on [-1, 1]^n: its constant term and the sum of the others."""
        out = []
        found = exponents(self.variables, self.order)
        for i in range(self.variables):
            rest = sum(
                (abs(c) * a[i] for c, a in zip(self.c, found, strict=False) if a[i] and sum(a) > 1),
                ZERO,
            )
            out.append((self[1 + i] - rest, self[1 + i] + rest))
        return out

    def ends(self) -> Pair:
        """Exact ends of an interval with all values on [-1, 1]^n; nan if unknown.

        Where p is monotone in t_i for every choice of coefficients in the balls its extremes lie at
        ends of t_i. The parts c t_i + b t_i**2 that are left are ranged exactly; other monomials
        lie between -|c| and |c|, even ones between 0 and c.
        """
        return -self._top(-1), self._top(1)

    def _top(self, sign: int) -> arb:
        p = self if sign > 0 else -self
        found = exponents(self.variables, self.order)
        for _ in range(2):
            slopes = p.slopes() if len(p.c) > 1 else []
            sides = {
                i: 1 if lo >= 0 else -1 for i, (lo, hi) in enumerate(slopes) if lo >= 0 or hi <= 0
            }
            if not sides:
                break
            out: dict[tuple[int, ...], arb] = {}
            for c, a in zip(p.c, found, strict=False):
                left = tuple(0 if i in sides else e for i, e in enumerate(a))
                flip = math.prod(side ** a[i] for i, side in sides.items())
                out[left] = out.get(left, ZERO) + c * flip
            p = self.like([out.get(a, ZERO) for a in found[: len(p.c)]])
        top, own = p.c[0], {}
        for c, a in list(zip(p.c, found, strict=False))[1:]:
            if max(a) == sum(a) <= 2:
                own.setdefault(a.index(max(a)), []).append(c)
            else:
                top += c.max(ZERO) if all(e % 2 == 0 for e in a) else abs(c)
        top += sum((_parabola(*pair) for pair in own.values()), ZERO)
        return top.upper() if top.is_finite() else NAN


def _parabola(c: arb, b: arb = ZERO) -> arb:
    """At least c t + b t**2 for |t| <= 1 and any numbers of the balls.

    The greatest value grows with |c| and with b. It is at t = |c| / (-2 b), if that is in (0, 1),
    and else at an end.
    """
    c, b = abs(c).upper(), b.upper()
    return c * c / (-4 * b) if b < 0 and c < -2 * b else c + b


class Several(Polynomials):
    """An algebra for `theory.functions.evaluate`: polynomials in n variables."""

    def __init__(self, order: int, variables: int):
        super().__init__(order)
        self.variables = variables

    def poly(self, coefficients: list[arb]) -> Poly:
        """A polynomial by its first coefficients."""
        return Poly(coefficients, self.variables, self.order)

    def mul(self, a: Poly, b: Poly) -> Poly:
        """The product; pairs of degrees beyond the order join the constant."""
        if len(a.c) == 1 or len(b.c) == 1:
            one, many = (a, b) if len(a.c) == 1 else (b, a)
            return many * one.c[0]
        sums = _sums(self.variables, self.order)
        out = [ZERO] * len(sums)
        for x, row in zip(a.c, sums, strict=False):
            for y, k in zip(b.c, row, strict=False):
                out[k] += x * y
        left, right = a.degrees(), b.degrees()
        lost = sum(
            (left[i] * sum(right[self.order + 1 - i :], ZERO) for i in range(1, self.order + 1)),
            ZERO,
        )
        out[0] += UNIT * lost
        return self.poly(out)

    def matmul(self, x: list[Poly], y: list[Poly], rows: int, inner: int, cols: int) -> list[Poly]:
        """x[..., i, k] y[..., k, j], summed over k; the leading axes agree."""
        out = []
        for batch in range(len(x) // (rows * inner)):
            right = y[batch * inner * cols : (batch + 1) * inner * cols]
            for i in range(batch * rows, (batch + 1) * rows):
                row = x[i * inner : (i + 1) * inner]
                for j in range(cols):
                    products = (self.mul(a, b) for a, b in zip(row, right[j::cols], strict=True))
                    out.append(sum(products, self.poly([ZERO])))
        return out

    def smooth(self, f: Callable[[arb_series], arb_series], p: Poly) -> Poly:
        """f(p) by Taylor's theorem around the constant coefficient.

        For any choice of coefficients in the balls let c be the constant one and h the rest. Then
        f(c + h) = sum_(k<=K) f_k(c) h**k + f_(K+1)(xi) h**(K+1), with f_k = f^(k) / k! and xi
        between c and c + h. Arb's series of balls enclose f_k on the ball of c, and f_(K+1) on the
        range of p. A constant p has h = 0.
        """
        order = self.order if len(p.c) > 1 else 0
        try:
            taylor = f(arb_series([p.c[0], 1], prec=order + 1))
            if taylor.prec <= order:
                return self.poly([NAN])
            out = self.poly([taylor[order]])
            h = self.poly([ZERO, *p.c[1:]])
            for k in range(order - 1, -1, -1):
                out = self.mul(out, h) + taylor[k]
            if order:
                reach = sum(h.degrees(), ZERO)
                whole = arb_series([p.c[0] + UNIT * reach, 1], prec=order + 2)
                rest = f(whole)
                last = rest[order + 1] if rest.prec > order + 1 else NAN
                out = out + UNIT * (abs(last) * reach ** (order + 1))
        except (ValueError, ZeroDivisionError):  # Arb's way to say "not defined there"
            return self.poly([NAN])
        return out


def widest(p: Poly | arb_poly, box: list[Pair], whole: tuple[tuple[float, float], ...]) -> int:
    """The number of the variable to cut a part `box` of a whole in: the one that p depends on most;
    or, if p is mostly remainder, or unknown, and does not say, the one that was cut least."""
    if not isinstance(p, Poly):
        return 0
    if not p.c[0].rad() < sum((abs(c) for c in p.c[1:]), ZERO):
        sides = zip(box, whole, strict=True)
        parts = [float((hi - lo) / (arb(b) - arb(a))) for (lo, hi), (a, b) in sides]
        return max(range(len(box)), key=parts.__getitem__)
    found = exponents(p.variables, p.order)
    scores = [
        sum((abs(c).mid() * a[i] for c, a in zip(p.c, found, strict=False)), ZERO)
        for i in range(p.variables)
    ]
    return max(range(p.variables), key=lambda i: float(scores[i].mid()))
