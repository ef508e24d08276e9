"""A deliberately unsound engine: no rounding, remainders halved. Its certificates are rejected.

The engine's own cross-checks would notice first, so only its leaves are taken.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import pytest
import torch

import certify.search as search
from certify.certificate import Cell, Certificate, Leaf, Stated
from certify.certificate.writing import tree
from certify.checker.check import verify
from certify.frontend import load
from certify.frontend.network import as_network
from certify.frontend.target import compare, model_graph
from probes.zoo.make import path
from theory.targets import find_target


def no_rounding(patch):
    """Every helper of certify/rounding.py that widens is made to do nothing."""

    def same(x, *ops):
        return x

    for name, module in list(sys.modules.items()):
        if name.startswith("certify.") and name != "certify.rounding":
            for helper in ("above", "below", "up"):
                if hasattr(module, helper):
                    patch.setattr(module, helper, same)
            if hasattr(module, "gamma"):
                patch.setattr(module, "gamma", lambda n: 0.0)


def halved(patch, factor):
    """Remainders times a factor, where the search reads its bounds off."""
    honest = search.forward

    def forward(*args, **kwargs):
        models = honest(*args, **kwargs)
        return {name: replace(m, rem=m.rem * factor) for name, m in models.items()}

    patch.setattr(search, "forward", forward)


def certificate(path, order, boxes=4):
    """What an engine finds on equal boxes, and nothing but that: its upper bounds are stated as
    they come, lower bounds as 0, so that only the proof of a leaf can tell right from wrong."""
    model = load(path)
    graph = compare(model, find_target("exp").expression, None)
    edges = torch.linspace(-1, 1, boxes + 1, dtype=torch.float64)
    box = torch.stack([edges[:-1], edges[1:]], 1)
    cells = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    found = search.assess(search.Problem(graph, cells, order, 1), box, torch.zeros(boxes).long())
    leaves = [
        Leaf((tuple(ends),), *(tuple(pair) for pair in bounds))
        for ends, bounds in zip(box.tolist(), found.bounds.permute(2, 0, 1).tolist(), strict=True)
    ]
    lo, hi = min(leaf.model[0] for leaf in leaves), max(leaf.model[1] for leaf in leaves)
    worst = max(abs(end) for leaf in leaves for end in leaf.difference)
    free = (0.0, math.inf)
    cell = Cell(((-1.0, 1.0),), (lo, hi), free, free, (0.0, worst))
    stated = Stated((cell,), (0.0, worst), free, None)
    return Certificate(
        {}, as_network(model_graph(model, None)), {"name": "exp", "expression": "exp(x)"},
        ((-1.0, 1.0),), stated, (tree(leaves),), (), (),
    )  # fmt: skip


@pytest.mark.parametrize("order", [2, 4, 8])
def test_the_honest_one_is_accepted(tiny_file, order):
    result = verify(certificate(tiny_file, order), jobs=1)
    assert result.accepted and result.leaves == 4, result.reason


@pytest.mark.parametrize("order", [2, 4, 8])
def test_halved_remainders_without_rounding_are_rejected(tiny_file, order, monkeypatch):
    no_rounding(monkeypatch)
    halved(monkeypatch, 0.5)
    result = verify(certificate(tiny_file, order), jobs=1)
    assert not result.accepted and "not in" in result.reason  # a place refutes it


@pytest.mark.parametrize("name", ["exp", "exp_relu"])
def test_an_encoder_without_rounding_is_rejected(name, monkeypatch):
    """Bounds that are off by a few units in the last place."""
    assert verify(certificate(path(name), 8, 64), sample=0.2).accepted
    no_rounding(monkeypatch)
    halved(monkeypatch, 0.0)
    result = verify(certificate(path(name), 8, 64))
    assert not result.accepted and "not in" in result.reason
