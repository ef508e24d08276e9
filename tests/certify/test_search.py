"""Branch and bound: coverage without gaps, bounds that only tighten, and thin boxes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import certify
from certify.frontend.target import compare
from certify.goal import brackets
from certify.graph import Builder
from certify.search import CUTS, FRESH, OUTPUTS, Problem, assess, children, split, start, step
from theory.functions import FUNCTIONS
from theory.targets import find_target

SEEDS = st.integers(0, 2**32 - 1)


def relu_problem(ref, cells, act="relu"):
    rng = np.random.default_rng(5)
    b, model = ref.encoder(rng, act=act)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    return Problem(graph, torch.tensor(cells, dtype=torch.float64), order=4)


def covers(leaves, cells):
    """The leaves of every cell, in order, share their ends exactly and end at the cell's."""
    for number, (lo, hi) in enumerate(cells.reshape(-1, 2).tolist()):
        boxes = sorted(leaves.box[leaves.cell == number, 0].tolist())
        assert boxes[0][0] == lo and boxes[-1][1] == hi
        for (a, b), (c, _) in zip(boxes, [*boxes[1:], (hi, None)], strict=True):
            assert a < b and b == c


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=5, unique=True).map(sorted),
    st.integers(1, 40),
)
def test_start_covers_the_domain(ends, boxes):
    cells = torch.tensor(list(zip(ends[:-1], ends[1:], strict=True)), dtype=torch.float64)
    state = start(Problem(None, cells), boxes)
    covers(state.leaves, cells)
    assert bool((state.leaves.stale == FRESH).all())
    assert bool(torch.isinf(state.leaves.bounds).all())


@given(
    st.floats(-1e9, 1e9), st.floats(1e-9, 1e3),
    st.lists(st.floats(-0.5, 1.5), max_size=CUTS), st.floats(0, 1e10) | st.just(math.inf),
    st.sampled_from([0.0, 1e-9, 1.0]),
)  # fmt: skip
def test_children_cover_their_parents(lo, width, cuts, rem, tolerance):
    hi = max(lo + width, math.nextafter(lo, math.inf))
    cells = torch.tensor([[lo, hi]], dtype=torch.float64)
    leaves = start(Problem(None, cells), 1).leaves
    kinks = torch.full((1, CUTS), math.nan).double()
    for i, part in enumerate(cuts):
        kinks[0, i] = lo + part * width
    parents = replace(
        leaves, cuts=kinks, rem=torch.tensor([rem]).double(), stale=torch.zeros(1).long()
    )
    box, origin = children(Problem(None, cells), parents, tolerance)
    box = box[:, 0]
    edges = [lo, *box[:, 1].tolist()]
    assert edges[-1] == hi and box[:, 0].tolist() == edges[:-1]
    assert all(a < b for a, b in zip(edges[:-1], edges[1:], strict=True))
    assert origin.tolist() == [0] * len(box)


@given(SEEDS)
@settings(max_examples=max(2, settings().max_examples // 6))
def test_steps_keep_coverage_and_only_tighten(ref, seed):
    rng = np.random.default_rng(seed)
    problem = relu_problem(ref, [[-1.0, 0.1], [0.1, 1.0]])
    state = start(problem, 8)
    for _ in range(4):
        before = brackets(state, 2)
        which = torch.from_numpy(rng.permutation(len(state.leaves))[: int(rng.integers(1, 8))])
        after, new = step(problem, state, which, 1e-6)
        covers(after.leaves, problem.cells)
        known = brackets(after, 2)
        assert known.sup[0] >= before.sup[0] and known.sup[1] <= before.sup[1]
        assert bool((known.variation[0] >= before.variation[0]).all())
        assert bool((known.variation[1] <= before.variation[1]).all())
        for i in range(len(new)):
            lo, hi = new.box[i, 0].tolist()
            old = [
                j for j, (a, b) in enumerate(state.leaves.box[:, 0].tolist()) if a <= lo and hi <= b
            ]
            parent = state.leaves.bounds[..., old[0]]
            assert bool((new.bounds[:, 0, i] >= parent[:, 0]).all())
            assert bool((new.bounds[:, 1, i] <= parent[:, 1]).all())
        assert after.boxes == state.boxes + len(new)
        state = after
    rows = state.leaves.bounds.reshape(6, -1).T.tolist()
    for (lo, hi), bounds in zip(state.leaves.box[:, 0].tolist(), rows, strict=True):
        values = ref.values(problem.graph, lo + (hi - lo) * 0.375)
        for k, name in enumerate(OUTPUTS):
            value = values[problem.graph.outputs[name]].reshape(-1)[0]
            assert ref.within(value, bounds[2 * k], bounds[2 * k + 1])


@pytest.mark.parametrize("ulps", [2**16 + 1, 2**20 + 1, 2**24 + 3, 2**30 + 1])
@pytest.mark.parametrize("base", [1.0])
def test_inner_bounds_of_thin_boxes_are_reached_inside(ref, base, ulps):
    """log(x) on a box of some thousand floats, an odd number: its midpoint is no float."""
    lo = base + 2**10 * math.ulp(base)
    hi = lo + ulps * math.ulp(base)
    b = Builder((1,))
    model = b.apply(FUNCTIONS["log"], b.gather(0, np.array([0])))
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    box = torch.tensor([[lo, hi]], dtype=torch.float64)
    leaves = assess(Problem(graph, box), box, torch.tensor([0]))
    least, most = leaves.inner[0, :, 0].tolist()
    assert mpf(least) >= mp.log(lo) and mpf(most) <= mp.log(hi)


@given(SEEDS)
@settings(max_examples=max(2, settings().max_examples // 5))
def test_inner_bounds(ref, seed):
    """Some value in the box is <= the first and some is >= the second, with exact extremes."""
    rng = np.random.default_rng(seed)
    b = Builder((1,))
    c = float(rng.uniform(-1, 1))
    model = b.apply(FUNCTIONS["square"], b.affine(0, bias=[-c]))
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    mid, rad = rng.uniform(-1, 1, 6), 10.0 ** rng.uniform(-9, 0, 6)
    box = torch.from_numpy(np.stack([mid - rad, mid + rad], 1))
    leaves = assess(Problem(graph, box), box, torch.arange(6))
    for i, (lo, hi) in enumerate(box.tolist()):
        ends = [(mpf(e) - mpf(c)) ** 2 for e in (lo, hi)]
        bottom = mpf(0) if lo <= c <= hi else min(ends)
        least, most = leaves.inner[0, :, i].tolist()
        assert least >= bottom and most <= max(ends)


def test_order_zero_contains_wide_boxes(ref):
    """Intervals: with order 0 the input itself is uncertain, and that counts."""
    b = Builder((1,))
    graph = ref.difference(b, b.affine(0, scale=2.0), b.apply(FUNCTIONS["exp"], 0))
    box = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    leaves = assess(Problem(graph, box, order=0), box, torch.tensor([0]))
    lo, hi = leaves.bounds[0, :, 0].tolist()
    assert lo <= 0.0 and hi >= 2.0


def test_a_model_that_is_its_input(ref):
    """No node computes the model's output, and the backward pass starts at the input."""
    b = Builder((1,))
    graph = ref.difference(b, 0, b.apply(FUNCTIONS["exp"], 0))
    box = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    leaves = assess(Problem(graph, box), box, torch.arange(2))
    assert leaves.bounds[0].T.tolist() == box.tolist()


def test_depth_is_met_by_blocks_at_once():
    """Where a box's middle has too large a remainder already, nothing is split first."""
    model = Path(__file__).parents[2] / "probes" / "zoo" / "exp4.pt"
    cells = torch.tensor([[0.1, 0.1 + 2.0**-8], [0.4, 0.4 + 2.0**-8]], dtype=torch.float64)
    problem = Problem(compare(certify.load(model), find_target("exp").expression, None), cells)
    fresh = start(problem, 2).leaves
    plain = assess(problem, fresh.box, fresh.cell)
    assert float(plain.rem.min()) > 1e-11
    easy = split(problem, fresh, 1.0)
    assert torch.equal(easy.box, fresh.box) and float(easy.rem.min()) > 1e-11
    hard = split(problem, fresh, 1e-11)
    assert torch.equal(hard.box, fresh.box) and float(hard.rem.max()) < 1e-11
