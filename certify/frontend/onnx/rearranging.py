"""ONNX's operators that move entries, in torch; registered beside those of `operators`.

Source:
    ONNX operator specification, versions 13 to 20 of the default operator set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from certify.errors import Unsupported
from certify.frontend.onnx.operators import Arguments, operator
from certify.ops.context import bounded


@operator("Shape")
def _shape(a: Arguments) -> np.ndarray:
    shape = list(a[0].shape)
    return np.array(shape[a.get("start", 0) : a.get("end")], dtype=np.int64)


@operator("Size")
def _size(a: Arguments) -> np.ndarray:
    return np.array(math.prod(a[0].shape), dtype=np.int64)


@operator("Reshape")
def _reshape(a: Arguments) -> torch.Tensor:
    shape = a.ints(1)
    if not a.get("allowzero", 0):
        shape = [a[0].shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return a[0].reshape(shape)


@operator("Flatten")
def _flatten(a: Arguments) -> torch.Tensor:
    axis = a.get("axis", 1)
    axis = axis + a[0].dim() if axis < 0 else axis
    return a[0].reshape(math.prod(a[0].shape[:axis]), -1)


@operator("Transpose")
def _transpose(a: Arguments) -> torch.Tensor:
    return a[0].permute(a.get("perm", list(range(a[0].dim()))[::-1]))


@operator("Squeeze")
def _squeeze(a: Arguments) -> torch.Tensor:
    axes = a.axes(1)
    if axes is None:
        return a[0].squeeze()
    if any(a[0].shape[i] != 1 for i in axes):
        raise ValueError("an axis that is squeezed has another length than 1")
    return a[0].squeeze(axes)


@operator("Unsqueeze")
def _unsqueeze(a: Arguments) -> torch.Tensor:
    axes = a.axes(1)
    count = a[0].dim() + len(axes)
    out = a[0]
    for axis in sorted(n % count for n in axes):
        out = out.unsqueeze(axis)
    return out


@operator("Concat")
def _concat(a: Arguments) -> torch.Tensor:
    return torch.cat([a[i] for i in range(len(a))], a.get("axis"))


@operator("Split")
def _split(a: Arguments) -> tuple[torch.Tensor, ...]:
    axis, x = a.get("axis", 0), a[0]
    if a.has(1):
        return tuple(x.split(a.ints(1), axis))
    count = a.get("num_outputs")
    if count is None:
        raise Unsupported("a split that names neither its sizes nor their number")
    return tuple(x.split(-(-x.shape[axis] // count), axis))


@operator("Slice")
def _slice(a: Arguments) -> torch.Tensor:
    out, starts, ends = a[0], a.ints(1), a.ints(2)
    axes = a.ints(3) if a.has(3) else list(range(len(starts)))
    steps = a.ints(4) if a.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(*slice(start, end, step).indices(out.shape[axis]))
        if step < 0:
            last = places[-1] if places else 0
            flipped = out.flip([axis])
            size = out.shape[axis]
            begin = size - 1 - places[0] if places else 0
            stop = size - last if places else 0
            out = _range(flipped, axis, begin, stop, -step)
        else:
            out = _range(out, axis, places.start, max(places.stop, places.start), step)
    return out


def _range(x: torch.Tensor, axis: int, start: int, end: int, step: int) -> torch.Tensor:
    index: list[Any] = [slice(None)] * x.dim()
    index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _positions(a: Arguments, place: int, size: int) -> torch.Tensor:
    """An input of positions along an axis, counted from its beginning."""
    index = a.whole(place)
    if index.size and not (-size <= index.min() and index.max() < size):
        raise IndexError(f"an index is outside an axis of {size} entries")
    if (index >= 0).all():
        return a[place]
    return torch.where(a[place] < 0, a[place] + size, a[place])


@operator("Gather")
def _gather(a: Arguments) -> torch.Tensor:
    axis = a.get("axis", 0) % max(a[0].dim(), 1)
    index = a.whole(1)
    if index.ndim == 0:
        return a[0].select(axis, int(index))
    places = _positions(a, 1, a[0].shape[axis])
    bounded((a[0].numel(), index.size))
    shape = (*a[0].shape[:axis], *index.shape, *a[0].shape[axis + 1 :])
    return a[0].index_select(axis, places.reshape(-1)).reshape(shape)


@operator("GatherElements")
def _gather_elements(a: Arguments) -> torch.Tensor:
    axis = a.get("axis", 0)
    return a[0].gather(axis, _positions(a, 1, a[0].shape[axis]))


@operator("ScatterElements")
def _scatter_elements(a: Arguments) -> torch.Tensor:
    axis = a.get("axis", 0)
    if a.get("reduction", "none") != "none":
        raise Unsupported("entries are added up at positions that may coincide")
    return a[0].scatter(axis, _positions(a, 1, a[0].shape[axis]), a[2])


@operator("ScatterND")
def _scatter_nd(a: Arguments) -> torch.Tensor:
    if a.get("reduction", "none") != "none":
        raise Unsupported("entries are added up at positions that may coincide")
    a.whole(1)
    return a[0].index_put(tuple(a[1].unbind(-1)), a[2])


@operator("Expand")
def _expand(a: Arguments) -> torch.Tensor:
    return a[0].expand(bounded(np.broadcast_shapes(tuple(a[0].shape), tuple(a.ints(1)))))


@operator("Tile")
def _tile(a: Arguments) -> torch.Tensor:
    counts = a.ints(1)
    bounded(tuple(n * c for n, c in zip(a[0].shape, counts, strict=True)))
    return a[0].repeat(counts)


@operator("Pad")
def _pad(a: Arguments) -> torch.Tensor:
    ends, mode = a.ints(1), a.get("mode", "constant")
    axes = a.ints(3) if a.has(3) else list(range(len(ends) // 2))
    widths = [[0, 0] for _ in a[0].shape]
    for place, axis in enumerate(axes):
        widths[axis] = [ends[place], ends[place + len(axes)]]
    bounded(tuple(n + sum(w) for n, w in zip(a[0].shape, widths, strict=True)))
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    flat = [w for pair in reversed(widths) for w in pair]
    if mode != "constant":
        while len(flat) > 2 and not any(flat[-2:]):
            flat = flat[:-2]
        return F.pad(a[0], flat, mode=modes[mode])
    if not a.has(2):
        return F.pad(a[0], flat)
    frame = F.pad(torch.zeros_like(a[0]), flat, value=1.0)
    return F.pad(a[0], flat) + frame * a[2].reshape(())
