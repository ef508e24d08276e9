"""Branch and bound in several variables: exact coverage, brackets of known answers, many inputs."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

import certify.run as loop
from certify.errors import BadRequest
from certify.goal import Goal, brackets
from certify.graph import Builder
from certify.options import Options, partition
from certify.orders import candidates
from certify.run import Limits, search
from certify.sampling import leaf_of, sandwich
from certify.search import (
    DIFFERENCE,
    MODEL,
    OUTPUTS,
    Problem,
    State,
    assess,
    between,
    children,
    start,
    step,
)
from certify.witnesses import pin
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=max(2, settings().max_examples // 5))


def linear(slopes, offset=0.0):
    """A model s . x + offset against x1 x2, as a graph."""
    b = Builder((len(slopes),))
    bias = np.full(1, offset) if offset else None
    model = b.affine(0, weight=np.array([slopes]), bias=bias)
    target = b.multiply(b.gather(0, np.array([0])), b.gather(0, np.array([1])))
    return b.graph(model=model, target=target, difference=b.subtract(model, target))


def volume(box):
    return math.prod((Fraction(hi) - Fraction(lo) for lo, hi in box), start=Fraction(1))


def covers(leaves, cells):
    """Leaves of a cell lie in it, overlap nowhere, and have its volume: they cover it."""
    for number, cell in enumerate(cells.tolist()):
        boxes = leaves.box[leaves.cell == number].tolist()
        for box in boxes:
            for (lo, hi), (a, b) in zip(box, cell, strict=True):
                assert a <= lo < hi <= b
        for one, other in itertools.combinations(boxes, 2):
            apart = (p[1] <= q[0] or q[1] <= p[0] for p, q in zip(one, other, strict=True))
            assert any(apart)
        assert sum(map(volume, boxes)) == volume(cell)


@given(SEEDS, st.sampled_from([2, 3]))
@FEW
def test_steps_keep_coverage_and_only_tighten(ref, seed, variables):
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act="relu", inputs=variables)
    target = b.multiply(b.gather(0, np.array([0])), b.gather(0, np.array([1])))
    graph = ref.difference(b, model, target)
    cells = partition(-1.0, 0.7, Options(cells=4), variables)
    problem = Problem(graph, cells, order=2)
    state = start(problem, 64)
    assert len(state.leaves) == len(cells)
    covers(state.leaves, cells)
    for _ in range(4):
        which = torch.from_numpy(rng.choice(len(state.leaves), size=min(3, len(state.leaves)),
                                            replace=False))  # fmt: skip
        old = state.leaves.take(which)
        state, new = step(problem, state, which, 1e-6)
        covers(state.leaves, cells)
        for i in range(len(new)):
            lo, hi = new.box[i].unbind(-1)
            low, high = old.box.unbind(-1)
            inside = torch.nonzero(((low <= lo) & (hi <= high)).all(1)).flatten().tolist()
            assert any(
                bool((new.bounds[:, 0, i] >= old.bounds[:, 0, j]).all())
                and bool((new.bounds[:, 1, i] <= old.bounds[:, 1, j]).all())
                for j in inside
            )
    x = torch.from_numpy(rng.uniform(-1, 0.7, (20, variables)))
    for x_i, leaf in zip(x.tolist(), leaf_of(state.leaves, x).tolist(), strict=True):
        box = state.leaves.box[leaf].tolist()
        assert all(lo <= v <= hi for v, (lo, hi) in zip(x_i, box, strict=True))
        values = ref.values(graph, x_i)
        for which, name in enumerate(OUTPUTS):
            v = values[graph.outputs[name]].reshape(-1)[0]
            assert ref.within(v, *state.leaves.bounds[which, :, leaf].tolist())


@given(SEEDS, st.sampled_from([1.0, 1e-300, 1e300]))
def test_children_cover_their_parent(seed, size):
    """One axis is cut in two, whatever its scale."""
    rng = np.random.default_rng(seed)
    lo = rng.normal(size=(1, 3)) * size
    cells = torch.from_numpy(np.stack([lo, lo + rng.uniform(0.1, 1, (1, 3)) * size], -1))
    problem = Problem(linear([1.0, 1.0, 1.0]), cells)
    leaves = start(problem, 1).leaves
    axis = torch.tensor([int(rng.integers(3))])
    parts = {n: getattr(leaves, n) for n in leaves.__dataclass_fields__}
    leaves = type(leaves)(**{**parts, "axis": axis, "stale": torch.zeros(1).long()})
    box, origin = children(problem, leaves, 0.0)
    assert origin.tolist() == [0, 0] and sum(map(volume, box.tolist())) == volume(cells[0].tolist())
    others = [i for i in range(3) if i != int(axis)]
    assert all(torch.equal(box[k, others], cells[0, others]) for k in range(2))


def answer(slopes, offset, goal, cells=4, seconds=20.0):
    graph = linear(slopes, offset)
    problem = Problem(graph, partition(-1.0, 1.0, Options(cells=cells), len(slopes)))
    outcome = search(problem, goal, Limits(seconds))
    assert sandwich(problem, outcome) >= 128
    return problem, outcome


@pytest.mark.parametrize(
    ("slopes", "offset", "sup"),
    [
        ([0.0, 0.0], 0.0, 1),  # |x1 x2|, at the corners
        ([0.5, 0.25], 0.0, Fraction(7, 4)),  # at (-1, 1): -1/4 + 1, (1, -1): 1/4 + 1, (-1, -1): 7/4
        ([0.0, 0.0], -3.0, 4),
        ([0.0, 0.0, 2.0], 0.0, 3),
    ],
)
def test_brackets_of_known_answers(slopes, offset, sup):
    """Of a linear function less x1 x2, the greatest size is at a corner."""
    goal = Goal(plateaus=False)
    problem, outcome = answer(slopes, offset, goal)
    lo, hi = map(Fraction, outcome.known.sup)
    assert lo <= sup <= hi <= Fraction(101, 100) * lo
    exact = [
        abs(sum(Fraction(s) * v for s, v in zip(slopes, x, strict=True)) + Fraction(offset)
            - x[0] * x[1])
        for x in itertools.product([-1, 1], repeat=len(slopes))
    ]  # fmt: skip
    assert max(exact) == sup
    # A variation of 0 is bracketed by roundings, whose relative gap nothing closes.
    assert outcome.stopped_by == ("closed" if any(slopes) else "resolution")
    witness = [Fraction(v) for v in outcome.known.witness]
    error = sum(Fraction(s) * v for s, v in zip(slopes, witness, strict=True)) + Fraction(offset)
    assert abs(error - witness[0] * witness[1]) >= lo
    for cell, ((low, high), (least, most)) in enumerate(
        zip(
            outcome.known.variation.T.tolist(),
            outcome.known.target_variation.T.tolist(),
            strict=True,
        )
    ):
        sides = [[Fraction(e) for e in side] for side in problem.cells[cell].tolist()]
        spread = sum(abs(Fraction(s)) * (b - a) for s, (a, b) in zip(slopes, sides, strict=True))
        corners = [p * q for p in sides[0] for q in sides[1]]
        assert Fraction(low) <= spread <= Fraction(high)
        assert Fraction(least) <= max(corners) - min(corners) <= Fraction(most)
    covers(outcome.state.leaves, problem.cells)


def test_pinned_points_are_proven_values_in_their_cells():
    problem, outcome = answer([0.5, -0.25], 0.0, Goal())
    for x, cell, bounds in zip(
        outcome.state.points.x.tolist(),
        outcome.state.points.cell.tolist(),
        outcome.state.points.bounds.permute(2, 0, 1).tolist(),
        strict=True,
    ):
        assert all(lo <= v <= hi for v, (lo, hi) in
                   zip(x, problem.cells[cell].tolist(), strict=True))  # fmt: skip
        a, b = map(Fraction, x)
        exact = a / 2 - b / 4, a * b, a / 2 - b / 4 - a * b
        assert all(Fraction(lo) <= v <= Fraction(hi) for v, (lo, hi) in
                   zip(exact, bounds, strict=True))  # fmt: skip
    state = pin(problem, outcome.state)
    assert bool(torch.isinf(state.leaves.inner).all())


def test_an_interrupted_search_keeps_true_bounds(ref, monkeypatch):
    rng = np.random.default_rng(1)
    b, model = ref.encoder(rng, inputs=2)
    target = b.multiply(b.gather(0, np.array([0])), b.gather(0, np.array([1])))
    graph = ref.difference(b, model, target)
    problem = Problem(graph, partition(-1.0, 1.0, Options(cells=4), 2))
    told = []

    def watch(progress):
        told.append(progress)
        if len(told) == 4:
            raise KeyboardInterrupt

    outcome = search(problem, Goal(gap=1e-9), Limits(20), watch)
    assert outcome.stopped_by == "interrupt"
    sandwich(problem, outcome)
    covers(outcome.state.leaves, problem.cells)
    lo, hi = outcome.known.sup
    x = list(outcome.known.witness)
    off = abs(ref.values(graph, x)[graph.outputs["difference"]].reshape(-1)[0])
    assert mpf(lo) <= off <= mpf(hi)


def test_a_target_without_variation_does_not_keep_the_search_going():
    """0 as target has bounds of 1e-295: too little to be worth anything."""
    b = Builder((2,))
    model = b.apply(FUNCTIONS["sin"], b.affine(0, weight=np.array([[1.0, 0.5]])))
    zero = b.affine(b.constant(np.ones(1)), scale=np.zeros(1))
    graph = b.graph(model=model, target=zero, difference=b.subtract(model, zero))
    problem = Problem(graph, partition(-1.0, 1.0, Options(cells=1), 2))
    outcome = search(problem, Goal(sup=False, plateaus=False), Limits(20))
    assert outcome.stopped_by == "closed" and outcome.seconds < 10


@pytest.mark.parametrize("variables", [1, 2])
def test_boxes_whose_width_overflows(variables):
    """Places stay finite, bounds are bounds, and nothing is nan."""
    b = Builder((variables,))
    x = b.gather(0, np.array([0]))
    model = b.apply(FUNCTIONS["exp"], x)
    graph = b.graph(model=model, target=x, difference=b.subtract(model, x))
    cells = partition(-1e308, 1e308, Options(cells=4), variables)
    assert len(cells) == 4
    problem = Problem(graph, cells)
    leaves = assess(problem, cells, torch.arange(4))
    assert bool(torch.isfinite(leaves.at).all())
    assert not bool(leaves.bounds.isnan().any()) and not bool(leaves.inner.isnan().any())
    outcome = search(problem, Goal(plateaus=False), Limits(1.0))
    assert bool(torch.isfinite(outcome.state.points.x).all())
    assert outcome.known.sup[0] >= 9.99e307 and outcome.known.sup[1] == math.inf
    sandwich(problem, outcome)


def test_a_whole_wide_box_is_not_called_plain_by_mistake():
    """x on [-1e308, 1e308]: greatest near its end, and the place says so."""
    b = Builder((1,))
    x = b.gather(0, np.array([0]))
    graph = b.graph(model=x, target=b.affine(x, scale=np.zeros(1)), difference=x)
    cells = torch.tensor([[-1e308, 1e308]], dtype=torch.float64)
    leaves = assess(Problem(graph, cells), cells, torch.zeros(1).long())
    low, high = leaves.inner[MODEL, :, 0].tolist()
    assert low <= -0.999e308 and high >= 0.999e308
    assert leaves.at[0, MODEL, 1, 0] > 0.999e308
    assert leaves.bounds[DIFFERENCE, 1, 0] >= 1e308


@given(st.floats(-1.7e308, 1.7e308), st.floats(-1.7e308, 1.7e308), st.floats(0, 1))
def test_between(a, b, t):
    lo, hi = min(a, b), max(a, b)
    assert math.isfinite(between(lo, hi, t))
    if 1e-300 < hi - lo < 1e300:
        exact = Fraction(lo) + Fraction(t) * (Fraction(hi) - Fraction(lo))
        scale = max(abs(Fraction(lo)), abs(Fraction(hi)))
        assert abs(Fraction(between(lo, hi, t)) - exact) <= scale / 2**50


@pytest.mark.parametrize(
    ("cells", "variables", "per"),
    [(32, 2, 5), (25, 2, 5), (24, 2, 4), (32, 3, 3), (7, 4, 1), (1, 2, 1)],
)
def test_a_partition_is_a_grid(cells, variables, per):
    found = partition(-1.0, 2.0, Options(cells=cells), variables)
    assert len(found) == per**variables <= cells < (per + 1) ** variables
    assert len({tuple(map(tuple, box)) for box in found.tolist()}) == len(found)
    assert sum(map(volume, found.tolist())) == 3**variables
    wide = partition(0.0, 1.0, Options(width=0.4), 2)
    assert len(wide) == 9 and float(wide.max()) == 1.0 and float(wide.min()) == 0.0
    with pytest.raises(BadRequest, match=r"more than 100000 cells of \[0, 1\]\^3"):
        partition(0.0, 1.0, Options(width=0.01), 3)


def test_many_inputs():
    """A partition of one cell, orders of few monomials: neither time nor memory run away."""
    assert len(partition(-1.0, 1.0, Options(cells=100_000), 1000)) == 1
    assert candidates(1) == (8, 5, 11) and candidates(2)[0] == 6
    assert candidates(100) == (2, 1) and candidates(1000) == (1,)
    graph = linear([0.25] * 40)
    problem = Problem(graph, partition(-1.0, 1.0, Options(), 40))
    outcome = search(problem, Goal(), Limits(20))
    lo, hi = outcome.known.sup
    assert lo <= 11 <= hi  # 40 / 4 + 1, at x1 = -x2
    assert outcome.stopped_by == "closed"


def test_brackets_read_the_cells_apart():
    """Bounds of one cell say nothing of another."""
    problem = Problem(linear([1.0, 0.0]), partition(0.0, 1.0, Options(cells=4), 2))
    leaves = assess(problem, problem.cells, torch.arange(4))
    known = brackets(State(leaves, start(problem, 1).points, 4), 4)
    for i, box in enumerate(problem.cells.tolist()):
        lo, hi = known.range[:, i].tolist()
        assert lo <= box[0][0] < box[0][1] <= hi and hi - lo < 0.5 + 1e-9
    assert loop.FIRST == 64
