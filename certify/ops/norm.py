"""Normalization over the last axes.

Layer norm is centering (an exact affine map), `square` as a univariate function (so that an
enclosure of the variance stays >= 0), a mean, rsqrt and one product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value
from certify.ops.elementwise import add, scale
from certify.ops.reduce import centered
from certify.ops.table import lowering


def _flat(context: Context, input: Tensor, normalized_shape: list[int]) -> Value:
    value = context.value(input)
    lead = len(value.shape) - len(normalized_shape)
    if lead < 0 or not normalized_shape or list(value.shape[lead:]) != list(normalized_shape):
        raise ValueError("the normalized shape is not that of the last axes")
    shape = (*value.shape[:lead], math.prod(normalized_shape))
    return context.rearrange(value, lambda a: a.reshape(shape))


def _scaled_to_unit(context: Context, x: Value, eps: float) -> Value:
    """x / sqrt(mean of x**2 over the last axis + eps)."""
    square = context.apply("square", x)
    count = x.shape[-1]
    mean = context.affine(square, weight=np.ones((1, count)), divisor=count, bias=eps)
    return context.wrap(
        context.builder.scale_rows(context.plain(x), context.plain(context.apply("rsqrt", mean)))
    )


def _finish(context: Context, x: Value, shape: Any, weight: Any, bias: Any) -> Tensor:
    out: Tensor = context.rearrange(x, lambda a: a.reshape(shape))
    if isinstance(weight, np.ndarray) and isinstance(bias, np.ndarray):
        return context.affine(out, scale=weight, bias=bias)
    out = out if weight is None else scale(context, out, weight)
    return out if bias is None else add(context, out, bias)


@lowering("aten.layer_norm.default")
def layer_norm(
    context: Context,
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Layer norm over the last axes."""
    x = _flat(context, input, normalized_shape)
    unit = _scaled_to_unit(context, centered(context, x), eps)
    return _finish(context, unit, input.shape, weight, bias)


@lowering("aten.native_layer_norm.default")
def native_layer_norm(context: Context, **arguments: Any) -> list[Tensor | None]:
    """Layer norm; its mean and deviation, returned for training, are left out."""
    return [layer_norm(context, **arguments), None, None]


@lowering("aten.rms_norm.default")
def rms_norm(
    context: Context,
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Root-mean-square norm over the last axes."""
    # torch's default is the epsilon of the type that the model was exported in
    eps = context.epsilon if eps is None else eps
    unit = _scaled_to_unit(context, _flat(context, input, normalized_shape), eps)
    return _finish(context, unit, input.shape, weight, None)


@lowering("aten.group_norm.default")
def group_norm(
    context: Context,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Layer norm over groups of channels (axis 1) and all that follows."""
    value = context.value(input)
    groups = context.rearrange(value, lambda a: a.reshape(a.shape[0], num_groups, -1))
    unit = _scaled_to_unit(context, centered(context, groups), eps)
    out: Tensor = context.rearrange(unit, lambda a: a.reshape(value.shape))
    lead = (-1,) + (1,) * (len(value.shape) - 2)
    for part, step in ((weight, scale), (bias, add)):
        if part is not None:
            channel = context.rearrange(part, lambda a: a.reshape(lead))
            out = step(context, out, channel)
    return out


@lowering("aten.native_group_norm.default")
def native_group_norm(
    context: Context,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> list[Tensor | None]:
    """Group norm; its mean and deviation, returned for training, are left out."""
    return [group_norm(context, input, group, weight, bias, eps), None, None]


@lowering("aten.batch_norm.default")
def batch_norm(
    context: Context,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    eps: float,
    **_: Any,
) -> Tensor:
    """Batch norm of a model in eval mode, with its stored mean and variance."""
    if training or running_mean is None or running_var is None:
        raise CannotLower("batch norm in train mode; call model.eval() and export it again")
    lead = (-1,) + (1,) * (len(input.shape) - 2)

    def channel(a: Tensor) -> Tensor:
        return context.rearrange(a, lambda p: p.reshape(lead))

    out = add(context, input, scale(context, channel(running_mean), -1))
    spread = context.apply("rsqrt", context.add(channel(running_var), eps))
    out = context.multiply(out, spread)
    out = out if weight is None else scale(context, out, channel(weight))
    return out if bias is None else add(context, out, channel(bias))


@lowering("aten._native_batch_norm_legit_no_training.default")
def native_batch_norm(context: Context, **arguments: Any) -> list[Tensor | None]:
    """Batch norm in eval mode; the statistics of the batch are left out."""
    return [batch_norm(context, training=False, **arguments), None, None]
