"""Values of a certificate's graph that are bounded whatever the input is: theorem C1.

A LayerNorm divides a row c of length D, minus its mean, by sqrt(mean of c**2 + eps), eps > 0: every
entry z has z**2 <= D - 1, since the others sum to -c; without the mean's removal z**2 <= D.
"""

from __future__ import annotations

import math

from certify.certificate import Network, Node


def normalized(network: Network) -> dict[int, int]:
    """For every value of that form a bound on the squares of its entries."""
    found = {}
    for number, node in enumerate(network.nodes, start=1):
        if node.kind == "matmul":
            bound = _bound(network, node)
            if bound is not None:
                found[number] = bound
    return found


def _bound(network: Network, node: Node) -> int | None:
    """D - 1 or D where a product is rsqrt(mean of c**2 + eps) c, row by row."""
    shapes = [network.shape(i) for i in node.inputs]
    left, right = (_behind(network, i) for i in node.inputs)
    width = network.shape(right)[-1:]
    factor = _node(network, left)
    if factor is None or factor.function != "rsqrt" or not width or shapes[0][-2:] != (1, 1):
        return None
    rows = (*network.shape(right)[:-1], 1, 1) == shapes[0] and shapes[1][-2:] == (1, *width)
    mean = _node(network, factor.inputs[0])
    if not rows or mean is None or mean.kind != "affine" or mean.scale is not None:
        return None
    plain = mean.weight == ((1.0,) * width[0],) and mean.divisor == width[0]
    square = _node(network, mean.inputs[0])
    if not plain or not mean.bias or min(mean.bias) <= 0 or square is None:
        return None
    if square.function != "square" or square.inputs != (right,):
        return None
    return width[0] - 1 if _centered(_node(network, right)) else width[0]


def _centered(node: Node | None) -> bool:
    """Whether it is x minus its mean: (n I - 1) x / n."""
    if node is None or node.kind != "affine" or node.weight is None or node.scale or node.bias:
        return False
    n = len(node.weight)
    whole = tuple(tuple(n - 1.0 if i == j else -1.0 for j in range(n)) for i in range(n))
    return node.divisor == n and node.weight == whole


def _node(network: Network, value: int) -> Node | None:
    return network.nodes[value - 1] if value else None


def _behind(network: Network, value: int) -> int:
    """The value behind a mere change of shape."""
    node = _node(network, value)
    if node is not None and node.kind == "gather":
        size = math.prod(network.shape(node.inputs[0]))
        if node.index == tuple(range(size)):
            return node.inputs[0]
    return value
