"""Constants: made, compared and chosen from. Nothing here rounds.

A scalar of the model (a fill value, a scale, an epsilon) means the double that is stored in
the archive, not its float32 rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value, bounded, real
from certify.ops.table import lowering


def _filled(context: Context, shape: Any, fill: Any) -> np.ndarray:
    return np.full(bounded(tuple(shape)), fill, dtype=np.float64 if context.floating else None)


@lowering("aten.full.default")
def full(context: Context, size: list[int], fill_value: Any, **_: Any) -> np.ndarray:
    """A constant tensor."""
    return _filled(context, size, fill_value)


@lowering("aten.full_like.default")
def full_like(context: Context, self: Tensor, fill_value: Any, **_: Any) -> np.ndarray:
    """A constant tensor in the shape of another."""
    return _filled(context, self.shape, fill_value)


@lowering("aten.zeros.default", "aten.new_zeros.default")
def zeros(context: Context, size: list[int], **_: Any) -> np.ndarray:
    """Zeros."""
    return _filled(context, size, 0)


@lowering("aten.ones.default", "aten.new_ones.default")
def ones(context: Context, size: list[int], **_: Any) -> np.ndarray:
    """Ones."""
    return _filled(context, size, 1)


@lowering("aten.new_full.default")
def new_full(context: Context, size: list[int], fill_value: Any, **_: Any) -> np.ndarray:
    """A constant tensor."""
    return _filled(context, size, fill_value)


@lowering("aten.zeros_like.default")
def zeros_like(context: Context, self: Tensor, **_: Any) -> np.ndarray:
    """Zeros in the shape of another tensor."""
    return _filled(context, self.shape, 0)


@lowering("aten.ones_like.default")
def ones_like(context: Context, self: Tensor, **_: Any) -> np.ndarray:
    """Ones in the shape of another tensor."""
    return _filled(context, self.shape, 1)


@lowering("aten.scalar_tensor.default")
def scalar_tensor(context: Context, s: Any, **_: Any) -> np.ndarray:
    """A number."""
    return _filled(context, (), s)


@lowering("aten.eye.default", "aten.eye.m")
def eye(context: Context, n: int, m: int | None = None, **_: Any) -> np.ndarray:
    """An identity matrix."""
    return np.eye(*bounded((n, n if m is None else m)))


@lowering("aten.arange.default", "aten.arange.start", "aten.arange.start_step")
def arange(context: Context, end: Any, start: Any = 0, step: Any = 1, **_: Any) -> Tensor:
    """start, start + step, ...: exact in integers, otherwise left to the graph."""
    count = max(0, math.ceil((end - start) / step))
    ticks = np.arange(bounded((count,))[0])
    if all(float(n).is_integer() for n in (start, step)):
        return int(start) + ticks * int(step)
    return context.affine(ticks, scale=step, bias=start)


@lowering("aten.linspace.default")
def linspace(context: Context, start: Any, end: Any, steps: int, **_: Any) -> Tensor:
    """Equal steps, both ends included: ((steps - 1 - i) start + i end) / (steps - 1)."""
    if bounded((steps,)) == (1,):
        return _filled(context, (1,), start)
    ticks = np.arange(steps)
    pairs = context.value(np.stack([ticks[::-1], ticks], axis=-1))
    out = context.affine(pairs, weight=[[start, end]], divisor=steps - 1)
    return context.rearrange(out, lambda a: a.reshape(steps))


@lowering("aten._assert_tensor_metadata.default")
def assert_metadata(context: Context, **_: Any) -> list[Tensor]:
    """A check made by torch; nothing to compute."""
    return []


def exact(tensor: Any, what: str = "a condition") -> np.ndarray:
    """A constant that is known exactly.

    Raises:
        CannotLower: it depends on the input, or had to be rounded.
    """
    if isinstance(tensor, Value):
        raise CannotLower(f"{what} depends on the input or on rounded constants")
    return np.asarray(tensor)


_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_LOGIC = {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}


def _compare(name: str) -> Any:
    def rule(context: Context, self: Tensor, other: Any) -> np.ndarray:
        """Compare two constants."""
        if name in ("eq", "ne") and isinstance(self, Value) and np.ndim(other) == 0:
            if isinstance(other, Value) or not np.isneginf(other):
                raise CannotLower("a comparison depends on the input")
            # only a hidden entry is minus infinity; every other entry is a real number
            hidden = np.zeros(self.shape, bool) if self.hidden is None else self.hidden
            return hidden if name == "eq" else ~hidden
        parts = (exact(self, "a comparison"), exact(other, "a comparison"))
        return np.asarray((_COMPARE | _LOGIC)[name](*parts))

    return rule


for _name in _COMPARE:
    lowering(f"aten.{_name}.Scalar", f"aten.{_name}.Tensor")(_compare(_name))
for _name in _LOGIC:
    _kinds = ("default",) if _name.startswith("logical") else ("Tensor", "Scalar")
    lowering(*(f"aten.{_name}.{kind}" for kind in _kinds))(_compare(_name))


@lowering("aten.logical_not.default", "aten.bitwise_not.default")
def logical_not(context: Context, self: Tensor) -> np.ndarray:
    """Negate a constant condition."""
    array = exact(self)
    if array.dtype.kind != "b":
        raise CannotLower("the negation of something that is not a condition")
    return np.asarray(~array)


@lowering("aten.any.default", "aten.any.dim", "aten.any.dims")
def any_(context: Context, self: Tensor, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    """Whether a constant condition holds somewhere."""
    dim = tuple(dim) if isinstance(dim, list) else dim
    return np.asarray(np.any(exact(self), axis=dim, keepdims=keepdim))


@lowering("aten.all.default", "aten.all.dim", "aten.all.dims")
def all_(context: Context, self: Tensor, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    """Whether a constant condition holds everywhere."""
    dim = tuple(dim) if isinstance(dim, list) else dim
    return np.asarray(np.all(exact(self), axis=dim, keepdims=keepdim))


_ROUND = {
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.round,
    "sign": np.sign,
    "isnan": np.isnan,
    "isinf": np.isinf,
}


def _rounded(name: str) -> Any:
    def rule(context: Context, self: Tensor) -> np.ndarray:
        array = exact(self, f"{name}, which has jumps,")
        return np.asarray(_ROUND[name](array))

    rule.__doc__ = f"{name} of a constant; of the input it would have jumps."
    return rule


for _name in _ROUND:
    lowering(f"aten.{_name}.default")(_rounded(_name))


@lowering("aten.triu.default")
def triu(context: Context, self: Tensor, diagonal: int = 0) -> Tensor:
    """Zero below a diagonal."""
    return keep(context, self, np.triu(np.ones(self.shape, bool), diagonal))


@lowering("aten.tril.default")
def tril(context: Context, self: Tensor, diagonal: int = 0) -> Tensor:
    """Zero above a diagonal."""
    return keep(context, self, np.tril(np.ones(self.shape, bool), diagonal))


def keep(context: Context, tensor: Tensor, mask: np.ndarray) -> Tensor:
    """`tensor` where the mask holds and 0 elsewhere (-inf too: it is chosen, not multiplied)."""
    if isinstance(tensor, np.ndarray):
        return np.where(mask, tensor, np.zeros((), tensor.dtype))
    index = np.where(mask, np.arange(mask.size).reshape(mask.shape), -1)
    hidden = None if tensor.hidden is None else tensor.hidden & mask
    return context.wrap(context.builder.gather(tensor.number, index), hidden)


@lowering("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(context: Context, self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A number where a constant mask holds."""
    return where(context, mask, value, self)


@lowering("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(context: Context, condition: Tensor, self: Any, other: Any) -> Tensor:
    """Choose between two tensors by a constant condition."""
    mask = exact(condition).astype(bool)
    if not isinstance(self, Value) and not isinstance(other, Value):
        return np.where(mask, np.asarray(self), np.asarray(other))
    shape = bounded(np.broadcast_shapes(mask.shape, np.shape(self), np.shape(other)))
    mask = np.broadcast_to(mask, shape)
    sides = [broadcast(context, side, shape) for side in (self, other)]
    return context.add(keep(context, sides[0], mask), keep(context, sides[1], ~mask))


def broadcast(context: Context, side: Any, shape: Any) -> Tensor:
    """A tensor or number in a larger shape."""
    tensor = side if isinstance(side, Value) else real(side)
    return context.rearrange(tensor, lambda a: np.broadcast_to(a, shape))
