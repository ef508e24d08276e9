"""Truncated polynomials against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains import series
from certify.domains.basis import Basis

SEEDS = st.integers(0, 2**32 - 1)
ORDERS = st.integers(0, 8)
SIZES = st.sampled_from([1.0, 1e-8, 1e8, 1e-140, 1e100])
N = 3
PLACES = [Fraction(p) for p in (-1, 1, 0)] + [Fraction(-0.7), Fraction(0.3), Fraction(0.99)]


def coefficients(seed, order, size):
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(order + 1, N)) * size * 10.0 ** rng.uniform(-4, 1, (order + 1, N))
    c[rng.random(c.shape) < 0.2] = 0.0
    return torch.from_numpy(c)


def at(coef, i, t):
    return sum(Fraction(c) * t**k for k, c in enumerate(coef[:, i].tolist()))


@given(SEEDS, ORDERS, SIZES, SIZES)
def test_product(seed, order, one, other):
    a, b = coefficients(seed, order, one), coefficients(seed + 1, order, other)
    out, error = series.product(a.clone(), b.clone(), Basis(1, order))
    for i in range(N):
        for t in PLACES:
            off = abs(at(a, i, t) * at(b, i, t) - at(out, i, t))
            assert off <= Fraction(float(error[i]))


@given(SEEDS, ORDERS, SIZES)
def test_span_size_and_tails(seed, order, size):
    c = coefficients(seed, order, size)
    down, top = series.span(c, Basis(1, order))
    total, sums = series.size(c), series.tails(c.abs())
    for i in range(N):
        for t in PLACES:
            rise = at(c, i, t) - Fraction(float(c[0, i]))
            assert -Fraction(float(down[i])) <= rise <= Fraction(float(top[i]))
            assert abs(at(c, i, t)) <= Fraction(float(total[i]))
        for m in range(order + 2):
            tail = sum(abs(Fraction(v)) for v in c[m:, i].tolist())
            assert tail <= Fraction(float(sums[m, i]))


@given(SEEDS, ORDERS, st.integers(0, 8), st.sampled_from([1.0, 1e-6, 30.0]))
def test_compose(seed, order, degree, size):
    h = coefficients(seed, order, size)
    taylor = coefficients(seed + 1, min(degree, order), 1.0)
    zero = h.clone()
    zero[0] = 0.0
    down, top = series.span(zero, Basis(1, order))
    out, error = series.compose(
        taylor.clone(), h.clone(), torch.maximum(down, top), Basis(1, order)
    )
    assert len(out) <= order + 1
    for i in range(N):
        for t in PLACES:
            inner = at(zero, i, t)
            exact = sum(Fraction(a) * inner**k for k, a in enumerate(taylor[:, i].tolist()))
            assert abs(exact - at(out, i, t)) <= Fraction(float(error[i]))


def test_compose_bounds_the_rounding_of_a_large_times_a_tiny_factor():
    """The factor itself is so small that the bound on a rounding relative to it underflows."""
    large, tiny = 8e307, 1.1e-309
    taylor, h = (torch.tensor([[0.0], [c]], dtype=torch.float64) for c in (large, tiny))
    reach = torch.tensor([2 * tiny], dtype=torch.float64)
    out, error = series.compose(taylor, h, reach, Basis(1, 1))
    off = abs(Fraction(large) * Fraction(tiny) - Fraction(float(out[1])))
    assert 0 < off <= Fraction(float(error))


def test_an_infinite_coefficient_is_never_a_finite_bound():
    a = torch.tensor([[1.0], [float("inf")]], dtype=torch.float64)
    b = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    assert not bool(torch.isfinite(series.product(a, b, Basis(1, 1))[1]).any())
    assert not bool(torch.isfinite(series.compose(a, b, b[1], Basis(1, 1))[1]).any())
    assert not bool(torch.isfinite(series.size(a)).any())
