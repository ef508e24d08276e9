"""Truncated polynomials in several variables against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains import series
from certify.domains.basis import Basis, exponents

SEEDS = st.integers(0, 2**32 - 1)
BASES = st.sampled_from([(2, 0), (2, 1), (2, 3), (2, 6), (3, 1), (3, 2), (3, 4), (5, 2)])
SIZES = st.sampled_from([1.0, 1e-8, 1e8, 1e-140, 1e100])
N = 2


def coefficients(seed, basis, size, shape=(N,)):
    """Of very different sizes, or equal ones, all positive at times: errors then add up."""
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(basis.count(), *shape)) * size
    spread = rng.choice([0.0, 4.0])
    c = c * 10.0 ** rng.uniform(-spread, 0, c.shape)
    c[rng.random(c.shape) < 0.2] = 0.0
    return torch.from_numpy(np.abs(c) if rng.random() < 0.3 else c)


def places(seed, variables):
    """Corners, the center, and anything between."""
    rng = np.random.default_rng(seed)
    corner = [Fraction(int(s)) for s in rng.choice([-1, 1], variables)]
    inside = [Fraction(float(s)) for s in rng.uniform(-1, 1, variables)]
    mixed = [a if rng.random() < 0.5 else b for a, b in zip(corner, inside, strict=True)]
    return [[Fraction(1)] * variables, [Fraction(-1)] * variables, corner, inside, mixed]


def monomials(basis, t):
    return [math.prod(v**e for v, e in zip(t, a, strict=True)) for a in
            exponents(basis.variables, basis.order)]  # fmt: skip


def at(coef, basis, t):
    """The value at t of one polynomial, its coefficients floats; fewer of them end early."""
    return sum(Fraction(c) * m for c, m in zip(coef.tolist(), monomials(basis, t), strict=False))


def known(bound):
    return Fraction(float(bound))


@given(SEEDS, BASES, SIZES, SIZES)
def test_product(seed, kind, one, other):
    basis = Basis(*kind)
    a, b = coefficients(seed, basis, one), coefficients(seed + 1, basis, other)
    out, error = series.product(a.clone(), b.clone(), basis)
    for i in range(N):
        for t in places(seed, basis.variables):
            off = at(a[:, i], basis, t) * at(b[:, i], basis, t) - at(out[:, i], basis, t)
            assert abs(off) <= known(error[i])


@given(SEEDS, BASES, SIZES)
def test_span_size_and_tails(seed, kind, size):
    basis = Basis(*kind)
    c = coefficients(seed, basis, size)
    down, top = series.span(c, basis)
    total, sums = series.size(c), series.tails(basis.by_degree(c.abs()))
    assert len(sums) == basis.order + 2
    for i in range(N):
        for t in places(seed, basis.variables):
            value = at(c[:, i], basis, t)
            assert -known(down[i]) <= value - Fraction(float(c[0, i])) <= known(top[i])
            assert abs(value) <= known(total[i])
        for m in range(basis.order + 2):
            beyond = c[:, i].tolist()[basis.count(m - 1) :]
            assert sum(abs(Fraction(v)) for v in beyond) <= known(sums[m, i])


def test_span_is_sharp_for_even_monomials():
    """2 s**2 t**2 - s**2 on [-1, 1]^2: even ones have one sign."""
    basis = Basis(2, 4)
    c = torch.zeros(basis.count(), 1).double()
    found = exponents(2, 4)
    c[found.index((2, 2))], c[found.index((2, 0))] = 2.0, -1.0
    down, top = series.span(c, basis)
    assert 1 <= float(down) < 1 + 1e-9 and 2 <= float(top) < 2 + 1e-9


@given(SEEDS, BASES, st.integers(0, 6), st.sampled_from([1.0, 1e-6, 30.0]))
def test_compose(seed, kind, degree, size):
    """The error holds even where its bound on |h| is as tight as can be."""
    basis = Basis(*kind)
    h = coefficients(seed, basis, size)
    rng = np.random.default_rng(seed)
    taylor = torch.from_numpy(rng.normal(size=(min(degree, basis.order) + 1, N)))
    zero = h.clone()
    zero[0] = 0.0
    down, top = series.span(zero, basis)
    out, error = series.compose(taylor.clone(), h.clone(), torch.maximum(down, top), basis)
    assert len(out) <= basis.count()
    for i in range(N):
        for t in places(seed, basis.variables):
            inner = at(zero[:, i], basis, t)
            exact = sum(Fraction(a) * inner**k for k, a in enumerate(taylor[:, i].tolist()))
            assert abs(exact - at(out[:, i], basis, t)) <= known(error[i])


@given(SEEDS, st.sampled_from([(1, 3), (2, 0), (2, 1), (2, 3), (3, 2)]), SIZES, st.integers(1, 3))
def test_matmul(seed, kind, size, inner):
    basis = Basis(*kind)
    a = coefficients(seed, basis, size, (1, 2, inner))
    b = coefficients(seed + 1, basis, 1.0, (1, inner, 2))
    out, error = series.matmul(a.clone(), b.clone(), basis)
    error = error * (1 + 1e-9) + 2.0**-900  # the caller rounds it up
    for t in places(seed, basis.variables)[:4]:
        x = [[at(a[:, 0, i, k], basis, t) for k in range(inner)] for i in range(2)]
        y = [[at(b[:, 0, k, j], basis, t) for j in range(2)] for k in range(inner)]
        for i in range(2):
            for j in range(2):
                exact = sum(x[i][k] * y[k][j] for k in range(inner))
                assert abs(exact - at(out[:, 0, i, j], basis, t)) <= known(error[0, i, j])


@pytest.mark.parametrize("kind", [(2, 3), (3, 2)])
def test_what_fits_below_the_order_loses_nothing_but_rounding(kind):
    """(1 + s + t)**2 in small integers: exact, with errors of rounding alone."""
    basis = Basis(*kind)
    a = torch.zeros(basis.count(), 1).double()
    a[:3] = 1.0
    out, error = series.product(a, a, basis)
    t = [Fraction(1, 3), Fraction(-1, 7), Fraction(2, 3)][: basis.variables]
    assert at(out[:, 0], basis, t) == at(a[:, 0], basis, t) ** 2
    assert float(error) < 1e-13
    shaped = a.reshape(-1, 1, 1, 1)
    square, lost = series.matmul(shaped, shaped, basis)
    assert bool((square.flatten() == out.flatten()).all()) and float(lost) < 1e-13


def test_an_infinite_coefficient_is_never_a_finite_bound():
    basis = Basis(2, 2)
    for place in range(basis.count()):
        a, b = torch.zeros(basis.count(), 1).double(), torch.ones(basis.count(), 1).double()
        a[place] = math.inf
        assert not bool(torch.isfinite(series.product(a, b, basis)[1]).any())
        if place:
            assert not bool(torch.isfinite(series.compose(b[:3], a, b[1], basis)[1]).any())
        assert not bool(torch.isfinite(series.size(a)).any())
