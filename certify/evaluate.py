"""Plain float64 values of a graph at many points: for samples and tests, not for proofs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
import torch

from certify.graph import Add, Affine, Apply, Gather, Graph, Node, Rounded
from theory.functions import Function
from theory.functions import evaluate as walk


def evaluate(graph: Graph, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Values of every output at a batch of points, with ordinary rounding.

    Args:
        graph: a model, a target or their difference.
        x: float64, shape (P, *input_shape).

    Returns:
        for each output of the graph a float64 tensor of shape (P, *shape).

    Raises:
        ValueError: x has another type or shape.
    """
    if x.dtype != torch.float64 or tuple(x.shape[1:]) != graph.input_shape or x.dim() < 1:
        raise ValueError(
            f"points must be float64 of shape (P, {', '.join(map(str, graph.input_shape))}), "
            f"not {x.dtype} of shape {tuple(x.shape)}"
        )
    last = last_uses(graph)
    values: dict[int, torch.Tensor] = {0: x}
    with torch.no_grad():
        for number, node in enumerate(graph.nodes, start=1):
            values[number] = step(node, [values[i] for i in node.inputs])
            for i in set(node.inputs):
                if last[i] == number:
                    del values[i]
    return {name: values[number] for name, number in graph.outputs.items()}


def last_uses(graph: Graph) -> dict[int, int]:
    """For each value the last node that reads it; outputs are read at the very end."""
    last = {i: number for number, node in enumerate(graph.nodes, start=1) for i in node.inputs}
    return last | {number: len(graph.nodes) + 1 for number in graph.outputs.values()}


def step(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """One node at a batch of points; tensors have the batch axis in front."""
    x = inputs[0]
    match node.primitive:
        case Gather(index):
            return _gather(x, _tensor(index).to(x.device))
        case Affine():
            return _affine(node.primitive, x)
        case Add():
            return x + inputs[1]
        case Apply(function):
            return apply(function, x)
        case Rounded():
            return x
    y = inputs[1]
    # elementwise products arrive as 1 x 1 matrices; a batched matmul of those is slow
    return x * y if x.shape[-1] == 1 else x @ y


def _gather(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    flat, places = x.reshape(len(x), -1), index.reshape(-1)
    blank = places < 0
    if not flat.shape[1] or bool(blank.all()):
        return x.new_zeros((len(x), *index.shape))
    out = flat.index_select(1, places.clamp(min=0))
    if bool(blank.any()):
        out[:, blank] = 0.0
    return out.reshape(len(x), *index.shape)


def _affine(affine: Affine, x: torch.Tensor) -> torch.Tensor:
    if affine.weight is not None:
        x = x @ _tensor(affine.weight).to(x.device).T
    if affine.scale is not None:
        x = x * _tensor(affine.scale).to(x.device)
    if affine.divisor != 1:
        x = x / affine.divisor
    return x if affine.bias is None else x + _tensor(affine.bias).to(x.device)


def _tensor(array: Any) -> torch.Tensor:
    # torch warns of arrays that it could write to by accident; nothing here writes
    return torch.from_numpy(array if array.flags.writeable else array.copy())


_NN = torch.nn.functional

_ELEMENTARY = {
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "abs": torch.abs,
    "sign": torch.sign,
}

_KNOWN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **_ELEMENTARY,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
    "relu": torch.relu,
    "abs": torch.abs,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "gelu": _NN.gelu,
    "gelu_tanh": lambda x: _NN.gelu(x, approximate="tanh"),
    "silu": _NN.silu,
}


def apply(function: Function, x: torch.Tensor) -> torch.Tensor:
    """function(x), entry by entry, in float64.

    Raises:
        TypeError: the function's expression uses something that is not elementary.
    """
    known = _KNOWN.get(function.name)
    return known(x) if known else walk(function.expression, _Floats(x), x)


class _Floats:
    """Float64 tensors as an algebra for `theory.functions.evaluate`."""

    def __init__(self, like: torch.Tensor) -> None:
        self.like = like

    def constant(self, value: sp.Expr) -> torch.Tensor:
        return torch.full_like(self.like, float(value))

    def add(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b

    def mul(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a * b

    def power(self, a: torch.Tensor, exponent: sp.Rational) -> torch.Tensor:
        return a ** int(exponent) if exponent.is_Integer else a ** float(exponent)

    def call(self, name: str, a: torch.Tensor) -> torch.Tensor:
        return _ELEMENTARY[name](a)

    def maximum(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.maximum(a, b)
