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


@lowering("aten.neg.default")
def neg(context: Context, self: Tensor) -> Tensor:
    """-self."""
    return scale(context, self, -1)


_UNARY = {
    "relu": "relu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "exp": "exp",
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


@lowering("aten.gelu.default")
def gelu(context: Context, self: Tensor, approximate: str = "none") -> Value:
    """GELU, exact or by tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu has no form {approximate!r}")
    return context.apply("gelu" if approximate == "none" else "gelu_tanh", self)


@lowering("aten.softplus.default")
def softplus(context: Context, self: Tensor, beta: Any = 1, threshold: Any = 20) -> Value:
    """log(1 + exp(beta x)) / beta.

    torch switches to x itself above beta x = threshold; at its default of 20 the two differ
    by at most 2.1e-9, which is rounding in float32. A smaller threshold is another function.
    """
    if threshold < 20 or beta <= 0:
        raise CannotLower(f"softplus with beta {beta} and threshold {threshold}")
    return divide(context, context.apply("softplus", scale(context, self, beta)), beta)


@lowering("aten.leaky_relu.default")
def leaky_relu(context: Context, self: Tensor, negative_slope: Any = 0.01) -> Tensor:
    """relu(x) - slope * relu(-x)."""
    below = context.apply("relu", scale(context, self, -1))
    return context.add(context.apply("relu", self), scale(context, below, -negative_slope))


@lowering("aten.clamp.default", "aten.clamp_min.default", "aten.clamp_max.default")
def clamp(context: Context, self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """relu(x - lo) + lo, and hi - relu(hi - x): cut off at one or both ends."""
    if min is not None and max is not None and min > max:
        raise CannotLower("clamp with its ends exchanged")
    out = context.value(self)
    if min is not None:
        out = context.add(context.apply("relu", context.add(out, -min)), min)
    if max is not None:
        below = context.apply("relu", context.affine(out, scale=-1, bias=max))
        out = context.affine(below, scale=-1, bias=max)
    return out


@lowering("aten.hardtanh.default")
def hardtanh(context: Context, self: Tensor, min_val: Any = -1, max_val: Any = 1) -> Tensor:
    """Cut off at both ends."""
    return clamp(context, self, min_val, max_val)


@lowering("aten.relu6.default")
def relu6(context: Context, self: Tensor) -> Tensor:
    """Cut off at 0 and 6."""
    return clamp(context, self, 0, 6)


@lowering("aten.pow.Tensor_Scalar")
def power(context: Context, self: Tensor, exponent: Any) -> Tensor:
    """self ** exponent for 1/2, -1/2 and integers up to 16 in size."""
    if exponent in (0.5, -0.5):
        return context.apply("sqrt" if exponent > 0 else "rsqrt", self)
    if float(exponent) != int(exponent) or abs(exponent) > 16:
        raise CannotLower(f"the exponent {exponent} is neither 1/2, -1/2 nor a small integer")
    count = int(exponent)
    if count == 0:
        return np.ones(np.shape(self))
    out = _integer_power(context, context.value(self), abs(count))
    return context.apply("reciprocal", out) if count < 0 else out


def _integer_power(context: Context, x: Value, count: int) -> Value:
    # squares are univariate: they keep the sign that a product of enclosures loses
    if count == 1:
        return x
    half = context.apply("square", _integer_power(context, x, count // 2))
    return context.multiply(half, x) if count % 2 else half
