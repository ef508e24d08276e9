"""Intervals by their end points, over Arb, and the values of SymPy numbers.

An Arb ball has a radius of 30 bits: the ball of [1e-9, 1e9] contains 0. So an interval is a pair
of exact Arb numbers, each function is bounded by its values at the ends where it is monotone, and
all is rounded outward at the caller's precision (`flint.ctx.prec`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, reduce

import sympy as sp
from flint import arb, ctx, fmpq, fmpz

from theory.functions import ELEMENTARY

#: A closed interval by its end points, exact numbers, -inf and inf included; nan is undefined.
Pair = tuple[arb, arb]

NAN = arb("nan")
INFINITY = arb("inf")
UNDEFINED: Pair = (NAN, NAN)
#: Beyond this argument exp is not computed but bounded by its value here: e^(2^40).
EXP_CUTOFF = arb(2) ** 40


def number(constant: sp.Expr) -> arb:
    """Enclose a SymPy number such as 1/3, pi or sqrt(2); nan if it is no real number.

    Raises:
        TypeError: it has a variable, or a function outside `ELEMENTARY`.
    """
    return hull(*_number(constant, ctx.prec))


class Bounds:
    """Intervals by their end points; each operation encloses its exact range."""

    def constant(self, value: sp.Expr) -> Pair:
        return _number(value, ctx.prec)

    def add(self, a: Pair, b: Pair) -> Pair:
        return outward(a[0] + b[0], a[1] + b[1])

    def mul(self, a: Pair, b: Pair) -> Pair:
        if undefined(a) or undefined(b):
            return UNDEFINED
        low = _least(_times(p, q, _down) for p in a for q in b)
        return low, _greatest(_times(p, q, _up) for p in a for q in b)

    def power(self, a: Pair, exponent: sp.Rational) -> Pair:
        if undefined(a):
            return UNDEFINED
        p, q = int(exponent.p), int(exponent.q)
        if (q > 1 and not a[0] >= 0) or (p < 0 and a[0] <= 0 and a[1] >= 0):
            return UNDEFINED
        if p == 0:
            return arb(1), arb(1)
        if q == 1 and p % 2 == 0:
            a = _absolute(a)
        low, high = _root_power(a[0], p, q), _root_power(a[1], p, q)
        return outward(low, high) if p > 0 else outward(high, low)

    def call(self, name: str, a: Pair) -> Pair:
        return UNDEFINED if undefined(a) else RANGES[name](a)

    def maximum(self, a: Pair, b: Pair) -> Pair:
        if undefined(a) or undefined(b):
            return UNDEFINED
        return _greatest((a[0], b[0])), _greatest((a[1], b[1]))


# Ranges of the elementary functions on a defined interval.


def _range_exp(a: Pair) -> Pair:
    low = min(a[0], EXP_CUTOFF)
    high = a[1].exp() if a[1] < EXP_CUTOFF else INFINITY
    return _greatest((arb(0), _down(low.exp() if low.is_finite() else arb(0)))), _up(high)


def _range_log(a: Pair) -> Pair:
    if not a[0] > 0:
        return UNDEFINED
    return outward(a[0].log(), a[1].log() if a[1].is_finite() else INFINITY)


def _range_wave(a: Pair, cos: bool) -> Pair:
    ends = (a[0].cos(), a[1].cos()) if cos else (a[0].sin(), a[1].sin())
    if not cos and a[0] > -1.5 and a[1] < 1.5:  # sin increases on [-pi/2, pi/2]
        return outward(*ends)
    if cos and (a[0] >= 0 and a[1] < 3 or a[0] > -3 and a[1] <= 0):  # cos is monotone there
        return outward(*(ends if a[0] < 0 else ends[::-1]))
    ball = hull(*a)
    if not ball.is_finite():
        return arb(-1), arb(1)
    wave = ball.cos() if cos else ball.sin()
    return _greatest((_down(wave), arb(-1))), _least((_up(wave), arb(1)))


def _range_sigmoidal(a: Pair, function: Callable[[arb], arb]) -> Pair:
    low = function(a[0]) if a[0].is_finite() else arb(-1)
    high = function(a[1]) if a[1].is_finite() else arb(1)
    return _greatest((_down(low), arb(-1))), _least((_up(high), arb(1)))


def _absolute(a: Pair) -> Pair:
    if a[0] >= 0:
        return a
    return (-a[1], -a[0]) if a[1] <= 0 else (arb(0), _greatest((-a[0], a[1])))


def _range_sign(a: Pair) -> Pair:
    return arb((a[0] > 0) - (a[0] < 0)), arb((a[1] > 0) - (a[1] < 0))


def sech_squared(a: Pair) -> Pair:
    near, far = (t.sech() ** 2 if t.is_finite() else arb(0) for t in _absolute(a))
    return _greatest((arb(0), _down(far))), _up(near)


RANGES: dict[str, Callable[[Pair], Pair]] = {
    "exp": _range_exp,
    "log": _range_log,
    "sin": lambda a: _range_wave(a, cos=False),
    "cos": lambda a: _range_wave(a, cos=True),
    "tanh": lambda a: _range_sigmoidal(a, arb.tanh),
    "erf": lambda a: _range_sigmoidal(a, arb.erf),
    "abs": _absolute,
    "sign": _range_sign,
}


@lru_cache(maxsize=4096)
def _number(constant: sp.Expr, precision: int) -> Pair:
    """Bounds of a SymPy number at the current precision, which is `precision`."""
    if constant.is_Float:
        constant = sp.Rational(constant)
    if constant.is_Rational:
        exact = arb(fmpq(int(constant.p), int(constant.q)))
        return outward(exact, exact)
    if constant is sp.pi or constant is sp.E:
        exact = arb.pi() if constant is sp.pi else arb.const_e()
        return outward(exact, exact)
    if constant.is_Atom:
        if constant.free_symbols:
            raise TypeError(f"{constant} is not a number")
        return UNDEFINED
    parts = [_number(part, precision) for part in constant.args]
    if constant.func in ELEMENTARY:
        return BOUNDS.call(ELEMENTARY[constant.func], parts[0])
    if constant.is_Pow and constant.exp.is_Rational:
        return BOUNDS.power(parts[0], constant.exp)
    if constant.is_Pow:
        logarithm = BOUNDS.call("log", parts[0])
        return BOUNDS.call("exp", BOUNDS.mul(parts[1], logarithm))
    for kind, operation in ((sp.Add, BOUNDS.add), (sp.Mul, BOUNDS.mul), (sp.Max, BOUNDS.maximum)):
        if isinstance(constant, kind):
            return reduce(operation, parts)
    raise TypeError(f"{constant.func} is not an elementary function known here")


# Exact end points. `arb.lower` of an infinite ball is nan, so those ends are set by hand.


def _down(a: arb) -> arb:
    """The largest exact number known to be <= every point of the ball."""
    return a.lower() if a.is_finite() else NAN if a.is_nan() else -INFINITY


def _up(a: arb) -> arb:
    """The smallest exact number known to be >= every point of the ball."""
    return a.upper() if a.is_finite() else NAN if a.is_nan() else INFINITY


def outward(lo: arb, hi: arb) -> Pair:
    low, high = _down(lo), _up(hi)
    return UNDEFINED if low.is_nan() or high.is_nan() else (low, high)


def undefined(a: Pair) -> bool:
    return a[0].is_nan() or a[1].is_nan()


def hull(lo: arb, hi: arb) -> arb:
    """A ball with both ends, nan if one is."""
    return NAN if lo.is_nan() or hi.is_nan() else lo.union(hi)


def _least(ends: Iterable[arb]) -> arb:
    """The least of exact numbers, none of them nan."""
    return reduce(lambda p, q: q if q < p else p, ends)


def _greatest(ends: Iterable[arb]) -> arb:
    """The greatest of exact numbers, none of them nan."""
    return reduce(lambda p, q: q if q > p else p, ends)


def _times(p: arb, q: arb, rounded: Callable[[arb], arb]) -> arb:
    """The product of two end points; an infinite one stands for unbounded real values."""
    if p.is_zero() or q.is_zero():
        return arb(0)
    if p.is_finite() and q.is_finite():
        return rounded(p * q)
    return INFINITY if (p > 0) == (q > 0) else -INFINITY


def _root_power(a: arb, p: int, q: int) -> arb:
    """a^(p/q) at an end point; the caller has excluded a = 0 if p < 0, and a < 0 if q > 1."""
    if not a.is_finite():
        return arb(0) if p < 0 else a if p % 2 or q > 1 else INFINITY
    if a.is_zero():
        return arb(0)
    root = a if q == 1 else a.root(q)
    return root ** fmpz(p)


BOUNDS = Bounds()
