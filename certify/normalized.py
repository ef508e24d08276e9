"""Values that a graph normalizes: known to be bounded whatever the input is.

A LayerNorm divides a row c, minus its mean, by sqrt(mean of c**2 + eps): for eps > 0 every entry
lies in [-sqrt(D - 1), sqrt(D - 1)] (theorem C1) and the row's 2-norm is at most sqrt(D). An RMSNorm
does not center: its entries have the bound sqrt(D). The graph's own operations show it, so it
holds for any source that computes so.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Apply, Gather, Graph, Matmul, Node

Bound = tuple[float, float]


@functools.lru_cache(maxsize=256)
def normalized(graph: Graph) -> dict[int, Bound]:
    """For every value that a norm makes: bounds on its entries, and on the 2-norm of its rows."""
    found = {}
    for number, node in enumerate(graph.nodes, start=1):
        if isinstance(node.primitive, Matmul):
            features = _features(graph, number)
            if features is not None:
                centered = is_layer_norm(graph, number)
                found[number] = _root(features - 1 if centered else features), _root(features)
    return found


def limit(graph: Graph, domain: Taylor) -> Callable[..., TaylorModel]:
    """The values of a graph, cut to these bounds: for `certify.graph.enclose` as `watch`."""
    bounds = normalized(graph)

    def watch(number: int, node: Node, inputs: list, value: TaylorModel) -> TaylorModel:
        return domain.within(value, *bounds[number]) if number in bounds else value

    return watch


def _root(n: int) -> float:
    """A float64 >= sqrt(n): math.sqrt is correctly rounded."""
    root = math.isqrt(n)
    return float(root) if root * root == n else math.nextafter(math.sqrt(n), math.inf)


def is_layer_norm(graph: Graph, value: int) -> bool:
    """Whether a value is rsqrt(mean of c**2 + eps) c, with c = x minus its mean, eps > 0."""
    if _features(graph, value) is None:
        return False
    return _is_centered(graph, _reshaped(graph, graph.nodes[value - 1].inputs[1]))


def _features(graph: Graph, value: int) -> int | None:
    """D where a value is rsqrt(mean of c**2 + eps) c over rows of length D, eps > 0; else None."""
    rows = [graph.shape(i) for i in graph.nodes[value - 1].inputs]
    left, right = (_reshaped(graph, i) for i in graph.nodes[value - 1].inputs)
    if not left or rows[0][-2:] != (1, 1) or rows[1][-2] != 1:
        return None
    scale, width = graph.nodes[left - 1], graph.shape(right)[-1:]
    if not isinstance(scale.primitive, Apply) or scale.primitive.function.name != "rsqrt":
        return None
    mean = graph.nodes[scale.inputs[0] - 1] if scale.inputs[0] else None
    match mean and mean.primitive:
        case Affine(weight, None, divisor, bias) if weight is not None and bias is not None:
            plain = weight.shape == (1, *width) and bool((weight == 1).all() and (bias > 0).all())
            if not plain or divisor != width[0] or not mean.inputs[0]:
                return None
        case _:
            return None
    square = graph.nodes[mean.inputs[0] - 1]
    if not isinstance(square.primitive, Apply) or square.primitive.function.name != "square":
        return None
    aligned = graph.shape(right)[:-1] == rows[0][:-2] and rows[1][-1] == width[0]
    return width[0] if square.inputs[0] == right and aligned else None


def _reshaped(graph: Graph, value: int) -> int:
    """The value behind a mere change of shape."""
    node = graph.nodes[value - 1] if value else None
    if node is not None and isinstance(node.primitive, Gather):
        flat = node.primitive.index.reshape(-1)
        if flat.size == math.prod(graph.shape(node.inputs[0])) and bool(
            (flat == np.arange(flat.size)).all()
        ):
            return node.inputs[0]
    return value


def _is_centered(graph: Graph, value: int) -> bool:
    """Whether a value is x minus the mean over its last axis: (n I - 1) x / n."""
    if not value:
        return False
    match graph.nodes[value - 1].primitive:
        case Affine(weight, None, divisor, None) if weight is not None:
            n = len(weight)
            return divisor == n and np.array_equal(weight, n * np.eye(n) - np.ones((n, n)))
    return False
