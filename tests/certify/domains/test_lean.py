"""The arithmetic of the backward pass against exact fractions, and slopes against mpmath."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains import norms
from certify.domains.adjoint import Trace
from certify.domains.basis import Basis
from certify.domains.expansions import Kinked, rule
from certify.domains.lean import Lean, Slope
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Gather
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
ORDERS = st.integers(0, 3)
PLACES = [Fraction(p) for p in (-1, 1, 0)] + [Fraction(-0.7), Fraction(0.3)]


def slope(rng, order, shape):
    """A random bound, and a true function within it: its value at t, entry by entry."""
    coef = rng.normal(size=(order + 1, 1, *shape)) * 10.0 ** rng.uniform(-8, 4)
    rem = np.abs(rng.normal(size=(1, *shape))) * 10.0 ** rng.uniform(-16, 1)
    rem *= rng.random() < 0.7  # without errors, those of rounding are seen
    sign = np.vectorize(Fraction)(rng.choice([-1.0, 0.25, 1.0], shape))
    exact, off = np.vectorize(Fraction)(coef), np.vectorize(Fraction)(rem[0])
    # Of the largest entry of a row alone: its norm is as small as its entries allow.
    lone = rng.random() < 0.5
    if lone:
        first = np.zeros(shape)
        first[..., 0] = 1
        off = off * np.vectorize(Fraction)(first)
        norm = torch.from_numpy(rem[..., 0].copy())
    else:
        norm = norms.rows(torch.from_numpy(rem))

    def value(t):
        return sum(exact[k, 0] * t**k for k in range(order + 1)) + off * sign

    return Slope(torch.from_numpy(coef), torch.from_numpy(rem), norm), value


def holds(out, value):
    """Entries, and the errors' norm along the last axis, at every place."""
    coef, rem = np.vectorize(Fraction)(out.coef.numpy()), out.rem.numpy()
    size = out.size().numpy()
    for t in PLACES:
        true = value(t)
        off = true - sum(coef[k, 0] * t**k for k in range(len(coef)))
        for i in np.ndindex(true.shape):
            if math.isfinite(rem[0][i]):
                assert abs(off[i]) <= Fraction(float(rem[0][i]))
                assert abs(true[i]) <= Fraction(float(size[0][i]))
        for i in np.ndindex(true.shape[:-1]):
            if math.isinf(out.norm[0][i]):
                continue
            square = sum(o**2 for o in off[i])
            assert square <= Fraction(float(out.norm[0][i])) ** 2


@given(SEEDS, ORDERS)
def test_linear_maps(seed, order):
    rng = np.random.default_rng(seed)
    lean = Lean(Basis(1, order))
    x, value = slope(rng, order, (2, 3))
    w, s = rng.normal(size=(4, 3)), rng.normal(size=4)
    d = float(rng.choice([1.0, 3.0, -1e-300]))
    exact, scale = np.vectorize(Fraction)(w), np.vectorize(Fraction)(s)
    holds(lean.affine(Affine(w, s, d, None), x), lambda t: value(t) @ exact.T * scale / Fraction(d))
    y, other = slope(rng, order, (2, 4))
    holds(lean.affine(Affine(None, s, d, None), y), lambda t: other(t) * scale / Fraction(d))
    index = rng.integers(-1, 6, (3, 2))

    def picked(t):
        return np.where(index < 0, Fraction(0), value(t).reshape(-1)[index])

    holds(lean.gather(Gather(index), x), picked)
    y, other = slope(rng, order, (2, 3))
    holds(lean.add(x, y), lambda t: value(t) + other(t))


def test_a_product_that_underflows_may_be_stretched():
    """The weight's product is lost, and the scale would have made it large again."""
    x = torch.tensor([[[1e-200]]], dtype=torch.float64)
    none = torch.zeros(1, 1, dtype=torch.float64)
    node = Affine(np.array([[1e-200]]), np.array([1e300]))
    out = Lean(Basis(1, 0)).affine(node, Slope(x, none, none[:, 0]))
    exact = Fraction(1e-200) ** 2 * Fraction(1e300)
    holds(out, lambda t: np.array([exact]))


@given(SEEDS, ORDERS)
def test_products(seed, order):
    rng = np.random.default_rng(seed)
    lean = Lean(Basis(1, order))
    x, left = slope(rng, order, (2, 3))
    y, right = slope(rng, order, (3, 2))
    z, other = slope(rng, order, (2, 3))
    holds(lean.matmul(x, y), lambda t: left(t) @ right(t))
    holds(lean.times(x, z), lambda t: left(t) * other(t))


def tube_of(rng, order, positive):
    coef = rng.normal(size=(order + 1, 1, 2)) * 10.0 ** rng.uniform(-6, 0.3)
    coef[0] = rng.uniform(0.05, 4, (1, 2)) if positive else rng.normal(size=(1, 2)) * 2
    rem = np.abs(rng.normal(size=(1, 2))) * 10.0 ** rng.uniform(-16, 0.5)
    wide = torch.full((1, 2), math.inf, dtype=torch.float64)
    rem = torch.from_numpy(rem)
    model = TaylorModel(torch.from_numpy(coef), rem, -wide, wide, norms.rows(rem))
    return Trace(2, Taylor(order)).tube(model)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(SEEDS, st.integers(2, 6))
def test_slopes(ref, name, seed, order):
    """The derivative anywhere in a tube, by mpmath's differences at 400 bits."""
    rng = np.random.default_rng(seed)
    positive = name in ("log", "sqrt", "rsqrt", "reciprocal")
    tube, how = tube_of(rng, order, positive), rule(FUNCTIONS[name])
    lean = Lean(Basis(1, 2))
    out = lean.side(how, tube) if isinstance(how, Kinked) else lean.slope(how, tube)
    assert not bool(out.coef.isnan().any()) and not bool(out.rem.isnan().any())
    for t in (-1.0, 1.0, float(rng.uniform(-1, 1))):
        for i in range(2):
            rem = float(out.rem[0, i])
            if math.isinf(rem):
                continue
            middle = ref.polynomial(tube.coef[:, 0], mpf(t), mpf)[i]
            at = middle + mpf(float(tube.rem[0, i])) * mpf(float(rng.choice([-1, 0.3, 1])))
            at = min(max(at, mpf(float(tube.lo[0, i]))), mpf(float(tube.hi[0, i])))
            steep = ref.polynomial(out.coef[:, 0], mpf(t), mpf)[i]
            with mpmath.workprec(400):
                step = mpf(2) ** -120
                near = [ref.TEXTBOOK[name](at + s * step) for s in (-1, 1)]
                assert None not in near  # where f is not defined the remainder is infinite
                exact = (near[1] - near[0]) / (2 * step)
            # A difference over a step h is a slope somewhere within h; kinks have both.
            slack = mpf(2) ** -100 * (1 + abs(exact))
            assert abs(exact - steep) <= mpf(rem) + slack, (name, at)


def test_useful_slopes():
    """On narrow tubes hardly more than the function's own bending is left over."""
    coef = torch.tensor([[[0.3]], [[0.01]], [[0.001]]], dtype=torch.float64)
    none = torch.zeros((1, 1), dtype=torch.float64)
    tube = Trace(2, Taylor(2)).tube(TaylorModel(coef, none, none, none, none[:, 0]))
    for name in ("exp", "gelu", "tanh"):
        assert float(Lean(Basis(1, 2)).slope(rule(FUNCTIONS[name]), tube).rem) < 1e-4, name
