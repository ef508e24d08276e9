"""Whole encoders: forward enclosures and the backward pass against mpmath at 400 bits."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains.adjoint import Trace, output_error
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Builder, enclose
from certify.search import OUTPUTS, Problem, assess, forward, measure
from theory.functions import FUNCTIONS, Function
from theory.functions import x as VARIABLE

SEEDS = st.integers(0, 2**32 - 1)
ACTS = ["gelu", "relu", "silu", "gelu_tanh", "tanh", "sigmoid", "softplus", "abs"]
HEAVY = settings(max_examples=max(1, settings().max_examples // 5))


def boxes(rng, count):
    c = rng.uniform(-2, 2, count)
    r = 10.0 ** rng.uniform(-6, -0.3, count)
    r[0] = 0.0
    return torch.from_numpy(np.stack([c - r, c + r], 1))


def places(rng, lo, hi):
    return [lo, hi, min(max(lo + (hi - lo) * float(rng.random()), lo), hi)]


def at(ref, model, box, coef_box, x):
    """The polynomial of a one-entry model at the input x, exactly as it is scaled."""
    mid, rad = (mpf(float(c)) for c in (*coef_box, 0.0)[:2])
    t = (mpf(x) - mid) / rad if rad else mpf(0)
    return ref.polynomial(model.coef[:, box].reshape(len(model.coef), 1), t, mpf)[0]


def check_graph(ref, rng, graph, box, order):
    """Every output's range and remainder, forward and sharpened."""
    domain = Taylor(order)
    trace = Trace(2, domain)
    plain = enclose(graph, box, domain=domain, watch=trace.note)
    error = output_error(graph, trace, graph.outputs["difference"])
    sharp = forward(Problem(graph, box, order), domain, box)
    lifted = domain.lift(box, (1,)).coef[:, :, 0]
    for name in OUTPUTS:
        for model in (plain[name], sharp[name]):
            for part in ("rem", "lo", "hi", "coef", "norm"):
                assert not bool(getattr(model, part).isnan().any())
    for i, (lo, hi) in enumerate(box.tolist()):
        if order == 0 and lo != hi:
            continue
        for x in places(rng, lo, hi):
            values = ref.values(graph, x)
            for name in OUTPUTS:
                v = values[graph.outputs[name]].reshape(-1)[0]
                for model in (plain[name], sharp[name]):
                    off = abs(v - at(ref, model, i, lifted[:, i].tolist(), x))
                    rem = float(model.rem[i])
                    assert rem == math.inf or off <= mpf(rem), (name, lo, hi, x, rem)
                    low, high = (float(t[i]) for t in domain.range(model))
                    assert ref.within(v, low, high), (name, lo, hi, x)
                if name == "difference":
                    off = abs(v - at(ref, plain[name], i, lifted[:, i].tolist(), x))
                    assert float(error[i]) == math.inf or off <= mpf(float(error[i]))


@pytest.mark.parametrize("act", ACTS)
@given(SEEDS, st.sampled_from([0, 1, 3, 6, 8]), st.booleans(), st.sampled_from([0.1, 1.0, 3.0]))
@HEAVY
def test_encoders(ref, act, seed, order, pre, scale):
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act, pre=pre, scale=scale)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    check_graph(ref, rng, graph, boxes(rng, 4), order)


@pytest.mark.parametrize(
    "shape",
    [
        {"layers": 2, "width": 4, "tokens": 3},
        {"scale": 10.0},
        {"scale": 40.0, "pre": True},
        {"eps": 1e-300},
        {"width": 2, "eps": 1e-12, "scale": 0.1},
        {"layers": 1, "width": 8, "tokens": 4, "act": "silu"},
    ],
)
@given(SEEDS, st.sampled_from([2, 8]))
@settings(max_examples=max(1, settings().max_examples // 8))
def test_larger_and_stranger_encoders(ref, shape, seed, order):
    """Two layers, saturated softmax, and LayerNorm where the variance is nearly 0."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, **shape)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["sin"], 0))
    check_graph(ref, rng, graph, boxes(rng, 3), order)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(SEEDS, st.integers(1, 8))
@HEAVY
def test_chains_and_products(ref, name, seed, order):
    """f(a x + b)^2 times a gathered neighbor: every primitive's transpose, few steps."""
    rng = np.random.default_rng(seed)
    b = Builder((1,))
    positive = name in ("log", "sqrt", "rsqrt", "reciprocal")
    bias = rng.uniform(2.5, 4, 3) if positive else rng.normal(size=3)
    line = b.affine(0, weight=rng.uniform(-1, 1, (3, 1)), bias=bias)
    y = b.apply(FUNCTIONS[name], line)
    repeated = b.gather(y, np.array([2, 0, 0]))
    zeroed = b.add(repeated, b.gather(y, np.array([1, -1, 1])))
    z = b.multiply(b.apply(FUNCTIONS["square"], zeroed), y)
    z = b.affine(z, scale=rng.normal(size=3), divisor=3.0, bias=rng.normal(size=3))
    model = b.affine(z, weight=rng.normal(size=(1, 3)))
    graph = ref.difference(b, model, b.apply(FUNCTIONS["tanh"], 0))
    check_graph(ref, rng, graph, boxes(rng, 5), order)


@given(SEEDS, st.sampled_from(["gelu", "relu"]))
@HEAVY
def test_assess_and_measure(ref, seed, act):
    """Leaves contain the truth; inner bounds are reached; points hold."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    box = boxes(rng, 3)
    problem = Problem(graph, box)
    leaves = assess(problem, box, torch.arange(3))
    points = measure(problem, box[:, 0].contiguous(), torch.arange(3))
    for i, (lo, hi) in enumerate(box.tolist()):
        for x in places(rng, lo, hi):
            values = ref.values(graph, x)
            for which, name in enumerate(OUTPUTS):
                v = values[graph.outputs[name]].reshape(-1)[0]
                assert ref.within(v, *leaves.bounds[which, :, i].tolist())
                if x == lo:
                    assert ref.within(v, *points.bounds[which, :, i].tolist())


@given(SEEDS, st.integers(2, 8), st.integers(0, 3))
def test_a_tube_holds_all_that_lies_within_the_remainder(ref, seed, order, back):
    """Its own range, and the remainder about the polynomial cut to a lower order."""
    rng = np.random.default_rng(seed)
    coef = torch.from_numpy(rng.normal(size=(order + 1, 1, 3)))
    rem = torch.from_numpy(np.abs(rng.normal(size=(1, 3))) * 10.0 ** rng.uniform(-16, 0))
    narrow = torch.zeros_like(rem)
    tube = Trace(back, Taylor(len(coef) - 1)).tube(
        TaylorModel(coef, rem, narrow, narrow, rem.sum(-1))
    )
    for t in (-1.0, 1.0, float(rng.uniform(-1, 1))):
        p, q = (ref.polynomial(c[:, 0], mpf(t), mpf) for c in (coef, tube.coef))
        for i in range(3):
            r = mpf(float(rem[0, i]))
            for value in (p[i] - r, p[i] + r):
                assert abs(value - q[i]) <= mpf(float(tube.rem[0, i]))
                assert ref.within(value, float(tube.lo[0, i]), float(tube.hi[0, i]))


def test_the_backward_pass_is_of_use(ref):
    rng = np.random.default_rng(3)
    b, model = ref.encoder(rng, layers=2)
    graph = ref.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    box = torch.tensor([[0.1, 0.12]], dtype=torch.float64)
    trace = Trace(2, Taylor(8))
    plain = enclose(graph, box, domain=Taylor(8), watch=trace.note)["difference"].rem
    assert float(output_error(graph, trace, graph.outputs["difference"])) < float(plain) < 1e-3


def test_growing_curvature_of_powers(ref):
    """x**(5/2) steepens to the right; the backward pass must not take the left end for all."""
    import sympy as sp

    from theory.functions import Function, x

    b = Builder((1,))
    power = b.apply(Function("x**(5/2)", x ** sp.Rational(5, 2)), b.apply(FUNCTIONS["exp"], 0))
    graph = ref.difference(b, power, b.apply(FUNCTIONS["sin"], 0))
    ref.TEXTBOOK["x**(5/2)"] = lambda t: t ** (mpf(5) / 2)
    rng = np.random.default_rng(0)
    box = torch.tensor([[-1.0, 1.0], [0.0, 2.0], [0.0, 0.5]], dtype=torch.float64)
    for order in (1, 2, 3, 4):
        check_graph(ref, rng, graph, box, order)


def test_a_slope_of_many_bits_is_not_rounded():
    """Half of a box's width, times a slope that float32 does not have."""
    slope = 1 + 2.0**-25
    builder = Builder((1,))
    bent = builder.apply(Function("bent", sp.Max(VARIABLE, VARIABLE * sp.Rational(slope))), 0)
    graph, domain = builder.graph(y=bent), Taylor(0)
    trace = Trace(0, domain)
    box = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    value = enclose(graph, box, domain=domain, watch=trace.note)["y"]
    error = Fraction(float(output_error(graph, trace, bent)))
    assert abs(2 * Fraction(slope) - Fraction(float(value.coef[0]))) <= error
