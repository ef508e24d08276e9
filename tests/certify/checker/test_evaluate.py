"""The checker's primitives on whole graphs, against the textbook at single inputs."""

from __future__ import annotations

from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.certificate import Certificate
from certify.checker.evaluate import Evaluator
from certify.frontend.network import as_network
from certify.graph import Builder

PLACES = [Fraction(k, 8) for k in (-8, -5, 0, 3, 8)]


@pytest.fixture(autouse=True)
def precise():
    with mpmath.mp.workprec(400), flint.ctx.workprec(128):
        yield


def evaluator(graph, expression="exp(x)"):
    target = {"name": "target", "expression": expression}
    return Evaluator(Certificate({}, as_network(graph), target, (), None, (), (), ()))


def exact(value):
    sign, mantissa, exponent, _ = value._mpf_
    ball = arb((-int(mantissa) if sign else int(mantissa), int(exponent)))
    return ball + ball.abs_upper() * arb(0, 1) * arb(2) ** -300


@given(seed=st.integers(0, 10**6), act=st.sampled_from(["gelu", "relu", "silu", "tanh"]),
       pre=st.booleans(), scale=st.sampled_from([0.3, 1.0, 3.0]), width=st.integers(-20, 0),
       order=st.integers(1, 16))  # fmt: skip
@settings(max_examples=max(15, settings().max_examples // 2))
def test_encoders_contain_the_truth(ref, seed, act, pre, scale, width, order):
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act, pre=pre, scale=scale, layers=int(rng.integers(1, 3)))
    graph = b.graph(model=model)
    ready = evaluator(graph)
    lo = rng.uniform(-1, 1)
    hi = lo + 2.0**width
    values, kinks = ready.on_box([(arb(lo), arb(hi))], order)
    assert all(arb(lo) < kink < arb(hi) for kink in kinks)
    for t in PLACES:
        x = (Fraction(lo) + Fraction(hi)) / 2 + t * (Fraction(hi) - Fraction(lo)) / 2
        x = mpf(x.numerator) / mpf(x.denominator)
        m = ref.values(graph, x)[graph.outputs["model"]].reshape(-1)[0]
        true = m, mpmath.exp(x), m - mpmath.exp(x)
        for value, ((p, (low, high)),) in zip(true, values, strict=True):
            with flint.ctx.workprec(512):
                ball = p(arb(fmpq(t.numerator, t.denominator)))
            assert not ball.is_finite() or ball.overlaps(exact(value))
            assert not exact(value) < low and not exact(value) > high


@given(seed=st.integers(0, 10**6), x=st.floats(-1, 1))
@settings(max_examples=15)
def test_points_are_sharp(ref, seed, x):
    b, model = ref.encoder(np.random.default_rng(seed), layers=2)
    graph = b.graph(model=model)
    found = evaluator(graph, "sin(x)").at((x,))
    m = ref.values(graph, mpf(x))[graph.outputs["model"]].reshape(-1)[0]
    for ball, value in zip(found, (m, mpmath.sin(x), m - mpmath.sin(mpf(x))), strict=True):
        assert ball.overlaps(exact(value)) and ball.rad() < 1e-20


def test_every_primitive_by_hand(ref):
    """((2 x + 3) / 7 gathered with a zero) times itself, plus itself: exact rationals."""
    b = ref.Builder((1,))
    line = b.affine(0, weight=[[2.0], [5.0]], scale=[1.0, 3.0], divisor=7.0, bias=[3.0, -1.0])
    square = b.matmul(b.reshape(line, (2, 1)), b.reshape(line, (1, 2)))
    summed = b.add(square, square)
    graph = b.graph(model=b.gather(b.gather(summed, np.array([[1, -1, 2]])), np.array([0])))
    (((p, _),), _, _), kinks = evaluator(graph).on_box([(arb(-1), arb(1))], 4)
    first, second = (fmpq(3), fmpq(2, 7)), (fmpq(-1), fmpq(15, 7))
    expected = [first[0] * second[0], first[0] * second[1] + first[1] * second[0],
                first[1] * second[1]]  # fmt: skip
    assert not kinks and p.length() == 3
    assert all(p[k].contains(arb(2 * c)) or p[k].overlaps(arb(2 * c)) for k, c in
               enumerate(expected)) and p[2].rad() < 1e-30  # fmt: skip


def test_a_gathered_zero_is_zero():
    """2 x + 0, not 2 x + 5 x."""
    b = Builder((1,))
    line = b.affine(0, weight=[[2.0], [5.0]])
    graph = b.graph(model=b.affine(b.gather(line, np.array([0, -1])), weight=[[1.0, 1.0]]))
    assert evaluator(graph).at((0.5,))[0] == 1
    ((p, _),), _, _ = evaluator(graph).on_box([(arb(-1), arb(1))], 2)[0]
    assert p[0] == 0 and p[1] == 2
