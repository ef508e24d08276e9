"""Local models of a univariate function: Taylor coefficients, their errors, and ranges.

Powers, exp and log have closed forms; every other function goes through the tables of
`tables.py`. Which one applies is read off the SymPy expression, so a new function is still one
line in theory/functions.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
import torch
from torch import Tensor

from certify.domains import tables
from certify.rounding import LARGEST, LIBM, TINY, U, above, below, gamma, no_nan, unknown, up
from theory.functions import Function, x
from theory.norms import rounded


@dataclass(frozen=True, eq=False)
class Expansion:
    """f around the points c, for arguments in [lo, hi], which contains c.

    Attributes:
        taylor: (m + 1, ...), coefficients a_k = f^(k)(c) / k!, m <= order.
        error: bound on the sum over k of |a_k - exact a_k| reach**k.
        slope: bound on |f'| over [lo, hi].
        last: bound on |f^(order+1)| / (order+1)! over [lo, hi].
        range: of f over [lo, hi], where it comes for nothing.
    A bound that is not known is inf.
    """

    taylor: Tensor
    error: Tensor
    slope: Tensor
    last: Tensor
    range: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class Smooth:
    """A function with Taylor series.

    expand(order, c, reach, lo, hi) gives an Expansion; range(lo, hi) encloses f([lo, hi]).
    Where [lo, hi] leaves the domain of f both answer with inf, never nan.
    """

    expand: Callable[[int, Tensor, Tensor, Tensor, Tensor], Expansion]
    range: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def halves(left: float, right: float) -> tuple[float, float]:
    """The middle of two numbers, and how far they are from it, rounded up: with many bits the
    middle is not exact."""
    middle = left / 2 + right / 2
    return middle, rounded(max(abs(Fraction(v) - Fraction(middle)) for v in (left, right)), up=True)


@dataclass(frozen=True, eq=False)
class Kinked:
    """left * x for x <= 0 and right * x for x >= 0, slopes exact."""

    left: float
    right: float

    def chord(self, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(s, m, e) with |f(x) - (s x + m)| <= e for every x in [lo, hi].

        On a side of the kink f is s x. Across it, f(x) - s x is linear on both sides, so over
        [lo, hi] it lies between its values at lo, 0 and hi, whatever number s is; s is chosen
        near the slope of the chord.
        """
        left, right = self.left, self.right
        s = ((right * hi - left * lo) / (hi - lo)).nan_to_num(0.0, 0.0, 0.0)
        ends = torch.stack([(left - s) * lo, (right - s) * hi, torch.zeros_like(s)])
        top, low = ends.amax(0), ends.amin(0)
        m = (top + low) / 2
        # Two roundings in each end; (top - low) / 2 plus the rounding of m.
        e = up((top - low) / 2 + gamma(4) * (top.abs() + low.abs()), 6)
        s = torch.where(hi <= 0, left, torch.where(lo >= 0, right, s))
        side = (hi <= 0) | (lo >= 0)
        return s, m.masked_fill(side, 0.0), e.masked_fill(side, 0.0)

    def slopes(self, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        """Middle and radius of what secants between points of [lo, hi] have for slopes: that of
        one side, or anything from one to the other."""
        middle, half = halves(self.left, self.right)
        center, radius = torch.full_like(lo, middle), torch.full_like(lo, half)
        low, high = (hi <= 0) & ~(lo >= 0), (lo >= 0) & ~(hi <= 0)
        center = center.masked_fill(low, self.left).masked_fill(high, self.right)
        return center, radius.masked_fill(low | high, 0.0)


def repeated(b: Tensor, n: int) -> Tensor:
    """b**n by n - 1 products, n >= 1."""
    out = b
    for _ in range(n - 1):
        out = out * b
    return out


def _error(a: Tensor, reach: Tensor, relative: Tensor | float) -> Tensor:
    """relative * sum of |a_k| reach**k, rounded up."""
    total = a[-1].abs()
    for k in range(a.shape[0] - 2, -1, -1):
        total = total * reach + a[k].abs()
    return up(relative * total, 2 * a.shape[0] + 2)


def _normal(a: Tensor) -> Tensor:
    """Where every coefficient is so far from underflow and overflow that relative errors hold."""
    size = a.abs()
    return ((size > 2.0**-900) & (size < 2.0**900)).all(0)


def exponential() -> Smooth:
    """exp: a_k = exp(c) / k!."""

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        down = torch.exp(lo) * (1 - 2 * LIBM) - TINY
        return down.clamp(0, LARGEST), torch.exp(hi) * (1 + 2 * LIBM) + TINY

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        # Roundings: exp itself, 1 / k!, the product. Where exp(c) underflows its error is
        # absolute, and 2**-1022 e**reach < TINY while reach <= 20.
        weights = [1 / math.factorial(k) for k in range(order + 1)]
        column = torch.tensor(weights, dtype=c.dtype, device=c.device)
        a = torch.exp(c) * column.reshape(-1, *[1] * c.ndim)
        error = _error(a, reach, LIBM + gamma(4)).masked_fill(~(reach <= 20), math.inf)
        top = bounds(lo, hi)[1]
        return Expansion(a, error, top, up(top * (1 / math.factorial(order + 1)), 3))

    return Smooth(expand, bounds)


def logarithm() -> Smooth:
    """log: a_k = (-1)**(k-1) / (k c**k)."""

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        low, high = torch.log(lo), torch.log(hi)
        low = torch.where(lo > 0, low - 2 * LIBM * low.abs() - TINY, -math.inf)
        return low, torch.where(lo > 0, high + 2 * LIBM * high.abs() + TINY, math.inf)

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        inverse = 1 / c
        powers = [repeated(inverse, k) * ((-1) ** (k - 1) / k) for k in range(1, order + 1)]
        a = torch.stack([torch.log(c), *powers])
        steep = torch.where(lo > 0, 1 / lo, math.inf)
        last = up(repeated(steep, order + 1) * (1 / (order + 1)), 2 * order + 6)
        error = _error(a, reach, LIBM + gamma(2 * order + 6))
        error = error.masked_fill(~((lo > 0) & _normal(a[1:])), math.inf)
        return Expansion(a, error, up(steep, 1), last)

    return Smooth(expand, bounds)


def integer_power(n: int) -> Smooth:
    """x**n, n >= 1: a polynomial, a_k = binomial(n, k) c**(n-k)."""

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        ends = repeated(lo, n), repeated(hi, n)
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        if n % 2 == 0:
            low = low.masked_fill((lo <= 0) & (hi >= 0), 0.0)
        error = gamma(n) * torch.maximum(low.abs(), high.abs()) + TINY
        low, high = below(low - error), above(high + error)
        return (low.clamp(min=0) if n % 2 == 0 else low), high

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        one, top = torch.ones_like(c), min(n, order)
        a = torch.stack(
            [math.comb(n, k) * (repeated(c, n - k) if k < n else one) for k in range(top + 1)]
        )
        far = torch.maximum(lo.abs(), hi.abs())
        slope = up(n * repeated(far, n - 1) if n > 1 else one, n + 1)
        last = torch.zeros_like(c)
        if n > order:
            rest = repeated(far, n - order - 1) if n > order + 1 else one
            last = up(math.comb(n, order + 1) * rest, n + 2)
        error = _error(a, reach, gamma(n + 2))
        if n > 2:  # c**2 and beyond may underflow and be stretched by reach; of x**2 only c**2 is
            error = error.masked_fill((c != 0) & (repeated(c.abs(), n) < 2.0**-900), math.inf)
        return Expansion(a, error, slope, last)

    return Smooth(expand, bounds)


def root(b: Tensor, q: Fraction) -> tuple[Tensor, Tensor]:
    """b**q for b > 0 and a bound on its relative error.

    y is whatever torch.pow says; y**s is compared with b**p, q = p / s. If the quotient is
    within rho < 1 of 1 then y is within rho of b**q, relatively: (1 + t)**(1/s) - 1 has no
    larger modulus than t on -1 < t, up to the sign's side, for s >= 1. The bound is inf where
    the check itself overflows or underflows.
    """
    if q == Fraction(1, 2):
        return torch.sqrt(b), torch.full_like(b, gamma(2))
    if q == Fraction(-1, 2):
        return 1 / torch.sqrt(b), torch.full_like(b, gamma(4))
    if q == -1:
        return 1 / b, torch.full_like(b, gamma(2))
    y = torch.pow(b, float(q))
    p, s = abs(q.numerator), q.denominator
    left, right = repeated(y, s), repeated(b, p)
    quotient = left * right if q < 0 else left / right
    rho = up((quotient - 1).abs() * (1 + 4 * U) + gamma(2 * (p + s) + 4), 4)
    safe = (left > 1e-280) & (left < 1e280) & (right > 1e-280) & (right < 1e280) & (rho < 1e-6)
    return y, rho.masked_fill(~safe, math.inf)


def power(q: Fraction, parity: int | None) -> Smooth:
    """x**q for x > 0, q not a positive integer: a_k = a_(k-1) (q - k + 1) / (k c).

    parity: the function on x < 0 is parity * |x|**q, or is not defined (None).
    """

    def magnitude(b: Tensor, upper: bool) -> Tensor:
        """Bound on b**q, b >= 0."""
        y, rho = root(b, q)
        zero = 0.0 if q > 0 else math.inf
        bound = above(above(y * (1 + 2 * rho)) + TINY) if upper else below(below(y * (1 - 2 * rho)))
        bound = bound if upper else (bound - TINY).clamp(min=0)
        bound = unknown(bound) if upper else bound.nan_to_num(0.0, 0.0, 0.0)
        return torch.where(b == 0, zero, bound)

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        small, large = (lo, hi) if q > 0 else (hi, lo)
        low, high = magnitude(small, upper=False), magnitude(large, upper=True)
        if q < 0:  # a pole at 0
            high = high.masked_fill(lo <= 0, math.inf)
        if parity is not None:
            # Mirror: on x < 0 the values are parity * f(-x).
            near, far = (-hi, -lo) if q > 0 else (-lo, -hi)
            mirrored = magnitude(near, upper=False), magnitude(far, upper=True)
            if parity < 0:
                mirrored = -mirrored[1], -mirrored[0]
            negative, straddles = hi <= 0, (lo < 0) & (hi > 0)
            low, high = (
                torch.where(negative, m, v) for m, v in zip(mirrored, (low, high), strict=True)
            )
            if q > 0:
                top, bottom = magnitude(hi, upper=True), magnitude(-lo, upper=True)
                ends = (-bottom, top) if parity < 0 else (0 * top, torch.maximum(top, bottom))
            else:
                ends = (torch.full_like(lo, -math.inf), torch.full_like(lo, math.inf))
                low = low.masked_fill(lo == 0, 0.0) if parity > 0 else low
                pole = (lo <= 0) & (hi >= 0)
                low, high = low.masked_fill(pole, -math.inf), high.masked_fill(pole, math.inf)
            low, high = (
                torch.where(straddles, e, v) for e, v in zip(ends, (low, high), strict=True)
            )
        else:
            low = low.masked_fill(lo < 0, -math.inf)
            high = high.masked_fill(lo < 0, math.inf)
        return no_nan(low, high)

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        b = c.abs()
        value, rho = root(b, q)
        a, coefficient = [value], Fraction(1)
        for k in range(1, order + 1):
            a.append(a[-1] * float((q - k + 1) / k) / b)
            coefficient *= (q - k + 1) / k
        a = torch.stack(a)
        near, far = lo, hi
        if parity is not None:
            side = torch.where(c < 0, -1.0, 1.0)
            a[1::2] *= side
            a = a * side if parity < 0 else a
            near = torch.where(hi < 0, -hi, lo)
            far = torch.maximum(lo.abs(), hi.abs())
        near = near.clamp(min=0)
        error = _error(a, reach, rho + gamma(3 * order + 6))
        # |f^(order+1)| grows with |x| while its exponent q - order - 1 is positive.
        worst = near if q < order + 1 else far
        last = magnitude(worst, upper=True) * abs(float(coefficient * (q - order) / (order + 1)))
        for _ in range(order + 1):
            last = last / worst
        last = up(last, 2 * order + 8)
        steep = near if q < 1 else far
        slope = up(magnitude(steep, upper=True) * abs(float(q)) / steep, 6)
        smooth = (near > 0) & _normal(a)
        return Expansion(
            a,
            error.masked_fill(~smooth, math.inf),
            unknown(slope).masked_fill(~smooth, math.inf),
            unknown(last).masked_fill(~smooth, math.inf),
        )

    return Smooth(expand, bounds)


def jump(left: float, right: float) -> Smooth:
    """left for x < 0 and right for x > 0; at 0 any number between them.

    Where both sides are possible the expansion is their middle, off by half the jump whatever
    the argument; so no slope is charged for errors of the argument.
    """
    low, high = min(left, right), max(left, right)
    middle, half = halves(left, right)

    def sided(lo: Tensor, hi: Tensor, otherwise: float) -> Tensor:
        out = torch.full_like(lo, otherwise).masked_fill(lo > 0, right)
        return out.masked_fill(hi < 0, left)

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        return sided(lo, hi, low), sided(lo, hi, high)

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        a = torch.zeros((order + 1, *c.shape), dtype=c.dtype, device=c.device)
        a[0] = sided(lo, hi, middle)
        error = torch.full_like(c, half).masked_fill((hi < 0) | (lo > 0), 0.0)
        return Expansion(a, error, torch.zeros_like(c), torch.zeros_like(c))

    return Smooth(expand, bounds)


def tabulated(function: Function) -> Smooth:
    """Any other function, from tables computed in Arb."""

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        table = tables.covering(function, 1, lo, hi)
        low, high = tables.extremes(table, lo, hi)[2:]
        return tables.beyond(function, lo, hi, low, high)

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        table = tables.covering(function, order, lo, hi)
        a, value_error, slope_error = tables.expand(table, order, c)
        slope, last, *ends = tables.extremes(table, lo, hi)
        # sum over k >= 1 of reach**k <= order * reach * max(1, reach)**(order - 1).
        growth = order * reach * repeated(reach.clamp(min=1), order)
        error = up(value_error + slope_error * growth, order + 6)
        return Expansion(a, unknown(error), slope, last, tables.beyond(function, lo, hi, *ends))

    return Smooth(expand, bounds)


def derivative(how: Smooth) -> Smooth:
    """The rule of f', read off that of f.

    Coefficient k of f' is (k + 1) a_(k+1). With an error budget sum err_k r**k <= e of f, the
    one of f' at reach r is sum (k + 1) err_(k+1) r**k <= (order + 1) e / r; it is taken at some
    r >= reach that is not tiny, since it grows with r.
    """

    def bounds(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
        middle = (lo / 2 + hi / 2).nan_to_num(0.0, 0.0, 0.0)
        slope = how.expand(1, middle, (hi - lo).abs(), lo, hi).slope
        return -slope, slope

    def expand(order: int, c: Tensor, reach: Tensor, lo: Tensor, hi: Tensor) -> Expansion:
        wide = reach.clamp(min=2.0**-6)
        e = how.expand(order + 1, c, wide, lo, hi)
        taylor = e.taylor[1:].clone()
        for k in range(1, len(taylor)):
            taylor[k] *= k + 1
        rounding = _error(taylor, wide, gamma(3))
        error = up((order + 1) * e.error / wide + rounding, 6)
        curve = up(2 * how.expand(1, c, wide, lo, hi).last, 2)
        return Expansion(taylor, error, curve, up((order + 2) * e.last, 2))

    return Smooth(expand, bounds)


@functools.cache
def rule(function: Function) -> Smooth | Kinked:
    """The rule for a function, chosen from its expression."""
    e = function.expression
    positive = sp.Symbol("p", positive=True)
    slopes = [s * e.subs(x, s * positive) / positive for s in (-1, 1)]
    if all(s.is_Rational and Fraction(float(s)) == Fraction(s.p, s.q) for s in slopes):
        return Kinked(*(float(s) for s in slopes))
    sides = [e.subs(x, s * positive) for s in (-1, 1)]
    if e.has(sp.sign) and all(
        s.is_Rational and Fraction(float(s)) == Fraction(s.p, s.q) for s in sides
    ):
        return jump(*(float(s) for s in sides))
    if e == sp.exp(x):
        return exponential()
    if e == sp.log(x):
        return logarithm()
    base, exponent = e.as_base_exp()
    if base == x and exponent.is_Rational:
        q = Fraction(int(exponent.p), int(exponent.q))
        if q.denominator == 1 and q > 0:
            return integer_power(int(q))
        return power(q, (-1) ** q.numerator if q.denominator == 1 else None)
    odd = sp.Wild("q", properties=[lambda k: k.is_Rational])
    match = e.match(sp.sign(x) * sp.Abs(x) ** odd)
    if match:
        return power(Fraction(int(match[odd].p), int(match[odd].q)), -1)
    return tabulated(function)
