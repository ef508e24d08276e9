"""Activation functions, from registered functions and arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value
from certify.ops.elementwise import divide, scale
from certify.ops.table import lowering


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
    if not isinstance(self, Value):
        return np.asarray(np.clip(self, min, max))
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


@lowering("aten.elu.default")
def elu(
    context: Context, self: Tensor, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1
) -> Tensor:
    """scale * (relu(x) + alpha (exp(input_scale min(x, 0)) - 1)).

    torch leaves the branches x > 0 and x <= 0 apart; they meet at 0, where both are 0.
    """
    below = context.apply("relu", _times(context, self, -1))
    curved = context.affine(context.apply("exp", _times(context, below, -input_scale)), bias=-1)
    out = context.add(context.apply("relu", self), _times(context, curved, alpha))
    return _times(context, out, scale)


@lowering("aten.celu.default")
def celu(context: Context, self: Tensor, alpha: Any = 1.0) -> Tensor:
    """relu(x) + alpha (exp(min(x, 0) / alpha) - 1)."""
    below = divide(context, context.apply("relu", scale(context, self, -1)), -alpha)
    curved = context.affine(context.apply("exp", below), bias=-1)
    return context.add(context.apply("relu", self), scale(context, curved, alpha))


@lowering("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(context: Context, self: Tensor, weight: Tensor) -> Tensor:
    """relu(x) - weight * relu(-x), one weight for each channel (axis 1) or for all."""
    if weight.size > 1 and len(weight.shape) == 1:
        lead = (-1,) + (1,) * (len(self.shape) - 2)
        weight = context.rearrange(weight, lambda a: a.reshape(lead))
    below = scale(context, context.apply("relu", scale(context, self, -1)), weight)
    return context.add(context.apply("relu", self), scale(context, below, -1))


@lowering("aten.rrelu.default")
def rrelu(
    context: Context,
    self: Tensor,
    lower: Any = 1 / 8,
    upper: Any = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> Tensor:
    """Leaky relu with the mean of its slopes, as in eval mode."""
    if training:
        raise CannotLower("rrelu in train mode; call model.eval() and export it again")
    return leaky_relu(context, self, (lower + upper) / 2)


@lowering("aten.log_sigmoid.default")
def log_sigmoid(context: Context, self: Tensor) -> Tensor:
    """-softplus(-x)."""
    return scale(context, context.apply("softplus", scale(context, self, -1)), -1)


@lowering("aten.softshrink.default")
def softshrink(context: Context, self: Tensor, lambd: Any = 0.5) -> Tensor:
    """relu(x - lambd) - relu(-x - lambd)."""
    above, below = (
        context.apply("relu", context.affine(self, scale=sign, bias=-lambd)) for sign in (1, -1)
    )
    return context.add(above, scale(context, below, -1))


_times = scale
