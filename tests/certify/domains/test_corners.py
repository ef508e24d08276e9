"""Ranges of polynomials in several variables, in exact arithmetic."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains import corners
from certify.domains.basis import Basis, exponents
from certify.domains.branching import axis_of
from certify.domains.extrema import extrema

SEEDS = st.integers(0, 2**32 - 1)
BASES = st.sampled_from([(2, 0), (2, 1), (2, 2), (2, 5), (3, 1), (3, 3), (4, 2)])
BOXES = 3


def at(coef, basis, t):
    """The value at t, exactly."""
    powers = exponents(basis.variables, basis.order)
    t = [Fraction(v) for v in t]
    return sum(
        Fraction(c) * math.prod(v**e for v, e in zip(t, a, strict=True))
        for c, a in zip(coef.tolist(), powers, strict=True)
    )


def random(rng, basis, size, steep):
    """Coefficients; with steep the slopes win, in all variables or in some."""
    coef = rng.normal(size=(basis.count(), BOXES)) * 10.0 ** rng.uniform(-3, 0, (basis.count(), 1))
    coef[rng.random(coef.shape) < 0.2] = 0.0
    if steep and basis.order:
        n = basis.variables
        coef[1 : 1 + n] *= 10.0 ** rng.uniform(-1, 3, (n, BOXES))
    return coef * size


@given(SEEDS, BASES, st.sampled_from([1.0, 1e-150, 1e150, 1e-300]), st.booleans())
def test_extrema_contain_the_values(seed, kind, size, steep):
    rng, basis = np.random.default_rng(seed), Basis(*kind)
    coef = random(rng, basis, size, steep)
    rem = np.abs(rng.normal(size=BOXES)) * size * 10.0 ** rng.uniform(-16, -1)
    e = extrema(torch.from_numpy(coef), torch.from_numpy(rem), basis)
    assert e.at_lo.shape == e.at_hi.shape == (BOXES, basis.variables)
    assert bool((e.at_lo.abs() < 1).all()) and bool((e.at_hi.abs() < 1).all())
    for b in range(BOXES):
        r = Fraction(rem[b])
        lo, hi = Fraction(float(e.lo[b])), Fraction(float(e.hi[b]))
        places = [e.at_lo[b].tolist(), e.at_hi[b].tolist()]
        places += list(itertools.product([-1.0, 1.0], repeat=basis.variables))
        places += rng.uniform(-1, 1, (3, basis.variables)).tolist()
        places += np.where(rng.random(basis.variables) < 0.5, 1.0, 0.0).reshape(1, -1).tolist()
        for t in places:
            value = at(coef[:, b], basis, t)
            assert lo <= value - r and value + r <= hi
        least, most = at(coef[:, b], basis, places[0]), at(coef[:, b], basis, places[1])
        assert least + r <= Fraction(float(e.least[b]))
        assert Fraction(float(e.most[b])) <= most - r


@given(SEEDS, st.sampled_from([(2, 1), (2, 4), (3, 2), (3, 3)]))
def test_extrema_of_monotone_polynomials_are_sharp(seed, kind):
    """Slopes that nothing outweighs: the extremes are at two opposite corners, to rounding."""
    rng, basis = np.random.default_rng(seed), Basis(*kind)
    n = basis.variables
    coef = random(rng, basis, 1e-3 / basis.count(), False)
    signs = rng.choice([-1.0, 1.0], (n, BOXES))
    coef[1 : 1 + n] = signs * rng.uniform(1, 2, (n, BOXES))
    e = extrema(torch.from_numpy(coef), torch.zeros(BOXES).double(), basis)
    for b in range(BOXES):
        top = at(coef[:, b], basis, signs[:, b].tolist())
        bottom = at(coef[:, b], basis, (-signs[:, b]).tolist())
        assert top <= Fraction(float(e.hi[b])) <= top + Fraction(1, 10**12)
        assert bottom - Fraction(1, 10**12) <= Fraction(float(e.lo[b])) <= bottom
        assert torch.equal(e.at_hi[b].sign(), torch.from_numpy(signs[:, b]))
        # The places are moved inward by 2**-20: so much is lost.
        assert top - Fraction(float(e.most[b])) < Fraction(n * 3, 2**20)
        assert Fraction(float(e.least[b])) - bottom < Fraction(n * 3, 2**20)


def test_one_variable_fixed_makes_the_next_monotone():
    """p = 10 s + t (s - 3/4): at s = 1 it rises in t, though not on the whole box."""
    basis = Basis(2, 2)
    coef = torch.zeros(basis.count(), 1).double()
    coef[1], coef[2], coef[exponents(2, 2).index((1, 1))] = 10.0, -0.75, 1.0
    high, t = corners.greatest(coef, basis)
    assert 10.25 <= float(high) < 10.25 + 1e-12 and t.tolist() == [[1.0, 1.0]]


def test_a_parabola_is_ranged_exactly():
    """s - s**2 + 2 t - t**2/2: its vertex in s is inside, in t there is none."""
    basis = Basis(2, 2)
    found = exponents(2, 2)
    coef = torch.zeros(basis.count(), 1).double()
    coef[1], coef[found.index((2, 0))] = 1.0, -1.0
    coef[2], coef[found.index((0, 2))] = 2.0, -0.5
    high, t = corners.greatest(coef, basis)
    assert 1.75 <= float(high) < 1.75 + 1e-12 and t.tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize("kind", [(2, 0), (2, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1.7e308])
def test_nothing_known_stays_unknown(kind, bad):
    """An infinite coefficient or remainder never gives a finite end; nan is never given."""
    basis = Basis(*kind)
    for place in range(basis.count()):
        coef = torch.ones(basis.count(), 1).double()
        coef[place] = bad
        e = extrema(coef, torch.zeros(1).double(), basis)
        assert not any(bool(t.isnan().any()) for t in (e.lo, e.hi, e.least, e.most, e.at_lo))
        if math.isfinite(bad):
            continue
        assert float(e.hi) == math.inf or (bad == -math.inf and place == 0)
        assert float(e.lo) == -math.inf or (bad == math.inf and place == 0)
        assert not (math.isfinite(float(e.least)) or math.isfinite(float(e.most)))
    e = extrema(torch.ones(basis.count(), 1).double(), torch.tensor([math.inf]).double(), basis)
    inf = math.inf
    assert (float(e.lo), float(e.hi), float(e.least), float(e.most)) == (-inf, inf, inf, -inf)


def test_many_variables_take_little_memory():
    """5151 monomials: a matrix that puts in an end would have 26 million entries a variable."""
    basis = Basis(100, 2)
    coef = torch.zeros(basis.count(), 1).double()
    coef[1:101] = 1.0
    high, t = corners.greatest(coef, basis)
    assert 100 <= float(high) < 100 + 1e-9 and bool((t == 1).all())


def test_the_variable_to_cut():
    """Never one without width; the one that the polynomial bends in; else the widest."""
    basis = Basis(2, 2)
    coef = torch.zeros(basis.count(), 3).double()
    coef[exponents(2, 2).index((0, 2))] = 1.0
    rad = torch.tensor([[1.0, 1.0], [1.0, 0.0], [2.0, 1.0]]).double()
    rem = torch.tensor([0.1, 0.1, math.inf]).double()
    assert axis_of(coef, rem, rad, basis).tolist() == [1, 0, 0]
