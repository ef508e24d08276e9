"""Where encoders are cut, and that every block stands on its start alone."""

from __future__ import annotations

import numpy as np
import pytest

from certify.domains.bottlenecks import blocks
from certify.graph import Apply, Builder, Gather
from theory.functions import FUNCTIONS


def alone(graph, parts):
    """Every block needs its start, its own nodes and zeros, and nothing else."""
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        assert part.nodes[-1] == part.end and (after is None or after.start == part.end)
        for number in part.nodes:
            node = graph.nodes[number - 1]
            blank = isinstance(node.primitive, Gather) and (node.primitive.index < 0).all()
            assert blank or all(i == part.start or i in part.nodes for i in node.inputs)


@pytest.mark.parametrize("pre", [False, True])
def test_encoders_are_cut_between_their_half_layers(ref, pre):
    b, model = ref.encoder(np.random.default_rng(0), layers=3, width=4, tokens=2, pre=pre)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    parts = blocks(graph, graph.outputs["model"])
    assert parts[0].start == 0 and parts[-1].end == graph.outputs["model"]
    alone(graph, parts)
    assert len(parts) == 1 + 2 * 3
    # the first state is a flat value, which is made of the input and then reshaped
    assert {graph.shape(part.start) for part in parts[2:]} == {(2, 4)}
    # a LayerNorm is never a block of its own
    for part in parts[1:]:
        names = {p.function.name for n in part.nodes
                 if isinstance(p := graph.nodes[n - 1].primitive, Apply)}  # fmt: skip
        assert names & {"exp", "gelu"}


def test_a_path_around_is_not_cut(ref):
    """x -> tanh(x) + x, twice, but the first x also joins at the end: one block after it."""
    b = Builder((1,))
    first = b.affine(0, weight=np.ones((3, 1)))
    x = first
    for _ in range(2):
        x = b.add(x, b.apply(FUNCTIONS["tanh"], x))
    graph = b.graph(model=b.add(x, first))
    parts = blocks(graph, graph.outputs["model"])
    assert [(p.start, p.end) for p in parts] == [(0, first), (first, graph.outputs["model"])]
    alone(graph, parts)


def test_constants_belong_to_the_blocks_that_read_them(ref):
    b = Builder((1,))
    c = b.constant(np.arange(3.0))
    x = b.affine(0, weight=np.ones((3, 1)))
    for _ in range(3):
        x = b.add(x, b.multiply(b.apply(FUNCTIONS["tanh"], x), c))
    graph = b.graph(model=x)
    parts = blocks(graph, graph.outputs["model"])
    assert len(parts) == 4
    alone(graph, parts)


def test_zeros_need_nothing_of_what_they_are_gathered_from():
    """Along a curve constants are made of its end, and not of the input of the graph."""
    b = Builder((1,))
    x = end = b.affine(0, weight=np.ones((3, 1)))
    c = b.affine(b.gather(end, np.full(3, -1)), bias=np.arange(3.0))
    for _ in range(3):
        x = b.add(x, b.multiply(b.apply(FUNCTIONS["tanh"], x), c))
    graph = b.graph(model=x)
    parts = blocks(graph, graph.outputs["model"])
    assert len(parts) == 4 and not any(end in part.nodes for part in parts[1:])
    alone(graph, parts)
