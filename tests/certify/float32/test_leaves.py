"""Leaves and points that speak of executions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from certify.float32.leaves import Executed, execute, executed_points, leaf_at, refined, snapped
from certify.float32.lowering import lower_float32
from certify.frontend.target import compare, model_graph
from certify.goal import Goal
from certify.run import Limits, search
from certify.search import DIFFERENCE, MODEL, Problem
from theory.targets import find_target


def test_snapped_numbers_are_float32_and_inside():
    x = torch.tensor([0.1, 0.1, 1 / 3, 0.1 + 1e-12], dtype=torch.float64)
    tight = float(np.float32(0.1))
    pairs = [[0.0, 1.0], [0.0, 0.1], [1 / 3, 1.0], [0.1 + 5e-13, 0.1 + 2e-12]]
    ends = torch.tensor(pairs, dtype=torch.float64)
    got = snapped(x, ends)
    assert bool(got[3].isnan())
    assert bool((got[:3].float().double() == got[:3]).all())
    assert bool(((ends[:3, 0] <= got[:3]) & (got[:3] <= ends[:3, 1])).all())
    assert got[0] == tight and got[1] < tight


@pytest.fixture(scope="module")
def searched(exported):
    expression = find_target("sin", (-1.0, 1.0)).expression
    cells = torch.tensor([[-1.0, 0.1], [0.1, 1.0]], dtype=torch.float64)
    problem = Problem(compare(exported, expression, None), cells)
    graph = model_graph(replace(exported, graph=lower_float32(exported.program)), None)
    return problem, graph, search(problem, Goal(), Limits(20.0))


def test_leaves_are_widened_and_time_is_kept(searched):
    problem, graph, outcome = searched
    leaves = outcome.state.leaves
    none = execute(problem, graph, leaves, 0.0, -1.0)
    assert bool(none.error().isinf().all())
    all_of_them = execute(problem, graph, leaves, np.inf, 60.0)
    assert len(all_of_them.leaves) == len(leaves)
    assert bool((all_of_them.deviation < 1e-3).all())
    wide = all_of_them.widened()
    for which in (MODEL, DIFFERENCE):
        assert bool((wide.bounds[which, 0] < leaves.bounds[which, 0]).all())
        assert bool((wide.bounds[which, 1] > leaves.bounds[which, 1]).all())
    assert bool((wide.inner[:, 0] == np.inf).all())


def test_splitting_covers_the_same_domain(searched):
    problem, graph, outcome = searched
    coarse = torch.full((len(outcome.state.leaves),), 1.0, dtype=torch.float64)
    state = Executed(outcome.state.leaves, coarse, coarse < 0)
    after = refined(problem, graph, state, torch.tensor([0, 3]))
    box = after.leaves.box[:, 0]
    ends = box[torch.argsort(box[:, 0])]
    assert ends[0, 0] == -1 and ends[-1, 1] == 1
    assert bool((ends[1:, 0] == ends[:-1, 1]).all())
    assert len(after.deviation) == len(after.leaves) == len(after.stuck)
    assert bool((after.deviation <= 1).all())


def test_points_are_float32_numbers_with_wider_bounds(searched):
    problem, graph, outcome = searched
    state = execute(problem, graph, outcome.state.leaves, np.inf, 60.0)
    points = executed_points(problem, graph, state, outcome.state.points)
    assert len(points.x) and bool((points.x.float().double() == points.x).all())
    x, inside = points.x[:, 0], problem.cells[points.cell, 0]
    assert bool(((inside[:, 0] <= x) & (x <= inside[:, 1])).all())
    assert bool((points.bounds[MODEL, 1] - points.bounds[MODEL, 0] > 1e-8).all())
    box = state.leaves.box[leaf_at(state.leaves, x), 0]
    assert bool(((box[:, 0] <= x) & (x <= box[:, 1])).all())
