"""How saturated attention is: the largest weight of each row of each softmax, along the domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certify.evaluate import evaluate
from certify.graph import Apply, Gather, Graph, Matmul
from probes.samples import CHUNK

ROUNDING = 1e-9  # two float64 ways to a sum of positive numbers that is 1 differ by less


@dataclass(frozen=True, eq=False)
class Attention:
    """One softmax of the model.

    Attributes:
        origin: where it stands in the model.
        keys: numbers in a row; 1 / keys is the even weight, 1 a saturated one.
        x: (n,), places.
        mean, least, most: (n,), of the largest weights of all rows there.
    """

    origin: str
    keys: int
    x: Tensor
    mean: Tensor
    least: Tensor
    most: Tensor


def attention(graph: Graph, x: Tensor) -> tuple[Attention, ...]:
    """Every softmax of a model over two keys or more, in order.

    The lowering writes softmax as reciprocals of sums of exponentials, or as exponentials times
    such a reciprocal. What looks like one is taken for one where its rows are positive and sum
    to 1 at every place.

    Args:
        graph: of one input variable.
        x: float64, shape (n,).
    """
    shapes = dict(_candidates(graph))
    wide = Graph(graph.input_shape, graph.nodes, {str(k): k for k in shapes})
    shaped = x.reshape(-1, *graph.input_shape)
    parts = [evaluate(wide, part) for part in shaped.split(CHUNK)] if shapes else []
    found = []
    for value, shape in shapes.items():
        rows = torch.cat([part[str(value)] for part in parts]).reshape(len(x), -1, shape[-1])
        if not bool((rows >= 0).all() & ((rows.sum(-1) - 1).abs() <= ROUNDING).all()):
            continue
        top = rows.amax(-1)
        origin = graph.nodes[value - 1].origin
        found.append(Attention(origin, shape[-1], x, top.mean(1), top.amin(1), top.amax(1)))
    return tuple(found)


def _candidates(graph: Graph):
    """(value, shape with the keys last) of what may be a softmax."""
    for number, node in enumerate(graph.nodes, start=1):
        if _applies(graph, number) == "reciprocal" and node.shape and node.shape[-1] > 1:
            yield number, node.shape
        if isinstance(node.primitive, Matmul):
            left, right = (_source(graph, i) for i in node.inputs)
            if _applies(graph, left) == "exp" and _applies(graph, right) == "reciprocal":
                shape = graph.shape(left)
                if shape and shape[-1] > 1 and np.prod(shape) == np.prod(node.shape):
                    yield number, shape


def _source(graph: Graph, value: int) -> int:
    """The value behind any reordering."""
    while value and isinstance(graph.nodes[value - 1].primitive, Gather):
        value = graph.nodes[value - 1].inputs[0]
    return value


def _applies(graph: Graph, value: int) -> str:
    primitive = graph.nodes[value - 1].primitive if value else None
    return primitive.function.name if isinstance(primitive, Apply) else ""
