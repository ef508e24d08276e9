"""Matrix products: affine where one side is a constant matrix, bilinear otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import Context, Tensor, Value, bounded
from certify.ops.elementwise import add, scale
from certify.ops.table import lowering


def swap(context: Context, x: Tensor) -> Tensor:
    """Exchange the last two axes."""
    return context.rearrange(x, lambda a: a.swapaxes(-1, -2))


def product(context: Context, x: Tensor, y: Tensor) -> Tensor:
    """x @ y for tensors of at least two axes; the leading axes broadcast."""
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"cannot multiply shapes {x.shape} and {y.shape}")
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = bounded((*lead, x.shape[-2], y.shape[-1]))
    if not isinstance(x, Value) and isinstance(y, Value) and math.prod(x.shape[:-2]) == 1:
        return swap(context, product(context, swap(context, y), swap(context, x)))
    if isinstance(y, Value) or math.prod(y.shape[:-2]) != 1:
        return context.wrap(context.builder.matmul(context.plain(x), context.plain(y)))
    out = context.affine(x, weight=y.reshape(y.shape[-2:]).T)
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.matmul.default", "aten.mm.default", "aten.bmm.default", "aten.mv.default")
def matmul(context: Context, self: Tensor, other: Any = None, **names: Tensor) -> Tensor:
    """Matrix product; a vector on the left is a row, on the right a column."""
    y = other
    for name in ("mat2", "vec"):
        y = names.get(name, y)
    left, right = len(self.shape) == 1, len(y.shape) == 1
    x = context.rearrange(self, lambda a: a[None]) if left else self
    y = context.rearrange(y, lambda a: a[:, None]) if right else y
    out = product(context, x, y)
    out = context.rearrange(out, lambda a: a[..., 0]) if right else out
    if left:
        out = context.rearrange(out, lambda a: a[0] if right else a[..., 0, :])
    return out


@lowering("aten.dot.default")
def dot(context: Context, self: Tensor, tensor: Tensor) -> Tensor:
    """Inner product of two vectors."""
    return matmul(context, self, tensor)


@lowering("aten.linear.default")
def linear(context: Context, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias."""
    if isinstance(weight, Value):
        out = matmul(context, input, swap(context, weight))
        return out if bias is None else add(context, out, bias)
    if isinstance(bias, Value):
        return context.add(context.affine(input, weight=weight), bias)
    return context.affine(input, weight=weight, **({} if bias is None else {"bias": bias}))


@lowering("aten.addmm.default", "aten.baddbmm.default", "aten.addmv.default")
def addmm(
    context: Context, self: Tensor, beta: Any = 1, alpha: Any = 1, **factors: Tensor
) -> Tensor:
    """beta * self + alpha * (product of two matrices)."""
    x, y = factors.values()
    out = matmul(context, x, y)
    out = out if alpha == 1 else scale(context, out, alpha)
    if beta == 0:
        return out
    return add(context, out, self if beta == 1 else scale(context, self, beta))


@lowering("aten.outer.default")
def outer(context: Context, self: Tensor, vec2: Tensor) -> Tensor:
    """Products of all pairs of entries of two vectors."""
    return scale(context, context.rearrange(self, lambda a: a[:, None]), vec2)
