"""What a lowering works with: values of the growing graph, and exact constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from certify.graph import Builder, Shape
from theory.functions import FUNCTIONS

#: No tensor of a model may have more entries; damaged files declare absurd shapes.
MAX_ENTRIES = 1 << 26


class CannotLower(Exception):
    """A known operator is used in a way that has no lowering; the text is the reason."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    `hidden` marks the entries that stand for minus infinity (scores of masked keys). The
    graph holds finite numbers only, so an infinity is carried here until softmax drops it;
    the number the graph has at such an entry means nothing.
    """

    number: int
    shape: Shape
    hidden: np.ndarray | None = None


Tensor: TypeAlias = Value | np.ndarray


def bounded(shape: Shape) -> Shape:
    """`shape`, if a tensor of that shape is of a sane size.

    Raises:
        ValueError: a negative axis, or more than `MAX_ENTRIES` entries.
    """
    if any(n < 0 for n in shape) or math.prod(shape) > MAX_ENTRIES:
        raise ValueError(f"absurd shape {tuple(shape)}")
    return tuple(shape)


@dataclass(frozen=True, eq=False)
class Context:
    """The builder and what lowerings share.

    `floating` says whether the operator at hand is declared to return floating point, and
    `epsilon` is the spacing of numbers at 1 in that type.
    """

    builder: Builder
    floating: bool = True
    epsilon: float = 2.0**-52

    def wrap(self, number: int, hidden: np.ndarray | None = None) -> Value:
        """The value with that number, as an argument for other lowerings."""
        return Value(number, self.builder.shape(number), hidden)

    def value(self, tensor: Any) -> Value:
        """`tensor` as a value; constants and numbers enter the graph exactly.

        Raises:
            CannotLower: an entry is nan or +inf, or an integer that float64 cannot hold.
        """
        if isinstance(tensor, Value):
            return tensor
        array = real(tensor)
        hidden = np.isneginf(array)
        if not hidden.any():
            return self.wrap(self.builder.constant(finite(array)))
        rest = self.builder.constant(finite(np.where(hidden, 0.0, array)))
        return self.wrap(rest, hidden)

    def plain(self, tensor: Any) -> int:
        """The number of `tensor` as a value without hidden entries.

        Raises:
            CannotLower: it has entries that are minus infinity.
        """
        value = self.value(tensor)
        if value.hidden is not None and value.hidden.any():
            raise CannotLower("a score masked with -inf reaches an operator other than softmax")
        return value.number

    def rearrange(self, tensor: Tensor, rule: Callable[[np.ndarray], Any]) -> Any:
        """Run a numpy rearrangement on constants as it is, on values as a gather."""
        if isinstance(tensor, np.ndarray):
            out = rule(tensor)
            return list(out) if isinstance(out, list | tuple) else out
        places = np.arange(math.prod(tensor.shape)).reshape(tensor.shape)
        out = rule(places)
        if isinstance(out, list | tuple):
            return [self.select(tensor, index) for index in out]
        return self.select(tensor, out)

    def select(self, tensor: Value, index: np.ndarray) -> Value:
        """The entries of `tensor` at flat positions (no -1)."""
        bounded(index.shape)
        hidden = None if tensor.hidden is None else tensor.hidden.reshape(-1)[index]
        return self.wrap(self.builder.gather(tensor.number, index), hidden)

    def expand(self, tensor: Value, shape: Shape) -> Value:
        """Broadcast `tensor` to `shape`."""
        return self.rearrange(tensor, lambda a: np.broadcast_to(a, bounded(shape)))

    def apply(self, name: str, tensor: Any) -> Value:
        """A registered univariate function, entry by entry."""
        return self.wrap(self.builder.apply(FUNCTIONS[name], self.plain(tensor)))

    def affine(self, tensor: Any, **parts: Any) -> Value:
        """`Builder.affine`, with constants that are checked to be finite."""
        exact = {k: v if k == "divisor" else finite(real(v)) for k, v in parts.items()}
        return self.wrap(self.builder.affine(self.plain(tensor), **exact))

    def add(self, x: Any, y: Any) -> Value:
        """x + y, broadcast; entries that are hidden in one of them stay hidden."""
        if not isinstance(x, Value):
            x, y = (y, x) if isinstance(y, Value) else (self.value(x), y)
        shape = bounded(np.broadcast_shapes(x.shape, np.shape(y)))
        if isinstance(y, Value):
            hidden = either(x.hidden, y.hidden, shape)
            return self.wrap(self.builder.add(x.number, y.number), hidden)
        array = real(y)
        below = np.isneginf(array)
        bias = finite(np.where(below, 0.0, array))
        x = self.expand(x, shape)
        number = self.builder.affine(x.number, bias=bias if bias.any() else None)
        return self.wrap(number, either(x.hidden, below if below.any() else None, shape))

    def multiply(self, x: Any, y: Any) -> Value:
        """x * y for two values, broadcast."""
        x, y = self.plain(x), self.plain(y)
        bounded(np.broadcast_shapes(self.builder.shape(x), self.builder.shape(y)))
        return self.wrap(self.builder.multiply(x, y))


def either(a: np.ndarray | None, b: np.ndarray | None, shape: Shape) -> np.ndarray | None:
    """Where one of two broadcast masks holds; None is the empty mask."""
    masks = [np.broadcast_to(m, shape) for m in (a, b) if m is not None]
    return np.logical_or.reduce(masks) if masks else None


def real(constant: Any) -> np.ndarray:
    """A constant as float64.

    Raises:
        CannotLower: an integer is too large to be one of float64.
    """
    array = np.asarray(constant)
    if array.dtype.kind not in "fiub":
        raise CannotLower("a constant is not made of real numbers")
    out = array.astype(np.float64)
    if array.dtype.kind in "iu" and (np.abs(out) > 2**53).any():
        raise CannotLower("an integer constant above 2**53 meets real numbers")
    return out


def finite(array: np.ndarray) -> np.ndarray:
    """`array`, checked.

    Raises:
        CannotLower: an entry is nan or infinite.
    """
    if not np.isfinite(array).all():
        raise CannotLower("a constant is nan or infinite where a finite number is needed")
    return array


def axis(dim: int, ndim: int) -> int:
    """A non-negative axis number.

    Raises:
        ValueError: there is no such axis.
    """
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise ValueError(f"no axis {dim} in a tensor of {ndim} axes")
    return dim % max(ndim, 1)
