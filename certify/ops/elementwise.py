"""Arithmetic and univariate functions, entry by entry.

Arithmetic on two constants is done here only where the result is exact; otherwise the
constants enter the graph and the operation is a node like any other, so that the graph stays
one real function with no rounding in it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value, bounded, real
from certify.ops.table import lowering

#: Largest array of floats whose arithmetic is tried exactly, in fractions.
EXACT_ENTRIES = 1 << 14

_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}


def fold(step: str, a: Any, b: Any) -> np.ndarray | None:
    """`a step b` for two constants if float64 (or int64) holds the result exactly, else None."""
    operation = _STEPS[step]
    a, b = np.asarray(a), np.asarray(b)
    bounded(np.broadcast_shapes(a.shape, b.shape))
    if a.dtype.kind != "f" and b.dtype.kind != "f":
        return np.asarray(operation(a.astype(np.int64), b.astype(np.int64)))
    a, b = real(a), real(b)
    with np.errstate(all="ignore"):
        out = np.asarray(operation(a, b))
    if np.isnan(out).any() or out.size > EXACT_ENTRIES:
        return None
    rows = zip(*(np.broadcast_to(v, out.shape).ravel().tolist() for v in (a, b, out)), strict=True)
    for x, y, z in set(rows):
        if not np.isfinite([x, y]).all():
            continue  # an infinity stays one; nan is ruled out above
        if not np.isfinite(z) or operation(Fraction(x), Fraction(y)) != Fraction(z):
            return None
    return out


def add(context: Context, x: Any, y: Any) -> Tensor:
    """x + y for tensors and numbers."""
    if not isinstance(x, Value) and not isinstance(y, Value):
        out = fold("add", x, y)
        return context.add(x, y) if out is None else out
    return context.add(x, y)


def scale(context: Context, x: Any, y: Any) -> Tensor:
    """x * y for tensors and numbers."""
    if isinstance(y, Value):
        x, y = y, x
    if isinstance(y, Value):
        return context.multiply(x, y)
    if not isinstance(x, Value):
        out = fold("mul", x, y)
        if out is not None:
            return out
        x = context.value(x)
    factor = real(y)
    x = context.expand(x, bounded(np.broadcast_shapes(x.shape, factor.shape)))
    if x.hidden is not None and (factor > 0).all():
        # minus infinity times a positive number
        return context.wrap(context.builder.affine(x.number, scale=factor), x.hidden)
    return context.affine(x, scale=factor)


def divide(context: Context, x: Any, y: Any) -> Tensor:
    """x / y; division by a number is Affine's divisor and never a rounded reciprocal."""
    if isinstance(y, Value):
        return scale(context, context.apply("reciprocal", y), x)
    numbers = np.unique(real(y))
    if not np.isfinite(numbers).all() or (numbers == 0).any():
        raise CannotLower("division by zero, nan or infinity")
    if len(numbers) != 1:
        return context.multiply(x, context.apply("reciprocal", y))
    value = context.value(x)
    value = context.expand(value, bounded(np.broadcast_shapes(value.shape, np.shape(y))))
    if value.hidden is not None and numbers[0] < 0:
        context.plain(value)
    number = context.builder.affine(value.number, divisor=float(numbers[0]))
    return context.wrap(number, value.hidden)


@lowering("aten.add.Tensor", "aten.add.Scalar")
def add_(context: Context, self: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    """self + alpha * other."""
    return add(context, self, other if alpha == 1 else scale(context, other, alpha))


@lowering("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def sub(context: Context, self: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    """self - alpha * other."""
    if alpha == 1 and not isinstance(self, Value) and not isinstance(other, Value):
        out = fold("sub", self, other)
        if out is not None:
            return out
    return add(context, self, scale(context, other, -alpha))


@lowering("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(context: Context, self: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    """other - alpha * self."""
    return sub(context, other, self, alpha)


@lowering("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def mul(context: Context, self: Tensor, other: Any) -> Tensor:
    """self * other; a product with itself is a square."""
    if isinstance(self, Value) and isinstance(other, Value) and self.number == other.number:
        return context.apply("square", self)
    return scale(context, self, other)


@lowering("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor")
def div(context: Context, self: Tensor, other: Any) -> Tensor:
    """self / other."""
    return divide(context, self, other)


@lowering("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def div_mode(
    context: Context, self: Tensor, other: Any, rounding_mode: str | None = None
) -> Tensor:
    """self / other; rounded to an integer only where both are whole and constant."""
    if rounding_mode is None:
        return divide(context, self, other)
    whole = [not isinstance(t, Value) and np.asarray(t).dtype.kind in "iu" for t in (self, other)]
    if not all(whole) or (np.asarray(other) == 0).any():
        raise CannotLower("a rounded quotient, which has jumps where its input varies")
    x, y = np.asarray(self), np.asarray(other)
    down = np.floor_divide(x, y)
    if rounding_mode == "trunc":
        down = down + ((down < 0) & (down * y != x))
    return np.asarray(down)


@lowering("aten.floor_divide.default", "aten.floor_divide.Scalar")
def floor_divide(context: Context, self: Tensor, other: Any) -> Tensor:
    """self / other rounded down, of whole constants."""
    return div_mode(context, self, other, "floor")


@lowering("aten.neg.default")
def neg(context: Context, self: Tensor) -> Tensor:
    """-self."""
    return scale(context, self, -1)


@lowering("aten.lerp.Scalar", "aten.lerp.Tensor")
def lerp(context: Context, self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """self + weight * (end - self)."""
    return add(context, self, scale(context, sub(context, end, self), weight))


_UNARY = {
    "relu": "relu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "log": "log",
    "sin": "sin",
    "cos": "cos",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "reciprocal": "reciprocal",
    "abs": "abs",
    "erf": "erf",
    "square": "square",
}


def _unary(function: str) -> Callable[[Context, Tensor], Value]:
    def rule(context: Context, self: Tensor) -> Value:
        return context.apply(function, self)

    rule.__doc__ = f"The univariate function {function}."
    return rule


for _name, _function in _UNARY.items():
    lowering(f"aten.{_name}.default")(_unary(_function))


@lowering("aten.exp.default")
def exp(context: Context, self: Tensor) -> Value:
    """The exponential function; 0 where a mask says minus infinity."""
    value = context.value(self)
    if value.hidden is None or not value.hidden.any():
        return context.apply("exp", value)
    return on(context, value, ~value.hidden, lambda part: context.apply("exp", part))


def on(context: Context, x: Value, kept: np.ndarray, function: Callable[[Value], Value]) -> Value:
    """function(x) where `kept` holds, and 0 elsewhere; the rest is never computed."""
    part = function(context.wrap(context.builder.gather(x.number, np.flatnonzero(kept))))
    index = np.full(kept.shape, -1)
    index[kept] = np.arange(int(kept.sum()))
    return context.wrap(context.builder.gather(part.number, index))


def _logarithm(base: int) -> Callable[[Context, Tensor], Value]:
    def rule(context: Context, self: Tensor) -> Value:
        unit = context.apply("reciprocal", context.apply("log", np.full((), float(base))))
        return context.multiply(context.apply("log", self), unit)

    rule.__doc__ = f"log(x) / log({base})."
    return rule


for _base in (2, 10):
    lowering(f"aten.log{_base}.default")(_logarithm(_base))


@lowering("aten.log1p.default")
def log1p(context: Context, self: Tensor) -> Value:
    """log(1 + x)."""
    return context.apply("log", context.add(self, 1))


@lowering("aten.expm1.default")
def expm1(context: Context, self: Tensor) -> Tensor:
    """exp(x) - 1."""
    return context.add(exp(context, self), -1)


@lowering("aten.sinh.default")
def sinh(context: Context, self: Tensor) -> Tensor:
    """(exp(x) - exp(-x)) / 2."""
    ends = [context.apply("exp", scale(context, self, sign)) for sign in (1, -1)]
    return divide(context, context.add(ends[0], scale(context, ends[1], -1)), 2)


@lowering("aten.cosh.default")
def cosh(context: Context, self: Tensor) -> Tensor:
    """(exp(x) + exp(-x)) / 2."""
    ends = [context.apply("exp", scale(context, self, sign)) for sign in (1, -1)]
    return divide(context, context.add(*ends), 2)


@lowering("aten.tan.default")
def tan(context: Context, self: Tensor) -> Tensor:
    """sin(x) / cos(x)."""
    return divide(context, context.apply("sin", self), context.apply("cos", self))


@lowering("aten.erfc.default")
def erfc(context: Context, self: Tensor) -> Tensor:
    """1 - erf(x)."""
    return context.affine(context.apply("erf", self), scale=-1, bias=1)
