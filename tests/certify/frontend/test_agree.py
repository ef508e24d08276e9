"""The comparison of graph and archive notices when the two differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from certify.frontend import load
from certify.frontend.agree import InternalError, agree, check_agreement
from certify.graph import Affine, Graph

POINTS = torch.linspace(-1, 1, 7, dtype=torch.float64).reshape(7, 1, 1)


def test_agreement(model_file):
    assert check_agreement(load(model_file), POINTS) < 1e-14


def test_every_affine_map_matters(model_file):
    """Whatever affine map of the graph is off by 1e-6, the comparison sees it."""
    model = load(model_file)
    nodes, seen, unseen = model.graph.nodes, 0, 0
    for place, node in enumerate(nodes):
        if not isinstance(node.primitive, Affine) or place % 2:
            continue
        wrong = replace(node, primitive=replace(node.primitive, divisor=1 + 1e-6))
        changed = (*nodes[:place], wrong, *nodes[place + 1 :])
        graph = Graph(model.graph.input_shape, changed, model.graph.outputs)
        broken = replace(model, graph=graph)
        if agree(broken, POINTS) <= 1e-9:
            unseen += 1  # scaled scores in front of a normalization change nothing
            continue
        seen += 1
        with pytest.raises(InternalError, match="please report") as caught:
            check_agreement(broken, POINTS)
        assert caught.value.exit_code == 5
    assert seen > unseen, (seen, unseen)


def test_not_finite_on_one_side(model_file):
    model = load(model_file)
    last = replace(
        model.graph.nodes[-1], primitive=Affine(scale=torch.tensor(1e308).double().numpy())
    )
    nodes = (*model.graph.nodes, replace(last, inputs=(len(model.graph.nodes),)))
    nodes = (*nodes, replace(last, inputs=(len(nodes),)))
    graph = Graph(model.graph.input_shape, nodes, {"model": len(nodes)})
    with pytest.raises(InternalError):
        check_agreement(replace(model, graph=graph), POINTS)
