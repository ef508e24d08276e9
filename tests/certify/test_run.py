"""The search loop: known answers, spikes, and stopping at any moment with true bounds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mpmath import mp, mpf

from certify.checking import check
from certify.goal import Goal
from certify.graph import Builder
from certify.options import Options
from certify.run import Limits, search, settled
from certify.search import Problem
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)


def cut(lo, hi, cells):
    edges = torch.linspace(lo, hi, cells + 1, dtype=torch.float64)
    return torch.stack([edges[:-1], edges[1:]], 1)


def problem(ref, make, lo=-1.0, hi=1.0, cells=4):
    """make(builder) gives the values model and target."""
    b = Builder((1,))
    return Problem(ref.difference(b, *make(b)), cut(lo, hi, cells))


def linear_and_square(b):
    return b.affine(0, scale=0.75), b.apply(FUNCTIONS["square"], 0)


def check_outcome(ref, question, outcome, points=5):
    """Coverage, bounds at points, and no nan anywhere."""
    known, leaves = outcome.known, outcome.state.leaves
    boxes = sorted(leaves.box[:, 0].tolist())
    assert boxes[0][0] == float(question.cells.min())
    assert boxes[-1][1] == float(question.cells.max())
    assert all(a[1] == b[0] for a, b in zip(boxes[:-1], boxes[1:], strict=True))
    for part in (*known.sup, *known.target_total.tolist()):
        assert not math.isnan(part)
    for part in (known.cell_sup, known.range, known.variation, known.target_variation):
        assert not bool(part.isnan().any())
    for lo, hi in question.cells[:, 0].tolist():
        for x in np.linspace(lo, hi, points).tolist():
            values = ref.values(question.graph, min(max(x, lo), hi))
            off = abs(values[question.graph.outputs["difference"]].reshape(-1)[0])
            assert known.sup[1] == math.inf or off <= mpf(known.sup[1])
    if known.witness:
        values = ref.values(question.graph, known.witness[0])
        assert abs(values[question.graph.outputs["difference"]].reshape(-1)[0]) >= known.sup[0]


def test_a_known_answer(ref):
    """sup of |3/4 x - x^2| on [-1, 1] is 7/4, at -1."""
    question = problem(ref, linear_and_square)
    outcome = search(question, Goal(gap=1e-6), Limits(20))
    lo, hi = outcome.known.sup
    assert outcome.stopped_by == "closed" and lo <= 1.75 <= hi and outcome.known.witness == (-1.0,)
    assert hi - lo <= 1e-6 * 1.75
    check_outcome(ref, question, outcome)
    for i, (a, b) in enumerate(question.cells[:, 0].tolist()):
        low, high = outcome.known.variation[:, i].tolist()
        assert low <= 0.75 * (b - a) <= high
        low, high = outcome.known.target_variation[:, i].tolist()
        assert low <= abs(b * b - a * a) <= high


def test_a_constant_model(ref):
    question = problem(
        ref, lambda b: (b.constant([0.25]), b.apply(FUNCTIONS["exp"], 0)), cells=2
    )  # fmt: skip
    outcome = search(question, Goal(), Limits(20))
    lo, hi = outcome.known.sup
    assert mpf(lo) <= mp.e - mpf(0.25) <= mpf(hi)
    assert float(outcome.known.variation.max()) < 1e-14
    check_outcome(ref, question, outcome)


def test_a_model_that_is_the_target(ref):
    question = problem(
        ref, lambda b: (b.apply(FUNCTIONS["exp"], 0), b.apply(FUNCTIONS["exp"], 0)), cells=1
    )  # fmt: skip
    outcome = search(question, Goal(), Limits(2))
    assert outcome.known.sup[0] == 0.0 and outcome.known.sup[1] < 1e-12
    assert outcome.stopped_by in ("resolution", "budget") and outcome.closed_after is None
    close = search(question, Goal(abs_gap=1e-9), Limits(20))
    assert close.stopped_by == "closed"


@pytest.mark.parametrize(
    ("bound", "verdict"), [(1.4413112e-3, "PROVED"), (1.4413111e-3, "REFUTED")]
)
def test_a_claim_inside_the_gap_is_decided(bound, verdict):
    """The bracket would be closed long before: the claim asks for more of its digits."""
    model = Path(__file__).parents[2] / "probes" / "zoo" / "exp.pt"
    found = check(str(model), "exp", Options(within=bound, limits=Limits(30)))
    low, high = found.known.sup
    assert found.claims[0].verdict.value == verdict and not low <= bound < high


def test_a_claim_that_is_not_decided_is_not_settled(ref):
    known = search(problem(ref, linear_and_square), Goal(gap=1e-3), Limits(20)).known
    low, high = known.sup
    assert low < high and settled(known, Goal(gap=1e-3))
    assert not settled(known, Goal(gap=1e-3, within=low))
    assert settled(known, Goal(gap=1e-3, within=high)) and settled(
        known, Goal(gap=1e-3, within=1.0)
    )
