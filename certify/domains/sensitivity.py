"""The Jacobian of a block of a graph, walked node by node over tubes."""

from __future__ import annotations

import math
from collections import Counter

from torch import Tensor

from certify.domains import jacobian
from certify.domains.adjoint import Trace
from certify.domains.bottlenecks import Block
from certify.domains.ends import centered
from certify.domains.expansions import Kinked, derivative, rule
from certify.domains.jacobian import Jacobian
from certify.domains.taylor import TaylorModel
from certify.graph import Add, Affine, Apply, Gather, Graph, Matmul


def block_jacobian(graph: Graph, part: Block, trace: Trace, start: TaylorModel) -> Jacobian:
    """The Jacobian of a block's end with respect to its start, for all values in the tubes.

    Args:
        graph: the function.
        part: of it.
        trace: with tubes of every input of an apply or a matmul in the block.
        start: gives the number of boxes and the kind of tensor.
    """
    shape = graph.shape(part.start)
    rows = math.prod(shape[:-1])
    values = {part.start: jacobian.identity(len(start.rem), shape, start.rem)}
    uses = Counter(i for n in part.nodes for i in graph.nodes[n - 1].inputs)
    for number in part.nodes:
        node = graph.nodes[number - 1]
        first = node.inputs[0]
        # Zeros are gathered from the input of the graph, which this block does not know.
        x = [values[i] for i in node.inputs if i in values]
        match node.primitive:
            case Gather(index) if bool((index < 0).all()):
                out = jacobian.nothing(index.shape, shape, start.rem)
            case Gather():
                out = jacobian.gather(node.primitive, x[0], graph.shape(first), rows)
            case Affine():
                out = jacobian.affine(node.primitive, x[0])
            case Add():
                out = jacobian.add(*x, rows)
            case Matmul():
                left, right = (centered(trace.tubes[i].lo, trace.tubes[i].hi) for i in node.inputs)
                out = jacobian.matmul(*x, left, right, rows)
            case Apply():
                out = jacobian.apply(slope(node.primitive, trace, first), x[0])
            case _:
                raise TypeError(f"{node.primitive!r} is not a primitive")
        values[number] = out
        for i in node.inputs:
            uses[i] -= 1
            if not uses[i]:
                values.pop(i, None)
    return values[part.end]


def slope(node: Apply, trace: Trace, number: int) -> tuple[Tensor, Tensor]:
    """Center and radius of the derivative over a tube."""
    how, tube = rule(node.function), trace.tubes[number]
    if isinstance(how, Kinked):
        return how.slopes(tube.lo, tube.hi)
    steep = trace.domain.smooth(derivative(how), tube)
    lo, hi = trace.domain.range(steep)
    return centered(lo, hi)
