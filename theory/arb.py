"""Values and Taylor coefficients of an expression in Arb ball arithmetic.

`Series` is an algebra for `theory.functions.evaluate`: a power series keeps its value by the end
points (see `theory.intervals`) and its higher coefficients as balls. Everything is rounded outward
at the caller's precision (`flint.ctx.prec`); what is not defined is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp
from flint import arb, fmpq

from theory.functions import evaluate
from theory.intervals import BOUNDS, NAN, Pair, hull, outward, sech_squared, undefined


def value(expression: sp.Expr, ball: arb) -> arb:
    """Enclose the values of `expression` on `ball`.

    Args:
        expression: SymPy, in `x`.
        ball: where; a wide interval is better given to `bounds`, by its end points.

    Returns:
        A ball with the value at every point of `ball`; nan or an infinite ball where some
        value is not defined or not known.
    """
    return hull(*bounds(expression, ball, ball))


def bounds(expression: sp.Expr, lo: arb, hi: arb) -> Pair:
    """Enclose the values of `expression` on the interval from `lo` to `hi`.

    Args:
        expression: SymPy, in `x`.
        lo: lower end; a ball is read as its lower end.
        hi: upper end; a ball is read as its upper end.

    Returns:
        (a, b), exact, with a <= f(t) <= b for every t of the interval; both nan where some
        value is not defined.
    """
    return evaluate(expression, BOUNDS, outward(lo, hi))


def series(expression: sp.Expr, center: arb, order: int) -> list[arb]:
    """Enclose the Taylor coefficients of `expression` at every point of `center`.

    Args:
        expression: SymPy, in `x`.
        center: a ball.
        order: the highest derivative, >= 0.

    Returns:
        order + 1 balls; ball k contains f^(k)(t) / k! for every t of `center`. A coefficient
        that does not exist at some t, or is not known to exist, is nan or an infinite ball.
    """
    tail = [arb(1 if k == 1 else 0) for k in range(1, order + 1)]
    argument = Series(order).known(outward(center, center), tail)
    return list(evaluate(expression, Series(order), argument).coefficients)


@dataclass(frozen=True)
class Jet:
    """A truncated power series.

    Attributes:
        values: the range, by end points.
        coefficients: balls, lowest order first; the first is the ball of `values`.
    """

    values: Pair
    coefficients: tuple[arb, ...]


ZERO = arb(0)


class Series:
    """Truncated power series.

    The recurrences compare coefficients in a differential equation that the result solves,
    such as b' = b u' for b = exp(u); they hold at each point, so they hold for balls.
    """

    def __init__(self, order: int):
        self.order = order

    def constant(self, value: sp.Expr) -> Jet:
        return self.known(BOUNDS.constant(value), [arb(0)] * self.order)

    def add(self, a: Jet, b: Jet) -> Jet:
        tail = [p + q for p, q in zip(a.coefficients[1:], b.coefficients[1:], strict=True)]
        return _jet(BOUNDS.add(a.values, b.values), tail)

    def mul(self, a: Jet, b: Jet) -> Jet:
        few, many = sorted((a.coefficients, b.coefficients), key=lambda c: len(_terms(c)))
        terms = _terms(few)
        if not all(c.is_finite() for c in many):  # 0 times what does not exist does not exist
            terms = list(enumerate(few))
        tail = [sum((c * many[k - j] for j, c in terms if j <= k), ZERO) for k in _orders(many)]
        return _jet(BOUNDS.mul(a.values, b.values), tail)

    def power(self, a: Jet, exponent: sp.Rational) -> Jet:
        values = BOUNDS.power(a.values, exponent)
        if exponent == 0 or exponent == 1:
            return a if exponent == 1 else self.constant(sp.Integer(1))
        if exponent.is_Integer and exponent > 0:
            factor = self.power(a, exponent // 2)
            product = self.mul(factor, factor)
            if exponent % 2:
                product = self.mul(product, a)
            return _jet(values, product.coefficients[1:])
        if not (a.values[0] > 0 or (exponent.is_Integer and a.values[1] < 0)):
            return self.unknown(values)
        # b = a^p solves a b' = p a' b.
        p = arb(fmpq(int(exponent.p), int(exponent.q)))
        c, out = a.coefficients, [hull(*values)]
        for k in _orders(c):
            total = sum(((p * j - (k - j)) * c[j] * out[k - j] for j in _to(k)), arb(0))
            out.append(total / (c[0] * k))
        return _jet(values, out[1:])

    def call(self, name: str, a: Jet) -> Jet:
        values = BOUNDS.call(name, a.values)
        if name in ("abs", "sign"):
            if not (a.values[0] > 0 or a.values[1] < 0):
                return self.unknown(values)
            factor = (0 if name == "sign" else 1) * (1 if a.values[0] > 0 else -1)
            # 0 * c keeps a coefficient that is nan or infinite.
            return _jet(values, [factor * c for c in a.coefficients[1:]])
        return _jet(values, RECURRENCES[name](a.coefficients, a.values)[1:])

    def maximum(self, a: Jet, b: Jet) -> Jet:
        values = BOUNDS.maximum(a.values, b.values)
        for one, other in ((a, b), (b, a)):
            if one.values[0] > other.values[1]:
                return _jet(values, one.coefficients[1:])
        return self.unknown(values)

    def known(self, values: Pair, tail: Sequence[arb]) -> Jet:
        """The argument or a constant: the tail is right wherever there is a value."""
        return self.unknown(values) if undefined(values) else _jet(values, tail)

    def unknown(self, values: Pair) -> Jet:
        """A value without a Taylor series."""
        return _jet(values, [NAN] * self.order)


# Each recurrence maps the coefficients and the range of u to the coefficients of f(u). The caller
# replaces the first by the ball of the range, which is why that of log is only a placeholder.


def _exp(u: tuple[arb, ...], values: Pair) -> list[arb]:
    return _integral(u, hull(*BOUNDS.call("exp", values)), lambda k, out: out[k])


def _log(u: tuple[arb, ...], values: Pair) -> list[arb]:
    # b = log(u) solves u b' = u'.
    if not values[0] > 0:
        return [NAN] * len(u)
    out = [NAN]
    for k in _orders(u):
        total = sum((out[j] * u[k - j] * j for j in _to(k - 1)), arb(0))
        out.append((u[k] - total / k) / u[0])
    return out


def _sin(u: tuple[arb, ...], values: Pair) -> list[arb]:
    return _sin_cos(u, values)[0]


def _cos(u: tuple[arb, ...], values: Pair) -> list[arb]:
    return _sin_cos(u, values)[1]


def _sin_cos(u: tuple[arb, ...], values: Pair) -> tuple[list[arb], list[arb]]:
    sin, cos = [hull(*BOUNDS.call("sin", values))], [hull(*BOUNDS.call("cos", values))]
    for k in _orders(u):
        next_sin = sum((u[j] * cos[k - j] * j for j in _to(k)), arb(0)) / k
        cos.append(-sum((u[j] * sin[k - j] * j for j in _to(k)), arb(0)) / k)
        sin.append(next_sin)
    return sin, cos


def _tanh(u: tuple[arb, ...], values: Pair) -> list[arb]:
    # Far out 1 - tanh^2 has no correct digit, so its value is computed as sech^2.
    slope = hull(*sech_squared(values))
    return _integral(
        u, hull(*BOUNDS.call("tanh", values)), lambda k, out: -_dot(out, out, k) if k else slope
    )


def _erf(u: tuple[arb, ...], values: Pair) -> list[arb]:
    jets = Series(len(u) - 1)
    square = jets.power(Jet(values, u), sp.Integer(2))
    bell = jets.call("exp", jets.mul(jets.constant(sp.Integer(-1)), square)).coefficients
    scale = 2 / arb.pi().sqrt()
    return _integral(u, hull(*BOUNDS.call("erf", values)), lambda k, out: scale * bell[k])


RECURRENCES = {"exp": _exp, "log": _log, "sin": _sin, "cos": _cos, "tanh": _tanh, "erf": _erf}


def _integral(u: tuple[arb, ...], first: arb, slope: Callable[[int, list[arb]], arb]) -> list[arb]:
    """Coefficients of b with b' = s u', where slope(k, b) is coefficient k of s."""
    out, slopes = [first], []
    terms = [(j, c * j) for j, c in _terms(u) if j]
    if not first.is_finite():  # 0 times what does not exist does not exist
        terms = [(j, c * j) for j, c in enumerate(u) if j]
    for k in _orders(u):
        slopes.append(slope(k - 1, out))
        out.append(sum((c * slopes[k - j] for j, c in terms if j <= k), ZERO) / k)
    return out


def _terms(series: Sequence[arb]) -> list[tuple[int, arb]]:
    """The coefficients that are not exactly 0, with their numbers."""
    return [(j, c) for j, c in enumerate(series) if not c.is_zero()]


def _orders(u: tuple[arb, ...]) -> range:
    return range(1, len(u))


def _to(k: int) -> range:
    return range(1, k + 1)


def _dot(a: Sequence[arb], b: Sequence[arb], k: int) -> arb:
    """Coefficient k of the product of two series."""
    return sum((a[j] * b[k - j] for j in range(k + 1)), arb(0))


def _jet(values: Pair, tail: Sequence[arb]) -> Jet:
    return Jet(values, (hull(*values), *tail))
