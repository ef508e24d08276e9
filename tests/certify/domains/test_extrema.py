"""Ranges of the final polynomials in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains.basis import Basis
from certify.domains.extrema import extrema, shifts

SEEDS = st.integers(0, 2**32 - 1)


def at(coef, t):
    return sum(Fraction(c) * t**k for k, c in enumerate(coef.tolist()))


@given(SEEDS, st.integers(0, 10), st.sampled_from([1.0, 1e-150, 1e150, 1e-300]))
def test_extrema_contain_the_values(seed, order, size):
    rng = np.random.default_rng(seed)
    coef = rng.normal(size=(order + 1, 4)) * size * 10.0 ** rng.uniform(-6, 0, (order + 1, 4))
    coef[rng.random(coef.shape) < 0.2] = 0.0
    rem = np.abs(rng.normal(size=4)) * size * 10.0 ** rng.uniform(-16, -1)
    e = extrema(torch.from_numpy(coef), torch.from_numpy(rem), Basis(1, order))
    for b in range(4):
        r = Fraction(rem[b])
        lo, hi = Fraction(float(e.lo[b])), Fraction(float(e.hi[b]))
        places = [float(e.at_lo[b]), float(e.at_hi[b]), -1.0, 1.0, 0.125, *rng.uniform(-1, 1, 6)]
        for t in places:
            value = at(coef[:, b], Fraction(t))
            assert lo <= value - r and value + r <= hi
        least, most = at(coef[:, b], Fraction(places[0])), at(coef[:, b], Fraction(places[1]))
        assert least + r <= Fraction(float(e.least[b]))
        assert Fraction(float(e.most[b])) <= most - r
        assert abs(places[0]) < 1 and abs(places[1]) < 1


def test_extrema_are_sharp():
    coef = torch.tensor([[0.3], [0.0], [-2.0], [0.01]], dtype=torch.float64)
    e = extrema(coef, torch.zeros(1).double(), Basis(1, 3))
    assert 0.3 <= float(e.hi) < 0.3001 and abs(float(e.at_hi)) < 0.01


def test_nothing_known_stays_unknown():
    inf = math.inf
    e = extrema(torch.tensor([[0.0], [1.0]]).double(), torch.tensor([inf]).double(), Basis(1, 1))
    assert (float(e.lo), float(e.hi), float(e.least), float(e.most)) == (-inf, inf, inf, -inf)
    e = extrema(
        torch.tensor([[1e308], [1e308], [1e308]]).double(), torch.zeros(1).double(), Basis(1, 2)
    )
    assert not any(bool(t.isnan()) for t in (e.lo, e.hi, e.least, e.most))


def test_shifts_are_exact_to_one_rounding():
    """p(m + s / 16) by the matrix, at one piece."""
    matrix = shifts(5)[3]
    m, s = Fraction(2 * 3 + 1 - 16, 16), Fraction(1, 3)
    for j in range(6):
        shifted = sum(Fraction(c) * s**k for k, c in enumerate(matrix[:, j].tolist()))
        assert abs(shifted - (m + s / 16) ** j) <= Fraction(1, 2**50)
