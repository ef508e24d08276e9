"""Rearrangements, each a line of numpy; see `table.structural` for what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.graph import Gather
from certify.ops.context import CannotLower, Context, Tensor, Value, axis, bounded
from certify.ops.table import VIEWS, lowering, structural


@structural(
    "aten.contiguous.default",
    "aten.clone.default",
    "aten.detach.default",
    "aten.detach_.default",
    "aten.alias.default",
    "aten.lift_fresh_copy.default",
    "aten.lift.default",
)
def same(a: np.ndarray, **_: Any) -> np.ndarray:
    """The tensor itself."""
    return a


@structural(
    "aten.to.dtype",
    "aten.to.device",
    "aten.to.dtype_layout",
    "aten._to_copy.default",
    "aten.to.other",
    "aten.type_as.default",
)
def convert(a: np.ndarray, **_: Any) -> np.ndarray:
    """Conversion between floating types: the same real numbers."""
    return a


@structural("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")
def dropout(a: np.ndarray, p: float = 0.5, train: bool = True) -> np.ndarray:
    """Dropout of a model in eval mode: the tensor itself."""
    if train and p:
        raise CannotLower(
            "the model was exported in train mode; call model.eval() and export it again"
        )
    return a


@structural("aten.view.default", "aten._unsafe_view.default", "aten.view_copy.default")
def view(a: np.ndarray, size: list[int]) -> np.ndarray:
    """The same entries in another shape."""
    return a.reshape(size)


@structural("aten.reshape.default")
def reshape(a: np.ndarray, shape: list[int]) -> np.ndarray:
    """The same entries in another shape."""
    return a.reshape(shape)


@structural("aten.flatten.using_ints")
def flatten(a: np.ndarray, start_dim: int = 0, end_dim: int = -1) -> np.ndarray:
    """Merge neighboring axes."""
    first, last = axis(start_dim, a.ndim), axis(end_dim, a.ndim)
    middle = math.prod(a.shape[first : last + 1])
    return a.reshape((*a.shape[:first], middle, *a.shape[last + 1 :]))


@structural("aten.unflatten.int")
def unflatten(a: np.ndarray, dim: int, sizes: list[int]) -> np.ndarray:
    """Cut one axis into several."""
    dim = axis(dim, a.ndim)
    part = np.empty(a.shape[dim], bool).reshape(sizes).shape
    return a.reshape((*a.shape[:dim], *part, *a.shape[dim + 1 :]))


@structural("aten.permute.default", "aten.permute_copy.default")
def permute(a: np.ndarray, dims: list[int]) -> np.ndarray:
    """Reorder the axes."""
    return a.transpose(dims)


@structural("aten.transpose.int", "aten.transpose_copy.int", "aten.swapdims.default")
def transpose(a: np.ndarray, dim0: int, dim1: int) -> np.ndarray:
    """Exchange two axes."""
    return a.swapaxes(axis(dim0, a.ndim), axis(dim1, a.ndim)) if a.ndim else a


@structural("aten.swapaxes.default")
def swapaxes(a: np.ndarray, axis0: int, axis1: int) -> np.ndarray:
    """Exchange two axes."""
    return transpose(a, axis0, axis1)


@structural("aten.t.default", "aten.numpy_T.default")
def t(a: np.ndarray) -> np.ndarray:
    """Transpose a matrix."""
    return a.T


@structural("aten.mT.default")
def matrix_transpose(a: np.ndarray) -> np.ndarray:
    """Exchange the last two axes."""
    return a.swapaxes(-1, -2)


@structural("aten.movedim.int", "aten.movedim.intlist")
def movedim(a: np.ndarray, source: Any, destination: Any) -> np.ndarray:
    """Move axes to other places."""
    return np.moveaxis(a, source, destination)


@structural("aten.select.int", "aten.select_copy.int")
def select(a: np.ndarray, dim: int, index: int) -> np.ndarray:
    """One slice of an axis."""
    return np.take(a, index, axis=dim)


@structural("aten.slice.Tensor", "aten.slice_copy.Tensor")
def cut(
    a: np.ndarray, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> np.ndarray:
    """A range of an axis."""
    index = [slice(None)] * a.ndim
    index[axis(dim, a.ndim)] = slice(start, end, step)
    return a[tuple(index)]


@structural("aten.narrow.default")
def narrow(a: np.ndarray, dim: int, start: int, length: int) -> np.ndarray:
    """A range of an axis, by start and length."""
    start = start + a.shape[dim] if start < 0 else start
    return cut(a, dim, start, start + length)


@structural("aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims")
def squeeze(a: np.ndarray, dim: Any = None) -> np.ndarray:
    """Drop axes of length 1 (others stay)."""
    dims = range(a.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dropped = {axis(d, a.ndim) for d in dims}
    return a.reshape([n for i, n in enumerate(a.shape) if n != 1 or i not in dropped])


@structural("aten.unsqueeze.default", "aten.unsqueeze_copy.default")
def unsqueeze(a: np.ndarray, dim: int) -> np.ndarray:
    """A new axis of length 1."""
    return np.expand_dims(a, dim)


@structural("aten.expand.default", "aten.expand_copy.default", "aten.broadcast_to.default")
def expand(a: np.ndarray, size: list[int], implicit: bool = False) -> np.ndarray:
    """Repeat along axes of length 1; -1 keeps an axis."""
    fill = [1] * (len(size) - a.ndim) + list(a.shape)
    shape = [old if new == -1 else new for new, old in zip(size, fill, strict=True)]
    return np.broadcast_to(a, bounded(tuple(shape)))


@lowering("aten.expand_as.default")
def expand_as(context: Context, self: Tensor, other: Tensor) -> Any:
    """Repeat along axes of length 1, to the shape of another tensor."""
    return context.rearrange(self, lambda a: np.broadcast_to(a, other.shape))


@lowering("aten.view_as.default", "aten.reshape_as.default")
def view_as(context: Context, self: Tensor, other: Tensor) -> Any:
    """The same entries in the shape of another tensor."""
    return context.rearrange(self, lambda a: a.reshape(other.shape))


VIEWS |= {"aten.expand_as.default", "aten.view_as.default", "aten.reshape_as.default"}


@structural("aten.repeat.default")
def repeat(a: np.ndarray, repeats: list[int]) -> np.ndarray:
    """Tile; the list is as long as the result has axes."""
    shape = (1,) * (len(repeats) - a.ndim) + a.shape
    bounded(tuple(n * r for n, r in zip(shape, repeats, strict=True)))
    return np.tile(a, repeats)


@structural("aten.tile.default")
def tile(a: np.ndarray, dims: list[int]) -> np.ndarray:
    """Tile; a short list means the last axes."""
    return repeat(a, [1] * (a.ndim - len(dims)) + list(dims))


@structural("aten.repeat_interleave.self_int")
def repeat_interleave(
    a: np.ndarray, repeats: int, dim: int | None = None, output_size: int | None = None
) -> np.ndarray:
    """Every entry of an axis several times."""
    bounded((a.size, repeats))
    return np.repeat(a, repeats, axis=dim)


@structural("aten.flip.default")
def flip(a: np.ndarray, dims: list[int]) -> np.ndarray:
    """Reverse axes."""
    return np.flip(a, tuple(dims))


@structural("aten.roll.default")
def roll(a: np.ndarray, shifts: list[int], dims: list[int] = ()) -> np.ndarray:
    """Rotate entries along axes."""
    return np.roll(a, tuple(shifts), tuple(dims)) if dims else np.roll(a, tuple(shifts))


@structural("aten.diagonal.default")
def diagonal(a: np.ndarray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> np.ndarray:
    """A diagonal, as the last axis."""
    return np.diagonal(a, offset, dim1, dim2)


@structural("aten.unfold.default")
def unfold(a: np.ndarray, dimension: int, size: int, step: int) -> np.ndarray:
    """Windows of an axis; what lies in a window is the new last axis."""
    starts = range(0, a.shape[dimension] - size + 1, step)
    bounded((a.size, size))
    pieces = [np.take(a, range(i, i + size), axis=dimension) for i in starts]
    moved = [np.moveaxis(p, dimension, -1) for p in pieces]
    return np.stack(moved, axis=axis(dimension, a.ndim))


@structural("aten.split.Tensor")
def split(a: np.ndarray, split_size: int, dim: int = 0) -> list[np.ndarray]:
    """Pieces of equal length; the last may be shorter."""
    ends = range(split_size, a.shape[dim], split_size)
    return np.split(a, list(ends), axis=dim)


@structural("aten.split_with_sizes.default")
def split_with_sizes(a: np.ndarray, split_sizes: list[int], dim: int = 0) -> list[np.ndarray]:
    """Pieces of given lengths."""
    if sum(split_sizes) != a.shape[dim]:
        raise ValueError("the pieces do not add up to the axis")
    return np.split(a, np.cumsum(split_sizes)[:-1].tolist(), axis=dim)


@structural("aten.split.sizes")
def split_sizes(a: np.ndarray, split_size: list[int], dim: int = 0) -> list[np.ndarray]:
    """Pieces of given lengths."""
    return split_with_sizes(a, split_size, dim)


@structural("aten.chunk.default")
def chunk(a: np.ndarray, chunks: int, dim: int = 0) -> list[np.ndarray]:
    """A number of pieces; the last may be shorter."""
    return split(a, -(-a.shape[dim] // chunks), dim)


@structural("aten.unbind.int")
def unbind(a: np.ndarray, dim: int = 0) -> list[np.ndarray]:
    """Every slice of an axis."""
    return [np.take(a, i, axis=dim) for i in range(a.shape[dim])]


@lowering("aten.index_select.default")
def index_select(context: Context, self: Tensor, dim: int, index: Tensor) -> Any:
    """Slices of an axis at constant positions."""
    return context.rearrange(self, lambda a: np.take(a, whole(index), axis=dim))


@lowering("aten.gather.default")
def gather(context: Context, self: Tensor, dim: int, index: Tensor, **_: Any) -> Any:
    """Entries at constant positions along one axis."""
    return context.rearrange(self, lambda a: np.take_along_axis(a, whole(index), axis=dim))


@lowering("aten.index.Tensor")
def index_tensor(context: Context, self: Tensor, indices: list[Tensor | None]) -> Any:
    """Entries at constant positions, given axis by axis."""
    place = tuple(slice(None) if i is None else whole(i, mask=True) for i in indices)
    return context.rearrange(self, lambda a: a[place])


@lowering("aten.embedding.default")
def embedding(context: Context, weight: Tensor, indices: Tensor, **_: Any) -> Any:
    """Rows of a table at constant positions."""
    return context.rearrange(weight, lambda a: np.take(a, whole(indices), axis=0))


def whole(index: Any, *, mask: bool = False) -> np.ndarray:
    """A constant integer index (or a mask, where that is allowed)."""
    if isinstance(index, Value):
        raise CannotLower("an index depends on the input")
    if index.dtype.kind not in ("ib" if mask else "i"):
        raise ValueError("an index is not an integer")
    bounded(index.shape)
    return index


@lowering("aten.one_hot.default")
def one_hot(context: Context, self: Tensor, num_classes: int = -1) -> np.ndarray:
    """Rows of an identity matrix at constant positions."""
    index = whole(self)
    count = int(index.max()) + 1 if num_classes < 0 else num_classes
    bounded((index.size, count))
    return np.eye(*bounded((count, count)), dtype=np.int64)[index]


@lowering("aten.cat.default", "aten.concat.default")
def cat(context: Context, tensors: list[Tensor], dim: int = 0) -> Tensor:
    """Join along an axis."""
    # torch skips empty tensors of one axis, whatever the shape of the others
    kept = [t for t in tensors if t.shape != (0,)] or tensors[:1]
    return join(context, kept, lambda parts: np.concatenate(parts, axis=dim))


@lowering("aten.stack.default")
def stack(context: Context, tensors: list[Tensor], dim: int = 0) -> Tensor:
    """Join along a new axis."""
    return join(context, tensors, lambda parts: np.stack(parts, axis=dim))


def join(context: Context, tensors: list[Tensor], rule: Any) -> Tensor:
    """Sum of gathers, one per source, each zero outside its own pieces; constants as bias."""
    if all(isinstance(t, np.ndarray) for t in tensors):
        return rule(tensors)
    bounded((sum(math.prod(t.shape) for t in tensors),))
    sources: dict[int, list[np.ndarray]] = {}
    for place, tensor in enumerate(tensors):
        if isinstance(tensor, Value):
            number, index = origin(context, tensor)
            blank = [np.full(t.shape, -1) for t in tensors]
            pieces = sources.setdefault(number, blank)
            pieces[place] = index
    fixed = [np.zeros(t.shape) if isinstance(t, Value) else np.asarray(t, float) for t in tensors]
    hidden = rule([_hidden(t) for t in tensors])
    bias = np.where(hidden, 0.0, rule(fixed))
    gathers = [context.builder.gather(n, rule(pieces)) for n, pieces in sources.items()]
    total = gathers[0]
    for other in gathers[1:]:
        total = context.builder.add(total, other)
    if bias.any():
        total = context.affine(context.wrap(total), bias=bias).number
    return context.wrap(total, hidden if hidden.any() else None)


def _hidden(tensor: Tensor) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return np.isneginf(tensor) if tensor.dtype.kind == "f" else np.zeros(tensor.shape, bool)
    return np.zeros(tensor.shape, bool) if tensor.hidden is None else tensor.hidden


def origin(context: Context, tensor: Value) -> tuple[int, np.ndarray]:
    """The value that `tensor` is a rearrangement of, and the index that makes it.

    Pieces cut from one value and joined again are then one gather, not a sum.
    """
    node = context.builder.nodes[tensor.number - 1] if tensor.number else None
    if node is not None and isinstance(node.primitive, Gather):
        return node.inputs[0], node.primitive.index
    return tensor.number, np.arange(math.prod(tensor.shape)).reshape(tensor.shape)
