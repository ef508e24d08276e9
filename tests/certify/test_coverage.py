"""Which states can be a search's: exact covers, and bounds that are bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.coverage import Impossible, _covered, sound
from certify.graph import Builder
from certify.search import FRESH, Problem, State, start, step
from theory.functions import FUNCTIONS

fractions = st.floats(0.01, 0.99)


@st.composite
def tilings(draw):
    """A box and boxes that fill it, by cuts from side to side, as (count, variables, 2)."""
    variables = draw(st.integers(1, 3))
    cell = torch.tensor([[-1.0, 2.0], [0.0, 1e-3], [5.0, 6.0]][:variables], dtype=torch.float64)
    boxes = [cell]
    for _ in range(draw(st.integers(0, 12))):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        axis, share = draw(st.integers(0, variables - 1)), draw(fractions)
        at = box[axis, 0] + share * (box[axis, 1] - box[axis, 0])
        low, high = box.clone(), box.clone()
        low[axis, 1] = high[axis, 0] = at
        boxes += [low, high] if box[axis, 0] < at < box[axis, 1] else [box]
    return cell, torch.stack(draw(st.permutations(boxes)))


@given(tilings())
def test_tilings_cover(tiling):
    cell, boxes = tiling
    _covered(boxes, cell)


@given(tilings(), st.data())
def test_tilings_with_a_fault_do_not(tiling, data):
    """One box gone, doubled, or with one end moved by one float64."""
    cell, boxes = tiling
    place = data.draw(st.integers(0, len(boxes) - 1))
    fault = data.draw(st.sampled_from(["gone", "doubled", "moved"]))
    if fault == "gone":
        boxes = torch.cat([boxes[:place], boxes[place + 1 :]])
    elif fault == "doubled":
        boxes = torch.cat([boxes, boxes[place : place + 1]])
    else:
        axis, end = data.draw(st.integers(0, len(cell) - 1)), data.draw(st.integers(0, 1))
        to = torch.tensor(data.draw(st.sampled_from([-9.0, 9.0])), dtype=torch.float64)
        boxes = boxes.clone()
        boxes[place, axis, end] = torch.nextafter(boxes[place, axis, end], to)
    with pytest.raises(Impossible, match="do not cover"):
        _covered(boxes, cell)


@pytest.fixture(scope="module")
def problem():
    b = Builder((1,))
    model, target = b.apply(FUNCTIONS["sin"], 0), b.apply(FUNCTIONS["exp"], 0)
    difference = b.add(model, b.affine(target, scale=torch.tensor(-1.0).numpy()))
    graph = b.graph(model=model, target=target, difference=difference)
    return Problem(graph, torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64))


@pytest.fixture(scope="module")
def state(problem):
    """Two steps into a search, with a few points."""
    from certify.search import measure

    found = start(problem, 4)
    for which in ([0, 1, 2, 3], [0, 1]):
        found, _ = step(problem, found, torch.tensor(which), 1e-3)
    x = torch.tensor([-1.0, -0.5, 0.0, 0.25, 1.0], dtype=torch.float64)
    points = measure(problem, x, torch.tensor([0, 0, 1, 1, 1]))
    return State(found.leaves, points, found.boxes)


def test_states_of_a_search_are_sound(problem, state):
    for one in (start(problem, 4), state):
        kept = sound(problem, one)
        for name in ("box", "cell", "bounds", "inner", "rem", "stale"):
            assert torch.equal(getattr(kept.leaves, name), getattr(one.leaves, name))
        lo, hi = (end[:, None, None] for end in kept.leaves.box.unbind(-1))
        assert bool(((lo <= kept.leaves.at) & (kept.leaves.at <= hi)).all())
    outside = replace(state.leaves, at=torch.full_like(state.leaves.at, 7.0))
    moved = sound(problem, replace(state, leaves=outside)).leaves
    assert torch.equal(moved.at, moved.box[:, None, None, :, 1].expand_as(moved.at))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("part", "name", "place", "value"),
    [
        ("leaves", "box", (0, 0, 0), NAN), ("leaves", "box", (0, 0, 0), -INF),
        ("leaves", "box", (0, 0, 1), 9.0), ("leaves", "box", (0, 0, 0), 0.1),
        ("leaves", "axis", (0,), 1), ("leaves", "axis", (0,), -1), ("leaves", "cell", (0,), 5),
        ("leaves", "cell", (0,), -1), ("leaves", "bounds", (0, 0, 0), NAN),
        ("leaves", "bounds", (0, 0, 0), INF), ("leaves", "bounds", (2, 1, 1), NAN),
        ("leaves", "bounds", (2, 1, 1), -INF), ("leaves", "bounds", (1, 0, 1), 1e3),
        ("leaves", "inner", (0, 0, 0), NAN), ("leaves", "inner", (0, 1, 0), NAN),
        ("leaves", "inner", (0, 0, 0), -9.0), ("leaves", "inner", (1, 1, 0), 99.0),
        ("leaves", "rem", (0,), -1.0), ("leaves", "rem", (0,), NAN),
        ("leaves", "stale", (0,), FRESH - 1), ("points", "x", (0, 0), NAN),
        ("points", "x", (0, 0), 0.5), ("points", "x", (0, 0), INF), ("points", "cell", (0,), 1),
        ("points", "cell", (0,), 9),
        ("points", "bounds", (0, 0, 0), NAN), ("points", "bounds", (2, 0, 1), 99.0),
        ("points", "bounds", (2, 1, 1), -99.0),
    ],
)  # fmt: skip
def test_impossible_states_are_refused(problem, state, part, name, place, value):
    tensor = getattr(getattr(state, part), name).clone()
    tensor[place] = value
    broken = replace(state, **{part: replace(getattr(state, part), **{name: tensor})})
    with pytest.raises(Impossible):
        sound(problem, broken)


def test_a_point_that_contradicts_the_leaves_is_refused(problem, state):
    """Each number alone would do; together a lower bound exceeds an upper one."""
    bounds = state.points.bounds.clone()
    bounds[2, :, 1] = 99.0
    with pytest.raises(Impossible, match="lower bound exceeds"):
        sound(problem, replace(state, points=replace(state.points, bounds=bounds)))


def test_a_leaf_in_another_cell_is_refused(problem, state):
    cell = state.leaves.cell.clone()
    cell[0] = 1 - cell[0]
    with pytest.raises(Impossible, match="do not cover"):
        sound(problem, replace(state, leaves=replace(state.leaves, cell=cell)))


def test_no_leaves(problem, state):
    none = state.leaves.take(torch.tensor([], dtype=torch.long))
    with pytest.raises(Impossible, match="no leaves"):
        sound(problem, replace(state, leaves=none))
