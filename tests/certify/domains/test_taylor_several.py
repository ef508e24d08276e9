"""Whole encoders of several inputs: forward enclosures and the backward pass at 400 bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains import norms
from certify.domains.adjoint import Trace, output_error
from certify.domains.basis import exponents
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Builder, enclose
from certify.normalized import limit
from certify.search import DIFFERENCE, OUTPUTS, Problem, assess, forward, measure
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=max(1, settings().max_examples // 5))


def boxes(rng, count, variables):
    """(count, variables, 2); the first is a point, the second is thin in one variable."""
    c = rng.uniform(-2, 2, (count, variables))
    r = 10.0 ** rng.uniform(-5, -0.3, (count, variables))
    r[0] = 0.0
    if count > 1:
        r[1, rng.integers(variables)] = 0.0
    return torch.from_numpy(np.stack([c - r, c + r], -1))


def places(rng, box):
    """Two corners and two places between."""
    lo, hi = np.array(box).T
    corner = np.where(rng.random(len(lo)) < 0.5, lo, hi)
    inside = np.clip(lo + (hi - lo) * rng.random((2, len(lo))), lo, hi)
    return [hi.tolist(), corner.tolist(), *inside.tolist()]


def at(model, i, start, x):
    """The polynomial of a one-entry model on box i at the input x, exactly as it is scaled."""
    variables = len(x)
    c = start[:, i].tolist()
    t = []
    for k, v in enumerate(x):
        rad = mpf(c[1 + k][k]) if len(c) > 1 else mpf(0)
        t.append((mpf(v) - mpf(c[0][k])) / rad if rad else mpf(0))
    coef = model.coef[:, i].reshape(-1).tolist()
    order = next(d for d in range(20) if len(exponents(variables, d)) == len(coef))
    return sum(
        mpf(a) * math.prod(v**e for v, e in zip(t, powers, strict=True))
        for a, powers in zip(coef, exponents(variables, order), strict=True)
    )


def noted(graph, domain, trace):
    """What a search watches: values cut to what norms promise, and noted."""
    tighter = limit(graph, domain)

    def watch(number, node, inputs, value):
        value = tighter(number, node, inputs, value)
        trace.note(number, node, inputs, value)
        return value

    return watch


def check_graph(ref, rng, graph, box, order):
    """Every output's range and remainder, forward and sharpened; with what norms promise."""
    variables = box.shape[1]
    domain = Taylor(order, variables)
    trace = Trace(1, domain)
    plain = enclose(graph, box, domain=domain, watch=noted(graph, domain, trace))
    error = output_error(graph, trace, graph.outputs["difference"])
    sharp = forward(Problem(graph, box, order), domain, box)
    start = domain.lift(box, (variables,)).coef
    for models in (plain, sharp):
        for name in OUTPUTS:
            for part in ("rem", "lo", "hi", "coef", "norm"):
                assert not bool(getattr(models[name], part).isnan().any())
    for i, sides in enumerate(box.tolist()):
        if order == 0 and any(lo != hi for lo, hi in sides):
            continue
        for x in places(rng, sides):
            values = ref.values(graph, x)
            for name in OUTPUTS:
                v = values[graph.outputs[name]].reshape(-1)[0]
                for model in (plain[name], sharp[name]):
                    off, rem = abs(v - at(model, i, start, x)), float(model.rem[i])
                    assert rem == math.inf or off <= mpf(rem), (name, x, float(off), rem)
                    low, high = (float(t[i]) for t in domain.range(model))
                    assert ref.within(v, low, high), (name, x)
                if name == "difference":
                    off = abs(v - at(plain[name], i, start, x))
                    assert float(error[i]) == math.inf or off <= mpf(float(error[i]))


def product_of_inputs(b):
    """x1 x2 as a target."""
    return b.multiply(b.gather(0, np.array([0])), b.gather(0, np.array([1])))


@pytest.mark.parametrize("act", ["gelu", "relu", "tanh", "abs"])
@given(SEEDS, st.sampled_from([(2, 0), (2, 1), (2, 4), (3, 2)]), st.booleans(),
       st.sampled_from([0.1, 1.0, 4.0]))  # fmt: skip
@FEW
def test_encoders(ref, act, seed, kind, pre, scale):
    rng, (variables, order) = np.random.default_rng(seed), kind
    b, model = ref.encoder(rng, act=act, pre=pre, scale=scale, inputs=variables)
    graph = ref.difference(b, model, product_of_inputs(b))
    check_graph(ref, rng, graph, boxes(rng, 3, variables), order)


@given(SEEDS, st.sampled_from([1e-300, 1e-12]), st.sampled_from([0.01, 30.0]))
@FEW
def test_norms_that_nearly_divide_by_zero(ref, seed, eps, scale):
    """What norms promise takes the place of what is not known; adjoints meet such entries."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, width=2, tokens=2, eps=eps, scale=scale, inputs=2)
    graph = ref.difference(b, model, product_of_inputs(b))
    check_graph(ref, rng, graph, 4 * boxes(rng, 4, 2), 2)


@given(SEEDS, st.sampled_from(["gelu", "relu"]), st.sampled_from([2, 3]))
@FEW
def test_assess_and_measure(ref, seed, act, variables):
    """Leaves contain the truth; inner bounds are reached where they say; points hold."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act, inputs=variables)
    graph = ref.difference(b, model, product_of_inputs(b))
    box = boxes(rng, 3, variables)
    problem = Problem(graph, box, order=3)
    leaves = assess(problem, box, torch.arange(3))
    points = measure(problem, box[..., 0].contiguous(), torch.arange(3))
    for i, sides in enumerate(box.tolist()):
        low = [lo for lo, _ in sides]
        for x in [low, *places(rng, sides)]:
            values = ref.values(graph, x)
            for which, name in enumerate(OUTPUTS):
                v = values[graph.outputs[name]].reshape(-1)[0]
                assert ref.within(v, *leaves.bounds[which, :, i].tolist())
                if x == low:
                    assert ref.within(v, *points.bounds[which, :, i].tolist())
        for which, name in enumerate(OUTPUTS):
            for side in (0, 1):
                x = leaves.at[i, which, side].tolist()
                assert all(lo <= v <= hi for v, (lo, hi) in zip(x, sides, strict=True))
                v = ref.values(graph, x)[graph.outputs[name]].reshape(-1)[0]
                bound = float(leaves.inner[which, side, i])
                # `at` is rounded: the value at the exact place differs by hardly more.
                assert v <= bound + 1e-9 if side == 0 else v >= bound - 1e-9
    assert int(leaves.axis.min()) >= 0 and int(leaves.axis.max()) < variables
    assert leaves.bounds[DIFFERENCE].shape == (2, 3)


def test_the_input_is_lifted_whole():
    """[mid - rad, mid + rad] holds both ends exactly; a side without width has no slope."""
    box = torch.tensor(
        [
            [[0.1, 0.3], [-1.0, 1.0]],
            [[0.7, 0.7], [-1e308, 1e308]],
            [[1.0, 1 + 2**-52], [0, 5e-324]],
        ],
        dtype=torch.float64,
    )
    model = Taylor(2, 2).lift(box, (2,))
    for i, sides in enumerate(box.tolist()):
        for k, (lo, hi) in enumerate(sides):
            mid, rad = mpf(float(model.coef[0, i, k])), mpf(float(model.coef[1 + k, i, k]))
            assert mid - rad <= mpf(lo) and mpf(hi) <= mid + rad
            assert float(model.coef[2 - k, i, k]) == 0 and (lo != hi or rad == 0)
            assert (float(model.lo[i, k]), float(model.hi[i, k])) == (lo, hi)
    with pytest.raises(ValueError, match="2 variables, but the input has 3"):
        Taylor(2, 2).lift(box, (3,))


@given(SEEDS, st.sampled_from([0.0, 1e-9, 0.1, 10.0, math.inf]))
def test_within(ref, seed, size):
    """All promises of a model survive a bound that its values are known to obey.

    Rows of three entries of at most 1 in size and root 2 in length; polynomials and remainders
    that know little of it.
    """
    rng, domain = np.random.default_rng(seed), Taylor(2, 2)
    count = domain.basis.count()
    truth = rng.uniform(-1, 1, (4, 3))
    truth *= math.sqrt(2) / np.maximum(np.linalg.norm(truth, axis=1, keepdims=True), math.sqrt(2))
    t = rng.uniform(-1, 1, (4, 2))
    coef = torch.from_numpy(rng.normal(size=(count, 1, 1, 3)) * min(size, 10.0))
    table = torch.from_numpy(
        np.array([[math.prod(v**e for v, e in zip(row, a, strict=True))
                   for a in exponents(2, 2)] for row in t])
    )  # fmt: skip
    p = (table @ coef.reshape(count, 3)).numpy()
    coef[0, 0, 0] += torch.from_numpy(truth[0] - p[0])
    p += truth[0] - p[0]
    off = np.abs(truth - p) * (1 + 1e-9) + 1e-12
    rem = torch.from_numpy(off.max(0) * rng.choice([1.0, 1.5, 100.0], 3)).reshape(1, 1, 3)
    rem = torch.where(torch.from_numpy(rng.random((1, 1, 3)) < 0.2), math.inf, rem)
    norm = torch.fmin(norms.rows(rem), torch.tensor(np.linalg.norm(off, axis=1).max() * 1.01))
    wide = torch.full((1, 1, 3), 5.0 if rng.random() < 0.5 else math.inf).double()
    made = rem * 0.5
    old = TaylorModel(coef, rem, -wide, wide, norm.double(), made)
    new = domain.within(old, 1.0, math.sqrt(2) * (1 + 1e-15))
    cut = torch.zeros(1, 1, 3, dtype=torch.bool) if new.cut is None else new.cut
    assert bool((new.lo >= -1).all()) and bool((new.hi <= 1).all())
    assert bool((new.rem <= 2 + 4 * coef.abs().sum(0)).all()), "the bound is of no use"
    q = (table @ new.coef.reshape(count, 3)).numpy()
    for value, poly in zip(truth, q, strict=True):
        error = np.abs(value - poly)
        assert (error <= new.rem.numpy().reshape(3) + 1e-14).all()
        assert np.linalg.norm(error) <= float(new.norm) + 1e-14
        assert (value >= new.lo.numpy().reshape(3)).all() and (value <= new.hi.numpy()).all()
    for k in range(3):
        if bool(cut[0, 0, k]):  # the polynomial forgot its inputs: made is the whole error
            assert bool((new.coef[1:, 0, 0, k] == 0).all())
            assert float(new.made[0, 0, k]) >= float(new.rem[0, 0, k])
        else:
            assert torch.equal(new.coef[:, 0, 0, k], coef[:, 0, 0, k])
            assert float(new.made[0, 0, k]) == float(made[0, 0, k])


def test_within_uses_the_length_of_a_row():
    """Where all of a row is unknown its error is as long as the row, not as its entries' box."""
    domain, inf = Taylor(1, 2), torch.full((1, 1, 8), math.inf).double()
    lost = TaylorModel(torch.zeros(3, 1, 1, 8).double(), inf, -inf, inf, inf[..., 0], inf)
    new = domain.within(lost, math.sqrt(7), math.sqrt(8))
    assert math.sqrt(8) <= float(new.norm) < math.sqrt(8) + 1e-9
    assert bool((new.rem >= math.sqrt(7)).all()) and bool((new.rem < math.sqrt(7) + 1e-9).all())


def test_blank_rows_of_the_adjoint_are_zero(ref):
    """0 times an unknown factor is 0: behind a norm that forgot its inputs nothing is unknown."""
    b = Builder((2,))
    rng = np.random.default_rng(0)
    start = b.apply(FUNCTIONS["tanh"], b.affine(0, weight=rng.normal(size=(3, 2))))
    row = ref.layer_norm(b, b.reshape(start, (1, 3)), np.ones(3), np.zeros(3), 1e-12)
    model = b.affine(b.reshape(row, (3,)), weight=rng.normal(size=(1, 3)))
    graph = ref.difference(b, model, product_of_inputs(b))
    box = torch.tensor([[[-1.0, 1.0], [-1.0, 1.0]]]).double()
    domain = Taylor(2, 2)
    trace = Trace(1, domain)
    enclose(graph, box, domain=domain, watch=noted(graph, domain, trace))
    assert float(output_error(graph, trace, graph.outputs["model"])) < 10
    check_graph(ref, rng, graph, box, 2)
