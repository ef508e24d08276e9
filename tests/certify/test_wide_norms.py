"""On wide boxes theorem C1 is all that is known of a norm's values, and it is used: the ends hold
values near the bound, and lie no farther out."""

from __future__ import annotations

import math

import flint
import numpy as np
import pytest
import torch
from flint import arb

from certify.certificate import Certificate
from certify.checker.evaluate import Evaluator
from certify.frontend.network import as_network
from certify.graph import Builder
from certify.search import Problem, assess
from theory.functions import FUNCTIONS

WIDE = 1000.0


def first_of_row(ref, features):
    """z_1 of the LayerNorm of (x, 0, ..., 0): nearly sqrt(D - 1) for large x, eps 1e-5."""
    b = Builder((1,))
    row = b.affine(0, weight=np.eye(features)[:, :1])
    unit = ref.layer_norm(b, row, np.ones(features), np.zeros(features))
    return b, b.affine(unit, weight=np.eye(features)[:1])


@pytest.mark.parametrize("features", [2, 5])
def test_the_engine_on_a_wide_box(ref, features):
    b, first = first_of_row(ref, features)
    graph = ref.difference(b, first, b.apply(FUNCTIONS["sin"], 0))
    box = torch.tensor([[[-WIDE, WIDE]]], dtype=torch.float64)
    lo, hi = assess(Problem(graph, box), box, torch.tensor([0])).bounds[0, :, 0].tolist()
    root = math.sqrt(features - 1)
    assert 0.999 * root < hi <= 1.001 * root and -1.001 * root <= lo < -0.999 * root


@pytest.mark.parametrize("features", [2, 5])
def test_the_checker_on_a_wide_box(ref, features):
    b, first = first_of_row(ref, features)
    target = {"name": "x", "expression": "x"}
    network = as_network(b.graph(model=first))
    ready = Evaluator(Certificate({}, network, target, (), None, (), (), ()))
    with flint.ctx.workprec(128):
        (((_, (lo, hi)),), _, _), _ = ready.on_box([(arb(-WIDE), arb(WIDE))], 8)
    root = math.sqrt(features - 1)
    assert 0.999 * root < float(hi) <= 1.001 * root and -1.001 * root <= float(lo) < -0.999 * root
