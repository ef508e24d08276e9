"""A model as a graph of five primitives.

| primitive | meaning |
|---|---|
| Gather | reorder, repeat, select by a constant index array; index -1 selects zero |
| Affine | (x @ weight.T) * scale / divisor + bias: an exact linear map of the last axis |
| Add | x + y, same shape |
| Matmul | x @ y, same leading axes |
| Apply | a univariate function, entry by entry |

Values are tensors of real numbers *without* a batch axis. The constants held by a node are
float64 and exact: a graph means one real function, with no rounding anywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from theory.functions import Function

Shape: TypeAlias = tuple[int, ...]
Constant: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Gather:
    """out.flat[i] = x.flat[index.flat[i]], or 0 where the index is -1; out has index's shape."""

    index: Constant


@dataclass(frozen=True, eq=False)
class Affine:
    """out = (x @ weight.T) * scale / divisor + bias; a part that is None is left out.

    weight has shape (n_out, n_in); scale and bias broadcast to the output's shape.
    """

    weight: Constant | None = None
    scale: Constant | None = None
    divisor: float = 1.0
    bias: Constant | None = None


@dataclass(frozen=True, eq=False)
class Add:
    """out = x + y."""


@dataclass(frozen=True, eq=False)
class Matmul:
    """out[..., i, j] = sum over k of x[..., i, k] * y[..., k, j]."""


@dataclass(frozen=True)
class Apply:
    """out = function(x), entry by entry."""

    function: Function


@dataclass(frozen=True, eq=False)
class Rounded:
    """out = x + u with |u| <= error(range of x, ranges of what else is read): x as a machine
    computes it. In real arithmetic it is x; no model has this node unless float32 execution is
    asked for (certify/float32)."""

    error: Callable[..., Any]


Primitive: TypeAlias = Gather | Affine | Add | Matmul | Apply | Rounded


@dataclass(frozen=True, eq=False)
class Node:
    """One value of the graph: a primitive applied to earlier values (node numbers).

    `origin` says where the node comes from in the user's model ("layers.0 (model.py:41)").
    """

    primitive: Primitive
    inputs: tuple[int, ...]
    shape: Shape
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """A function of one tensor with any number of named outputs.

    Value 0 is the input; node i of `nodes` computes value i + 1. Each node reads earlier
    values only.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    outputs: dict[str, int]

    def shape(self, value: int) -> Shape:
        """Shape of a value, without the batch axis."""
        return self.nodes[value - 1].shape if value else self.input_shape

    def functions(self) -> set[str]:
        """Names of the univariate functions the graph applies."""
        return {n.primitive.function.name for n in self.nodes if isinstance(n.primitive, Apply)}


class Builder:
    """Grows a graph node by node; every method returns the number of the new value.

    Consecutive gathers are composed, so reshapes and transposes cost nothing. Shapes are
    checked here once, and the domains rely on it.
    """

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = tuple(input_shape)
        self.nodes: list[Node] = []
        self.origin = ""

    def shape(self, value: int) -> Shape:
        """Shape of a value, without the batch axis."""
        return self.nodes[value - 1].shape if value else self.input_shape

    def _push(self, primitive: Primitive, inputs: tuple[int, ...], shape: Shape) -> int:
        self.nodes.append(Node(primitive, inputs, tuple(shape), self.origin))
        return len(self.nodes)

    def gather(self, value: int, index: np.ndarray) -> int:
        """Select entries of `value` by flat index (-1: zero)."""
        index = np.array(index, dtype=np.int64, order="C")
        size = math.prod(self.shape(value))
        if index.size and (index.min() < -1 or index.max() >= size):
            raise ValueError(f"index outside a tensor of {size} entries")
        source = self.nodes[value - 1] if value else None
        if source is not None and isinstance(source.primitive, Gather):
            inner = source.primitive.index.reshape(-1)
            index = np.where(index < 0, -1, inner[index]) if inner.size else index
            value = source.inputs[0]
        identity = np.arange(math.prod(self.shape(value))).reshape(self.shape(value))
        if index.shape == identity.shape and np.array_equal(index, identity):
            return value
        return self._push(Gather(index), (value,), index.shape)

    def reshape(self, value: int, shape: Shape) -> int:
        """The same entries in another shape."""
        return self.gather(value, np.arange(math.prod(self.shape(value))).reshape(shape))

    def expand(self, value: int, shape: Shape) -> int:
        """Broadcast `value` to `shape`."""
        index = np.arange(math.prod(self.shape(value))).reshape(self.shape(value))
        return self.gather(value, np.broadcast_to(index, shape))

    def affine(
        self,
        value: int,
        *,
        weight: Any = None,
        scale: Any = None,
        divisor: float = 1.0,
        bias: Any = None,
    ) -> int:
        """(x @ weight.T) * scale / divisor + bias; constants are float64, finite and exact.

        The output has the shape of `x` (its last axis replaced when there is a weight);
        scale and bias must broadcast to it.
        """
        shape = self.shape(value)
        parts = [
            None if a is None else np.asarray(a, dtype=np.float64) for a in (weight, scale, bias)
        ]
        if not all(np.isfinite(a).all() for a in [*parts, divisor] if a is not None) or not divisor:
            raise ValueError("a constant of an affine map is not a finite number")
        if parts[0] is not None:
            if parts[0].ndim != 2 or not shape or parts[0].shape[1] != shape[-1]:
                raise ValueError(f"weight of shape {parts[0].shape} on a value of shape {shape}")
            shape = (*shape[:-1], parts[0].shape[0])
        for part in parts[1:]:
            if part is not None and np.broadcast_shapes(part.shape, shape) != shape:
                raise ValueError(f"a constant of shape {part.shape} on a value of shape {shape}")
        if all(p is None for p in parts) and divisor == 1:
            return value
        return self._push(Affine(parts[0], parts[1], float(divisor), parts[2]), (value,), shape)

    def constant(self, array: Any) -> int:
        """A value that does not depend on the input."""
        array = np.asarray(array, dtype=np.float64)
        zeros = self.gather(0, np.full(array.shape, -1))
        return self.affine(zeros, bias=array)

    def add(self, x: int, y: int) -> int:
        """x + y, broadcast."""
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        return self._push(Add(), (self.expand(x, shape), self.expand(y, shape)), shape)

    def subtract(self, x: int, y: int) -> int:
        """x - y, broadcast."""
        return self.add(x, self.affine(y, scale=-1.0))

    def matmul(self, x: int, y: int) -> int:
        """x @ y; the leading axes broadcast, both have at least two axes."""
        a, b = self.shape(x), self.shape(y)
        if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
            raise ValueError(f"cannot multiply shapes {a} and {b}")
        lead = np.broadcast_shapes(a[:-2], b[:-2])
        inputs = (self.expand(x, lead + a[-2:]), self.expand(y, lead + b[-2:]))
        return self._push(Matmul(), inputs, (*lead, a[-2], b[-1]))

    def multiply(self, x: int, y: int) -> int:
        """Elementwise product, broadcast: a matmul of 1 x 1 matrices."""
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        cells = [self.reshape(self.expand(v, shape), (*shape, 1, 1)) for v in (x, y)]
        return self.reshape(self.matmul(*cells), shape)

    def scale_rows(self, x: int, factor: int) -> int:
        """Each row of x times one number: x (..., n), factor (..., 1).

        As a product of 1 x 1 and 1 x n matrices it keeps a row together, and with it the
        2-norm of the row's errors.
        """
        shape = self.shape(x)
        if self.shape(factor) != (*shape[:-1], 1):
            raise ValueError(f"cannot scale the rows of {shape} by {self.shape(factor)}")
        row = self.reshape(x, (*shape[:-1], 1, shape[-1]))
        return self.reshape(self.matmul(self.reshape(factor, (*shape[:-1], 1, 1)), row), shape)

    def apply(self, function: Function, value: int) -> int:
        """function(x), entry by entry; once for every function and value."""
        for number, node in enumerate(self.nodes[value:], start=value + 1):
            if node.inputs == (value,) and node.primitive == Apply(function):
                return number
        return self._push(Apply(function), (value,), self.shape(value))

    def rounded(self, value: int, reads: tuple[int, ...], error: Callable[..., Any]) -> int:
        """`value` with the rounding error of the operator that made it from `reads`."""
        return self._push(Rounded(error), (value, *reads), self.shape(value))

    def graph(self, **outputs: int) -> Graph:
        """The finished graph, without the nodes that no output needs."""
        needed: set[int] = set()
        stack = list(outputs.values())
        while stack:
            value = stack.pop()
            if value and value not in needed:
                needed.add(value)
                stack.extend(self.nodes[value - 1].inputs)
        number = {0: 0} | {old: new for new, old in enumerate(sorted(needed), start=1)}
        nodes = [
            Node(n.primitive, tuple(number[i] for i in n.inputs), n.shape, n.origin)
            for n in (self.nodes[value - 1] for value in sorted(needed))
        ]
        return Graph(self.input_shape, tuple(nodes), {k: number[v] for k, v in outputs.items()})


class Domain(Protocol):
    """How a family of enclosures moves through the primitives; that is all a domain is."""

    def lift(self, boxes: Any, shape: Shape) -> Any: ...
    def gather(self, node: Gather, x: Any) -> Any: ...
    def affine(self, node: Affine, x: Any) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...
    def matmul(self, x: Any, y: Any) -> Any: ...
    def apply(self, node: Apply, x: Any) -> Any: ...
    def range(self, x: Any) -> tuple[Any, Any]: ...
    def widen(self, x: Any, error: Any) -> Any: ...


def step(domain: Domain, primitive: Primitive, *inputs: Any) -> Any:
    """One primitive in one domain."""
    match primitive:
        case Gather():
            return domain.gather(primitive, *inputs)
        case Affine():
            return domain.affine(primitive, *inputs)
        case Add():
            return domain.add(*inputs)
        case Matmul():
            return domain.matmul(*inputs)
        case Apply():
            return domain.apply(primitive, *inputs)
        case Rounded(error):
            return domain.widen(inputs[0], error(*map(domain.range, inputs)))
    raise TypeError(f"{primitive!r} is not a primitive")


def enclose(
    graph: Graph,
    boxes: Any,
    *,
    domain: Domain,
    watch: Callable[[int, Node, list[Any], Any], Any] | None = None,
) -> dict[str, Any]:
    """Push a batch of boxes through the graph.

    Args:
        graph: the function.
        boxes: whatever the domain lifts; for one input variable a float64 tensor (boxes, 2).
        domain: the kind of enclosure.
        watch: called after every node as watch(number of its value, node, inputs, value); what
            it returns, if not None, is an enclosure that takes the value's place.

    Returns:
        the enclosure of every output, by name.
    """
    values: dict[int, Any] = {0: domain.lift(boxes, graph.input_shape)}
    uses = Counter(i for node in graph.nodes for i in node.inputs)
    uses.update(graph.outputs.values())
    for number, node in enumerate(graph.nodes, start=1):
        inputs = [values[i] for i in node.inputs]
        values[number] = step(domain, node.primitive, *inputs)
        if watch is not None:
            better = watch(number, node, inputs, values[number])
            values[number] = values[number] if better is None else better
        for i in node.inputs:  # free what nothing reads any more
            uses[i] -= 1
            if not uses[i]:
                values.pop(i, None)
    return {name: values[i] for name, i in graph.outputs.items()}
