"""Maxima and minima: max(x, y) = y + relu(x - y), along an axis by a tree of halves."""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.ops.constants import broadcast, keep
from certify.ops.context import CannotLower, Context, Tensor, Value, bounded
from certify.ops.elementwise import scale
from certify.ops.reduce import axes, last
from certify.ops.table import lowering


@lowering("aten.maximum.default", "aten.max.other", "aten.clamp_min.Tensor")
def maximum(context: Context, self: Tensor, other: Any = None, min: Any = None) -> Tensor:
    """The larger of two tensors; an entry that is minus infinity leaves the other one."""
    other = min if other is None else other
    if not isinstance(self, Value) and not isinstance(other, Value):
        return np.maximum(self, other)  # one of the two, hence exact
    shape = bounded(np.broadcast_shapes(self.shape, np.shape(other)))
    x, y = (context.value(broadcast(context, t, shape)) for t in (self, other))
    hide = [np.zeros(shape, bool) if v.hidden is None else v.hidden for v in (x, y)]
    x, y = context.wrap(x.number), context.wrap(y.number)
    out = context.add(y, context.apply("relu", context.add(x, scale(context, y, -1))))
    if not (hide[0] | hide[1]).any():
        return out
    parts = [(out, ~hide[0] & ~hide[1]), (x, hide[1] & ~hide[0]), (y, hide[0] & ~hide[1])]
    kept = [keep(context, value, mask) for value, mask in parts]
    return context.wrap(context.add(context.add(*kept[:2]), kept[2]).number, hide[0] & hide[1])


@lowering("aten.minimum.default", "aten.min.other", "aten.clamp_max.Tensor")
def minimum(context: Context, self: Tensor, other: Any = None, max: Any = None) -> Tensor:
    """The smaller of two tensors."""
    other = max if other is None else other
    if not isinstance(self, Value) and not isinstance(other, Value):
        return np.minimum(self, other)
    return scale(context, maximum(context, *(scale(context, t, -1) for t in (self, other))), -1)


@lowering("aten.clamp.Tensor")
def clamp(context: Context, self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Cut off at bounds that are tensors; where they cross, the upper one counts."""
    out = self if min is None else maximum(context, self, min)
    return out if max is None else minimum(context, out, max)


@lowering("aten.amax.default", "aten.max.default")
def amax(context: Context, self: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Largest entry over axes, or of all."""
    dims = axes(dim, len(self.shape))
    if not isinstance(self, Value):
        return np.asarray(self.max(axis=tuple(dims), keepdims=keepdim))
    kept = [1 if i in dims else n for i, n in enumerate(self.shape)]
    shape = kept if keepdim else [n for i, n in enumerate(self.shape) if i not in dims]
    out: Tensor = last(context, self, dims)
    if not out.shape[-1]:
        raise CannotLower("the largest entry of an empty axis")
    while (count := out.shape[-1]) > 1:
        half = (count + 1) // 2  # the halves may share an entry: max(x, x) = x
        ends = (slice(None, half), slice(count - half, None))
        out = maximum(context, *(context.rearrange(out, lambda a, e=e: a[..., e]) for e in ends))
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.amin.default", "aten.min.default")
def amin(context: Context, self: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Smallest entry over axes, or of all."""
    return scale(context, amax(context, scale(context, self, -1), dim, keepdim), -1)


@lowering("aten.max.dim")
def max_dim(context: Context, self: Tensor, dim: int, keepdim: bool = False) -> list[Tensor | None]:
    """Largest entry along an axis; its position is not a continuous function and left out."""
    return [amax(context, self, dim, keepdim), None]


@lowering("aten.min.dim")
def min_dim(context: Context, self: Tensor, dim: int, keepdim: bool = False) -> list[Tensor | None]:
    """Smallest entry along an axis; its position is left out."""
    return [amin(context, self, dim, keepdim), None]
