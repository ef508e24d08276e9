"""Lower bounds rest on proven points after a search: as good as before, and each with its place."""

from __future__ import annotations

import math

import pytest
import torch

from certify.frontend import load
from certify.frontend.target import compare
from certify.goal import Goal, brackets
from certify.run import Limits, search
from certify.search import MODEL, TARGET, Problem, assess, start
from certify.witnesses import pin
from theory.functions import FUNCTIONS


@pytest.fixture(scope="module")
def found(tiny_file):
    graph = compare(load(tiny_file), FUNCTIONS["exp"].expression, None)
    edges = torch.linspace(-1, 1, 9, dtype=torch.float64)
    problem = Problem(graph, torch.stack([edges[:-1], edges[1:]], 1))
    state = start(problem, 16)
    leaves = assess(problem, state.leaves.box, state.leaves.cell)
    return problem, type(state)(leaves, state.points, 16)


def test_leaves_know_nothing_afterwards(found):
    problem, state = found
    pinned = pin(problem, state)
    assert bool((pinned.leaves.inner[:, 0] == math.inf).all())
    assert bool((pinned.leaves.inner[:, 1] == -math.inf).all())
    assert pinned.leaves.bounds is state.leaves.bounds


def test_variations_are_kept(found):
    problem, state = found
    before, after = (brackets(s, 8) for s in (state, pin(problem, state)))
    for name in ("variation", "target_variation"):
        old, new = getattr(before, name), getattr(after, name)
        assert torch.equal(old[1], new[1])
        assert bool((new[0] > 0.999 * old[0]).all()) and bool((new[0] <= new[1]).all())


def test_every_point_lies_in_its_cell(found):
    problem, state = found
    points = pin(problem, state).points
    lo, hi = problem.cells[points.cell].unbind(-1)
    assert bool(((lo <= points.x) & (points.x <= hi)).all())
    for which in (MODEL, TARGET):
        assert bool((points.bounds[which, 0] <= points.bounds[which, 1]).all())


def test_without_time_only_the_first_batch(found, monkeypatch):
    problem, state = found
    monkeypatch.setattr("certify.witnesses.BATCH", 3)
    few, all_ = pin(problem, state, 0.0).points, pin(problem, state).points
    assert 3 <= len(few.x.unique()) < len(all_.x.unique())
    assert len(few.x.unique()) == 3


def test_nothing_to_pin(found):
    problem, _ = found
    fresh = start(problem, 16)
    assert len(pin(problem, fresh).points.x) == 0


def test_a_search_ends_with_points(found):
    problem, _ = found
    outcome = search(problem, Goal(), Limits(10))
    assert outcome.stopped_by == "closed"
    assert bool(torch.isinf(outcome.state.leaves.inner).all())
    assert bool((outcome.known.variation[1] <= 1.0101 * outcome.known.variation[0]).all())
