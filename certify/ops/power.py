"""Powers with a constant exponent, and of a constant base."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value, bounded, real
from certify.ops.elementwise import EXACT_ENTRIES, scale
from certify.ops.table import lowering


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


@lowering("aten.pow.Scalar", "aten.pow.Tensor_Tensor", "aten.exp2.default")
def exponential(context: Context, self: Tensor, exponent: Tensor | None = None) -> Tensor:
    """base ** x = exp(x log base) for a constant base > 0; exact where float64 holds it."""
    base, exponent = (2, self) if exponent is None else (self, exponent)
    if isinstance(exponent, np.ndarray) and exponent.size and len(np.unique(exponent)) == 1:
        out = power(context, base, exponent.flat[0].item()) if isinstance(base, Value) else None
        if out is not None:
            shape = np.broadcast_shapes(base.shape, exponent.shape)
            return context.rearrange(out, lambda a: np.broadcast_to(a, bounded(shape)))
    if isinstance(base, Value):
        raise CannotLower("a power whose base and exponent both vary")
    if not isinstance(exponent, Value):
        out = _exact_power(base, exponent)
        if out is not None:
            return out
    if not (real(base) > 0).all():
        raise CannotLower("a power of a base that is not positive")
    return context.apply("exp", scale(context, context.apply("log", base), exponent))


def _exact_power(base: Any, exponent: Any) -> np.ndarray | None:
    """base ** exponent for constants, if every entry is an integer power that float64 holds."""
    base, exponent = np.broadcast_arrays(real(base), real(exponent))
    if base.size > EXACT_ENTRIES:
        return None
    out = np.empty(base.shape)
    for place in np.ndindex(base.shape):
        b, e = float(base[place]), float(exponent[place])
        if not (b and np.isfinite(b) and e.is_integer() and abs(e) <= 1100):
            return None
        exact = Fraction(b) ** int(e)
        try:
            out[place] = float(exact)
        except OverflowError:
            return None
        if Fraction(out[place]) != exact:
            return None
    return out
