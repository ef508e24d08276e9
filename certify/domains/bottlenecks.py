"""Values that everything passes through: where a deep graph can be cut into blocks.

A value is a bottleneck of an output when the output is a function of it alone. In an encoder
these are the states between its layers, in front of the forks to branch and residual.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from certify.graph import Apply, Gather, Graph, Node

#: What a LayerNorm applies. A block of these belongs to the block before it, whose outputs it
#: scales down again: their product is far smaller than their norms one by one.
NORMALIZING = {"square", "rsqrt", "sqrt", "reciprocal"}


@dataclass(frozen=True)
class Block:
    """From one bottleneck to the next.

    nodes: the numbers of all values that `end` needs beside `start`, in order. Values that do
        not depend on the input may stand in several blocks.
    """

    start: int
    end: int
    nodes: tuple[int, ...]


@functools.lru_cache(maxsize=16)
def blocks(graph: Graph, output: int) -> tuple[Block, ...]:
    """Cut the graph of one output, from its input to the output, at forked bottlenecks."""
    needed = _needed(graph, output, 0)
    fixed = _constant(graph)
    users: dict[int, set[int]] = {}
    for number in needed - fixed:
        for i in graph.nodes[number - 1].inputs:
            users.setdefault(i, set()).add(number)
    cuts, reach = [0], max(users.get(0, {output}))
    for value in sorted(needed - fixed):
        # reach: the farthest node that reads this value or an earlier one
        if reach == value and len(users.get(value, ())) > 1:
            cuts.append(value)
        reach = max(reach, *users.get(value, {value}))
    ends = [*cuts[1:], output]
    kept = [a for a, b in zip(cuts, ends, strict=True) if a == 0 or not _normalizes(graph, a, b)]
    return tuple(
        Block(start, end, tuple(sorted(_needed(graph, end, start))))
        for start, end in zip(kept, [*kept[1:], output], strict=True)
    )


def _constant(graph: Graph) -> set[int]:
    """Values that do not depend on the input: gathers of zeros, and what is made of them."""
    fixed: set[int] = set()
    for number, node in enumerate(graph.nodes, start=1):
        if _zeros(node) or all(i in fixed for i in node.inputs):
            fixed.add(number)
    return fixed


def _zeros(node: Node) -> bool:
    return isinstance(node.primitive, Gather) and bool((node.primitive.index < 0).all())


def _needed(graph: Graph, output: int, start: int) -> set[int]:
    """What the output needs, beside a value that everything else comes from. Zeros need nothing,
    whatever they are gathered from: along a curve that is the curve's end, which lies before."""
    needed, stack = set(), [output]
    while stack:
        value = stack.pop()
        if value not in (0, start) and value not in needed:
            needed.add(value)
            node = graph.nodes[value - 1]
            stack.extend(() if _zeros(node) else node.inputs)
    return needed


def _normalizes(graph: Graph, start: int, end: int) -> bool:
    """Whether nothing but a LayerNorm, or linear maps, lie between two values."""
    nodes = (graph.nodes[number - 1].primitive for number in range(start + 1, end + 1))
    return {p.function.name for p in nodes if isinstance(p, Apply)} <= NORMALIZING
