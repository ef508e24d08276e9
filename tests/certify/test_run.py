"""The search loop: known answers, spikes, and stopping at any moment with true bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import certify.run as loop
from certify.goal import Goal
from certify.graph import Builder
from certify.run import Limits, search
from certify.sampling import leaf_of
from certify.search import Problem, children, start
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


@pytest.mark.parametrize("place", [0.0, 0.3141592653589793, -0.7071067811865476, 0.9999])
def test_a_spike_is_found_and_bracketed(ref, place):
    """A triangle of half-width 2e-6, made of three ReLUs, on top of exp itself."""
    slope, half, height = 5e5, 2e-6, 1.0

    def make(b):
        bias = np.array([-(place - half), -place, -(place + half)]) * slope
        hidden = b.apply(FUNCTIONS["relu"], b.affine(0, weight=np.full((3, 1), slope), bias=bias))
        spike = b.affine(hidden, weight=np.array([[1.0, -2.0, 1.0]]))
        exp = b.apply(FUNCTIONS["exp"], 0)
        return b.add(exp, spike), b.apply(FUNCTIONS["exp"], 0)

    question = problem(ref, make, cells=8)
    outcome = search(question, Goal(), Limits(30))
    lo, hi = outcome.known.sup
    assert lo <= height * (1 + 1e-9) and hi >= height * (1 - 1e-9)
    assert lo >= 0.98 and hi <= 1.02 and hi <= 1.01 * lo
    check_outcome(ref, question, outcome, points=2)
    assert abs(outcome.known.witness[0] - place) < half


@pytest.mark.parametrize("scale", [3.0, 30.0])
def test_an_untrained_encoder_with_large_weights(ref, scale):
    b, model = ref.encoder(np.random.default_rng(1), layers=2, scale=scale)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    question = Problem(graph, cut(-1, 1, 4))
    outcome = search(question, Goal(), Limits(1.5))
    assert 0 <= outcome.known.sup[0] <= outcome.known.sup[1]
    check_outcome(ref, question, outcome, points=2)


def test_a_tiny_budget(ref):
    question = problem(ref, linear_and_square)
    outcome = search(question, Goal(), Limits(1e-9))
    assert outcome.stopped_by == "budget" and outcome.known.sup[1] >= 1.75
    check_outcome(ref, question, outcome)


def sharp(b):
    return b.apply(FUNCTIONS["gelu"], b.affine(0, scale=40.0)), b.apply(FUNCTIONS["sin"], 0)


@pytest.mark.parametrize(("error", "name"), [(KeyboardInterrupt, "interrupt"),
                                             (MemoryError, "memory")])  # fmt: skip
@given(when=st.integers(0, 5), where=st.sampled_from(["step", "new_points", "first_points"]))
@settings(max_examples=8)
def test_interrupted_at_any_step(ref, error, name, when, where):
    question = problem(ref, sharp, cells=2)
    calls = [0]
    original = getattr(loop, where)

    def interrupted(*args, **kwargs):
        calls[0] += 1
        if calls[0] > when:
            raise error
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, where, interrupted)
        outcome = search(question, Goal(gap=1e-9), Limits(20))
    assert outcome.stopped_by == (name if calls[0] > when else "closed")
    check_outcome(ref, question, outcome, points=2)


def test_interrupted_by_the_watcher(ref):
    question = problem(ref, sharp, cells=2)
    seen = []

    def watch(progress):
        seen.append(progress.known.sup)
        if len(seen) == 2:
            raise KeyboardInterrupt

    outcome = search(question, Goal(), Limits(20), watch)
    assert outcome.stopped_by == "interrupt"
    check_outcome(ref, question, outcome, points=2)


def test_out_of_memory_halves_the_batch(ref):
    question = problem(ref, sharp, cells=2)
    sizes = []
    original = loop.step

    def small(problem, state, which, tolerance, **more):
        sizes.append(len(which))
        if len(which) > 8:
            raise RuntimeError("can't allocate memory")
        return original(problem, state, which, tolerance, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", small)
        outcome = search(question, Goal(), Limits(20))
    assert max(sizes) > 8 and outcome.stopped_by in ("closed", "budget")
    check_outcome(ref, question, outcome, points=2)


def test_other_errors_are_not_called_memory(ref):
    def wrong(*args, **more):
        raise RuntimeError("shapes do not match")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", wrong)
        with pytest.raises(RuntimeError, match="shapes"):
            search(problem(ref, sharp), Goal(), Limits(20))


@given(SEEDS, st.integers(1, 3))
def test_leaf_of(seed, variables):
    """The leaf that is found contains the point, in any number of variables."""
    rng = np.random.default_rng(seed)
    cells = torch.tensor([[[-1.0, 1.0]] * variables], dtype=torch.float64)
    leaves = start(Problem(None, cells), 1).leaves
    for _ in range(4):
        axis = torch.from_numpy(rng.integers(0, variables, len(leaves)))
        parents = replace(leaves, axis=axis, stale=torch.zeros(len(leaves)).long())
        box, origin = children(Problem(None, cells), parents, 1.0)
        leaves = replace(parents.take(origin), box=box)
    x = torch.from_numpy(rng.uniform(-1, 1, (20, variables))).round(decimals=1)
    lo, hi = leaves.box[leaf_of(leaves, x)].unbind(-1)
    assert bool(((lo <= x) & (x <= hi)).all())
