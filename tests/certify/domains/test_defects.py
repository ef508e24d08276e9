"""Errors carried by blocks: encoders against mpmath at 400 bits, and what the blocks buy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains import defects
from certify.domains.bottlenecks import blocks
from certify.domains.defects import sharpened
from certify.domains.taylor import Taylor
from certify.frontend import load
from certify.graph import Builder, Graph
from certify.search import Problem, assess, by_blocks, forward
from theory.functions import FUNCTIONS

ZOO = Path(__file__).parents[3] / "probes" / "zoo"
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=max(1, settings().max_examples // 6))


def boxes(rng):
    c = rng.uniform(-2, 2, 3)
    r = 10.0 ** rng.uniform(-7, -0.5, 3)
    r[0] = 0.0
    return torch.from_numpy(np.stack([c - r, c + r], 1))


def contained(ref, graph, box, found, order):
    """Every entry's error and range at the ends and in the middle of every box."""
    lifted = Taylor(order).lift(box, (1,)).coef[:, :, 0]
    for part in ("rem", "lo", "hi", "coef", "norm"):
        assert not bool(getattr(found, part).isnan().any())
    for i, (lo, hi) in enumerate(box.tolist()):
        mid, rad = mpf(float(lifted[0, i])), mpf(float(lifted[1, i])) if order else mpf(0)
        for x in (lo, lo / 2 + hi / 2, hi):
            t = (mpf(x) - mid) / rad if rad else mpf(0)
            values = ref.values(graph, x)[graph.outputs["model"]].reshape(-1)
            coef = found.coef[:, i].reshape(len(found.coef), -1)
            polynomial = ref.polynomial(coef, t, mpf)
            ends = (found.rem[i], found.lo[i], found.hi[i])
            for v, p, rem, low, high in zip(
                values, polynomial, *(e.reshape(-1).tolist() for e in ends), strict=True
            ):
                assert rem == math.inf or abs(v - p) <= mpf(rem), (x, float(abs(v - p)), rem)
                assert ref.within(v, low, high), (x, v, low, high)


@pytest.mark.parametrize("act", ["gelu", "relu", "tanh"])
@pytest.mark.parametrize("pre", [False, True])
@given(SEEDS, st.sampled_from([0, 2, 8]), st.sampled_from([0.1, 1.0, 3.0]))
@FEW
def test_encoders(ref, act, pre, seed, order, scale):
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act, pre=pre, scale=scale, layers=2)
    graph, box = b.graph(model=model), boxes(rng)
    found = sharpened(graph, box, Taylor(order), graph.outputs["model"])
    assert found is not None
    contained(ref, graph, box, found, order)


@given(SEEDS)
@FEW
def test_all_outputs_together(ref, seed):
    """The last state of all tokens: there is no backward pass, only Jacobians and ellipsoids."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, layers=2, width=4, tokens=3)
    whole, box = b.graph(model=model), boxes(rng)
    state = blocks(whole, whole.outputs["model"])[-1].start
    graph = Graph(whole.input_shape, whole.nodes, {"model": state})
    found = sharpened(graph, box, Taylor(8), state)
    assert graph.shape(state) == (3, 4) and bool(torch.isfinite(found.rem[0]).all())
    contained(ref, graph, box, found, 8)


def deep(ref, layers=5):
    """An encoder whose remainders explode node by node: weights three times the usual ones."""
    rng = np.random.default_rng(3)
    b, model = ref.encoder(rng, layers=layers, width=8, tokens=3, scale=3.0)
    return ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))


def test_blocks_pay_where_graphs_are_deep(ref):
    graph = deep(ref)
    box = torch.tensor([[0.3, 0.3 + 2.0**-14], [-0.7, -0.7 + 2.0**-14]], dtype=torch.float64)
    crude = forward(Problem(graph, box), Taylor(8), box)["model"].rem
    found = sharpened(graph, box, Taylor(8), graph.outputs["model"])
    assert bool((found.rem * 1e3 < crude).all()), (found.rem, crude)


def test_ellipsoids_are_used(ref, monkeypatch):
    """Norms of one block after the other forget what a product of matrices does."""
    graph = deep(ref)
    box = torch.tensor([[0.3, 0.3 + 2.0**-14]], dtype=torch.float64)
    full = sharpened(graph, box, Taylor(8), graph.outputs["model"]).rem
    lengths = defects.ellipsoids.lengths
    monkeypatch.setattr(
        defects.ellipsoids, "lengths", lambda *a: [x + math.inf for x in lengths(*a)]
    )
    sums = sharpened(graph, box, Taylor(8), graph.outputs["model"]).rem
    assert bool((full < sums / 10).all())


def test_the_backward_pass_is_used(monkeypatch):
    graph = load(ZOO / "exp.pt").graph
    box = torch.tensor([[0.3, 0.301]], dtype=torch.float64)
    full = sharpened(graph, box, Taylor(8), graph.outputs["model"]).rem
    monkeypatch.setattr(defects, "output_error", lambda *a: torch.tensor([math.inf]).double())
    forth = sharpened(graph, box, Taylor(8), graph.outputs["model"]).rem
    assert bool((full < forth / 2).all())


def test_polynomials_that_forgot_their_inputs(ref):
    """On a wide box the backward pass is not believed: see `_Walk._defects`."""
    graph = deep(ref, 3)
    box = torch.tensor([[-2.0, 2.0]], dtype=torch.float64)
    contained(ref, graph, box, sharpened(graph, box, Taylor(4), graph.outputs["model"]), 4)


def test_refusals(ref):
    b = Builder((1,))
    graph = b.graph(model=b.apply(FUNCTIONS["tanh"], b.affine(0, weight=np.ones((1, 1)))))
    box = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert sharpened(graph, box, Taylor(8), graph.outputs["model"]) is None
    graph = deep(ref)
    assert sharpened(graph, box, Taylor(8), graph.outputs["model"], room=1000.0) is None


def test_search_mixes_both(ref):
    """by_blocks replaces only what is not good enough, and keeps the difference in step."""
    graph = deep(ref)
    box = torch.tensor([[0.3, 0.3 + 2.0**-14], [-0.7, -0.7]], dtype=torch.float64)
    problem, domain = Problem(graph, box), Taylor(8)
    models = forward(problem, domain, box)
    rem = models["difference"].rem.reshape(-1)
    enough = float(rem.min())
    mixed = by_blocks(problem, domain, box, models, enough)
    kept, other = int(rem.argmin()), int(rem.argmax())
    assert mixed["difference"].rem.reshape(-1)[other] < rem[other] / 1e3
    assert mixed["model"].rem.reshape(-1)[kept] == models["model"].rem.reshape(-1)[kept]
    leaves = assess(problem, box, torch.zeros(2, dtype=torch.long), deep=True)
    for i, (lo, hi) in enumerate(box.tolist()):
        for x in (lo, hi):
            values = ref.values(graph, x)
            for row, name in enumerate(("model", "target", "difference")):
                v = values[graph.outputs[name]].reshape(-1)[0]
                low, high = leaves.bounds[row, :, i].tolist()
                assert ref.within(v, low, high)
