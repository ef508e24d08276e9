"""Guesses where a kink is crossed: only their use is tested, nothing rests on them."""

from __future__ import annotations

import torch

from certify.domains.kinks import Crossings, cuts, derivative, horner
from certify.domains.taylor import Taylor
from certify.graph import Builder, enclose
from theory.functions import FUNCTIONS


def found(function, bias, order=4):
    b = Builder((1,))
    graph = b.graph(y=b.apply(FUNCTIONS[function], b.affine(0, bias=bias)))
    crossings = Crossings()
    boxes = torch.tensor([[-1.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    enclose(graph, boxes, domain=Taylor(order),
            watch=lambda number, node, inputs, value: crossings.note(node, inputs[0]))  # fmt: skip
    return cuts(crossings.found, 2, 7)


def test_a_crossing_is_found_where_it_is():
    places = found("relu", [-0.3])
    assert len(places[0]) == 1 and abs(places[0][0] - 0.3) < 1e-12 and places[1] == []


def test_no_crossing_no_cut():
    assert found("abs", [-9.0]) == [[], []]
    assert found("gelu", [0.0]) == [[], []]
    assert found("relu", [0.0], order=0) == [[], []]
    assert cuts([], 2, 7) == [[], []]


def test_horner_and_derivative():
    c = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    t = torch.tensor([2.0], dtype=torch.float64)
    assert float(horner(c, t)) == 17.0 and float(horner(derivative(c), t)) == 14.0
