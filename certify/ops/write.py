"""Writing into a tensor: part of it comes from another one; this is how in-place code arrives.

The place is marked by writing positions into an array, so each operator is the line of numpy
that writes there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from certify.ops.constants import broadcast, keep
from certify.ops.context import CannotLower, Context, Tensor, Value, axis, bounded
from certify.ops.structure import whole
from certify.ops.table import lowering

#: Writes the entries of its second argument into its first.
Write = Callable[[np.ndarray, np.ndarray], None]


def overwrite(context: Context, self: Tensor, source: Any, write: Write) -> Tensor:
    """`self` with entries of `source` written into it."""
    if not isinstance(self, Value) and not isinstance(source, Value):
        kind = np.float64 if context.floating else self.dtype
        out, written = self.astype(kind), np.asarray(source)
        write(out, written)
        return out
    place = np.full(self.shape, -1)
    write(place, np.arange(math.prod(np.shape(source))).reshape(np.shape(source)))
    new = context.value(source)
    hidden = None if new.hidden is None else (place >= 0) & new.hidden.reshape(-1)[place]
    written = context.wrap(context.builder.gather(new.number, place), hidden)
    return context.add(keep(context, context.value(self), place < 0), written)


@lowering("aten.copy.default")
def copy(context: Context, self: Tensor, src: Tensor, **_: Any) -> Tensor:
    """The other tensor, in the shape of this one."""
    return (
        broadcast(context, src, bounded(self.shape))
        if isinstance(src, Value)
        else (np.broadcast_to(src, bounded(self.shape)))
    )


@lowering("aten.slice_scatter.default")
def slice_scatter(
    context: Context,
    self: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """Replace a range of an axis."""
    place = (slice(None),) * axis(dim, len(self.shape)) + (slice(start, end, step),)

    def write(a: np.ndarray, b: np.ndarray) -> None:
        a[place] = b

    return overwrite(context, self, src, write)


@lowering("aten.select_scatter.default")
def select_scatter(context: Context, self: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """Replace one slice of an axis."""
    place = (slice(None),) * axis(dim, len(self.shape)) + (index,)

    def write(a: np.ndarray, b: np.ndarray) -> None:
        a[place] = b

    return overwrite(context, self, src, write)


@lowering("aten.index_put.default")
def index_put(
    context: Context,
    self: Tensor,
    indices: list[Tensor | None],
    values: Tensor,
    accumulate: bool = False,
) -> Tensor:
    """Replace entries at constant positions, given axis by axis."""
    if accumulate:
        raise CannotLower("entries are added up at positions that may coincide")
    place = tuple(slice(None) if i is None else whole(i, mask=True) for i in indices)

    def write(a: np.ndarray, b: np.ndarray) -> None:
        a[place] = b

    return overwrite(context, self, values, write)


@lowering("aten.scatter.src", "aten.scatter.value")
def scatter(
    context: Context, self: Tensor, dim: int, index: Tensor, src: Any = None, value: Any = None
) -> Tensor:
    """Replace entries at constant positions along one axis."""
    index = whole(index)
    source = np.full(index.shape, value, dtype=float) if src is None else src
    corner = tuple(slice(n) for n in index.shape)

    def write(a: np.ndarray, b: np.ndarray) -> None:
        part = a[tuple(slice(None) if i == axis(dim, a.ndim) else c for i, c in enumerate(corner))]
        np.put_along_axis(part, index, b[corner], axis=axis(dim, a.ndim))

    return overwrite(context, self, source, write)


@lowering("aten.constant_pad_nd.default")
def constant_pad(context: Context, self: Tensor, pad: list[int], value: Any = 0) -> Tensor:
    """Add entries of one value at the ends of the last axes, or cut off where negative."""
    pairs = [(0, 0)] * (len(self.shape) - len(pad) // 2)
    pairs += list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    shape = tuple(n + a + b for n, (a, b) in zip(self.shape, pairs, strict=True))
    frame = np.full(bounded(shape), value, dtype=float if context.floating else None)
    inside = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(shape, pairs, strict=True))
    cut = tuple(
        slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(self.shape, pairs, strict=True)
    )
    kept = context.rearrange(self, lambda a: a[cut])

    def write(a: np.ndarray, b: np.ndarray) -> None:
        a[inside] = b

    return overwrite(context, frame, kept, write)


@lowering("aten.pad.default")
def pad(
    context: Context, self: Tensor, pad: list[int], mode: str = "constant", value: Any = None
) -> Tensor:
    """Pad by a constant, or with entries of the tensor (reflect, replicate, circular)."""
    if mode == "constant":
        return constant_pad(context, self, pad, 0 if value is None else value)
    kinds = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in kinds or min(pad) < 0:
        raise CannotLower(f"padding of mode {mode} with the widths {pad}")
    pairs = [(0, 0)] * (len(self.shape) - len(pad) // 2)
    pairs += list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    bounded(tuple(n + a + b for n, (a, b) in zip(self.shape, pairs, strict=True)))
    return context.rearrange(self, lambda a: np.pad(a, pairs, mode=kinds[mode]))
