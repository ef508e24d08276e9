"""Polynomials with ball coefficients: one Taylor model in one object.

A polynomial P with the balls B_k encloses a function f on [-1, 1] if for every t of [-1, 1] there
are numbers b_k in B_k with f(t) = sum_k b_k t^k. Sums and products of enclosures then enclose
sums and products. The remainder of a Taylor model is the radius of its constant coefficient.

All of it is Arb at the caller's precision (`flint.ctx.prec`), rounded outward; what is not
defined is nan, and nan is never inside a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
from flint import arb, arb_mat, arb_poly, arb_series, ctx

from theory.functions import evaluate
from theory.intervals import BOUNDS, Pair, hull, number

UNIT = arb(0, 1)  # [-1, 1]
NAN = arb("nan")
ZERO = arb(0)


class Polynomials:
    """An algebra for `theory.functions.evaluate`: polynomials up to the degree `order`.

    kinks collects places in (-1, 1) where two sides of a maximum seem to be equal: cut there.
    """

    def __init__(self, order: int):
        self.order = order
        self.kinks: list[arb] = []
        ctx.cap = order + 2  # the longest series that Arb computes

    def poly(self, coefficients: list[arb]) -> arb_poly:
        """A polynomial by its coefficients."""
        return arb_poly(coefficients)

    def function(self, expression: sp.Expr, *p: arb_poly) -> arb_poly:
        """expression(p), in parts or, where that is tighter, as a constant by its range."""
        parts = evaluate(expression, self, *p)
        return self.tighter(parts, lambda: evaluate(expression, BOUNDS, *map(ends, p)))

    def constant(self, value: sp.Expr) -> arb_poly:
        return self.poly([number(value)])

    def add(self, a: arb_poly, b: arb_poly) -> arb_poly:
        return a + b

    def mul(self, a: arb_poly, b: arb_poly) -> arb_poly:
        """Arb's product with the zero polynomial is 0, but 0 times nothing known is not known."""
        if (a.length() and b.length()) or (finite(a) and finite(b)):
            return self.cut(a * b)
        return arb_poly([NAN])

    def power(self, a: arb_poly, exponent: sp.Rational) -> arb_poly:
        p, q = int(exponent.p), int(exponent.q)
        if q == 1 and p >= 0:
            out = self.poly([arb(1) if finite(a) else NAN])
            for _ in range(p):
                out = self.mul(out, a)
        elif p == -1 and q == 1:
            out = self.smooth(lambda u: 1 / u, a)
        elif q == 1:
            out = self.power(self.power(a, sp.Integer(-1)), sp.Integer(-p))
        elif q == 2 and abs(p) == 1:
            out = self.smooth(arb_series.sqrt if p == 1 else arb_series.rsqrt, a)
        else:
            out = self.smooth(lambda u: (u.log() * (arb(p) / q)).exp(), a)
        return self.tighter(out, lambda: BOUNDS.power(ends(a), exponent))

    def call(self, name: str, a: arb_poly) -> arb_poly:
        if name == "abs":
            return self.maximum(a, -a)
        out = self.smooth(SERIES[name], a) if name in SERIES else self.poly([NAN])
        return self.tighter(out, lambda: BOUNDS.call(name, ends(a)))

    def times_matrix(self, x: list[arb_poly], matrix: arb_mat) -> list[arb_poly]:
        """Rows of x times the matrix, all coefficients of all rows as one product."""
        width, length = matrix.nrows(), max(1, max(p.length() for p in x))
        rows = [(c := p.coeffs()) + [0] * (length - len(c)) for p in x]
        flat = [row[k] for k in range(length) for row in rows]
        entries = (arb_mat(len(flat) // width, width, flat) * matrix).entries()
        size = len(entries) // length
        return [self.poly(entries[i::size]) for i in range(size)]

    def matmul(
        self, x: list[arb_poly], y: list[arb_poly], rows: int, inner: int, cols: int
    ) -> list[arb_poly]:
        """x[..., i, k] y[..., k, j], summed over k; the leading axes agree."""
        out = []
        for batch in range(len(x) // (rows * inner)):
            right = y[batch * inner * cols : (batch + 1) * inner * cols]
            for i in range(batch * rows, (batch + 1) * rows):
                row = x[i * inner : (i + 1) * inner]
                for j in range(cols):
                    products = (a * b for a, b in zip(row, right[j::cols], strict=True))
                    out.append(self.cut(sum(products, arb_poly([]))))
        return out

    def maximum(self, a: arb_poly, b: arb_poly) -> arb_poly:
        """b + max(d, 0) with d = a - b in [lo, hi]. If lo < 0 < hi, the chord s d - s lo with
        s = hi / (hi - lo) is above max(d, 0), and by at most -s lo, its excess at d = 0."""
        lo, hi = ends(a - b)
        if lo >= 0:
            return a
        if hi <= 0:
            return b
        self.kinks += _crossing(a - b) if isinstance(a, arb_poly) else []
        slope = hi / (hi - lo)
        middle = slope * lo / -2
        return b + (a - b) * slope + self.poly([middle + UNIT * middle])

    def cut(self, p: arb_poly) -> arb_poly:
        """Terms beyond the order, at most the sum of their magnitudes, join the constant."""
        if p.length() <= self.order + 1:
            return p
        c = p.coeffs()
        c[0] += UNIT * _magnitude(c[self.order + 1 :])
        return arb_poly(c[: self.order + 1])

    def tighter(self, p: arb_poly, values: Callable[[], Pair]) -> arb_poly:
        """p, or the range of the same function if p is mostly remainder and that is narrower."""
        c = p.coeffs() or [ZERO]
        known = finite(p)
        if known and c[0].rad() <= _magnitude(c[1:]):
            return p
        flat = hull(*values())
        return self.poly([flat]) if not known or flat.rad() < c[0].rad() else p

    def smooth(self, f: Callable[[arb_series], arb_series], p: arb_poly) -> arb_poly:
        """f(p) by Taylor's theorem in t, for f smooth on the range of p.

        For any choice b of coefficients, g(s) = f(b(s)) has g(t) = sum_(k<=K) g_k(0) t^k +
        g_(K+1)(xi) t^(K+1), where g_k(xi) is the coefficient of s^k in f(b(xi + s)) and xi lies
        between 0 and t. Arb's series of balls enclose the coefficients for all b, and, with the
        ball [-1, 1] for xi, for all xi. A constant p has g_(K+1) = 0.
        """
        order = self.order if p.length() > 1 else 0
        try:
            out = f(arb_series(p.coeffs(), prec=order + 1))
            coefficients = [out[k] for k in range(order + 1)] if out.prec > order else [NAN]
            if p.length() > 1:
                shifted = p(arb_poly([UNIT, 1])).coeffs()
                rest = f(arb_series(shifted, prec=order + 2))
                coefficients[0] += UNIT * (rest[order + 1] if rest.prec > order + 1 else NAN)
        except (ValueError, ZeroDivisionError):  # Arb's way to say "not defined there"
            coefficients = [NAN]
        return arb_poly(coefficients)


class Slopes(Polynomials):
    """The same for slopes of functions with kinks, where a sign at 0 is any number of [-1, 1]: what
    the sign of exactly 0 is says nothing of the slopes on both sides.

    jumps counts the signs that could be either; the first of them are taken from sides, -1 or 1.
    """

    def __init__(self, order: int, sides: tuple[int, ...] = ()):
        super().__init__(order)
        self.sides, self.jumps = sides, 0

    def function(self, expression: sp.Expr, p: arb_poly) -> arb_poly:
        """In parts only where a sign is among them: the range of those knows what sign(0) is."""
        if not expression.has(sp.sign):
            return super().function(expression, p)
        return evaluate(expression, self, p)

    def call(self, name: str, a: arb_poly) -> arb_poly:
        if name != "sign" or not finite(a):
            return super().call(name, a)
        lo, hi = ends(a)
        if lo > 0 or hi < 0:
            return arb_poly([1 if lo > 0 else -1])
        self.jumps += 1
        return arb_poly([self.sides[self.jumps - 1] if self.jumps <= len(self.sides) else UNIT])


def _tanh(u: arb_series) -> arb_series:
    """1 - 2 / (exp(2 u) + 1)."""
    return 1 - 2 / ((u + u).exp() + 1)


SERIES: dict[str, Callable[[arb_series], arb_series]] = {
    "exp": arb_series.exp,
    "log": arb_series.log,
    "sin": arb_series.sin,
    "cos": arb_series.cos,
    "erf": arb_series.erf,
    "tanh": _tanh,
}


def finite(p: arb_poly) -> bool:
    """Whether every coefficient is known."""
    return all(c.is_finite() for c in p.coeffs())


def _crossing(d: arb_poly) -> list[arb]:
    """Where d changes its sign between -1 and 1, roughly; nothing is proved of it."""
    d = arb_poly([c.mid() for c in d.coeffs()])
    lo, hi, first = arb(-1), arb(1), d(arb(-1)).mid()
    if not first * d(arb(1)).mid() < 0:
        return []
    for _ in range(ctx.prec):
        middle = ((lo + hi) / 2).mid()
        lo, hi = (middle, hi) if d(middle).mid() * first > 0 else (lo, middle)
    return [hi] if -1 < hi < 1 else []


def ends(p: arb_poly) -> Pair:
    """Exact lower and upper ends of an interval with all values on [-1, 1]; nan if unknown.

    Where |p'| >= |c_1| - sum_(k>1) k |c_k| > 0, p is monotone for every choice of coefficients in
    its balls, and its values at -1 and 1 are the ends.
    """
    if not isinstance(p, arb_poly):  # of several variables
        return p.ends()
    c = p.coeffs() or [ZERO]
    if len(c) > 1 and abs(c[1]) > sum((abs(b) * k for k, b in enumerate(c) if k > 1), ZERO):
        lo, hi = p(arb(-1)), p(arb(1))
        lo, hi = (lo, hi) if c[1] > 0 else (hi, lo)
    else:
        spread = _magnitude(c[1:])
        lo, hi = c[0] - spread, c[0] + spread
    return (lo.lower(), hi.upper()) if lo.is_finite() and hi.is_finite() else (NAN, NAN)


def _magnitude(coefficients: list[arb]) -> arb:
    return sum((abs(c) for c in coefficients), ZERO)
