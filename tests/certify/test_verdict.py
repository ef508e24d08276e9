"""Verdicts: decided only by what is proven, constants decide nothing."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from certify.goal import Brackets
from certify.verdict import Plateaus, Verdict, plateaus
from theory.claims import CellVerdict


def known(variation, target):
    model, other = (
        torch.tensor(v, dtype=torch.float64).T.contiguous() for v in (variation, target)
    )
    c = model.shape[1]
    zero = torch.zeros((2, c)).double()
    total = other.sum(1)
    return Brackets((0.0, 1.0), 0.0, zero, zero, zero, model, other, zero, total)


@given(
    st.lists(
        st.tuples(*[st.floats(0, 1e3) | st.just(math.inf)] * 4), min_size=1, max_size=4
    ),
    st.floats(0, 0.999),
)  # fmt: skip
@settings(max_examples=4 * settings().max_examples)
def test_plateaus_in_exact_arithmetic(rows, tau):
    rows = [(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in rows]
    rows = [r for r in rows if r[0] < math.inf and r[2] < math.inf] or [(0.0, 0.0, 1.0, 1.0)]
    found = plateaus(known([r[:2] for r in rows], [r[2:] for r in rows]), tau)
    ratio = Fraction(tau)
    for i, (low, high, least, most) in enumerate(rows):
        if bool(found.proved[i]):
            assert Fraction(high) <= ratio * Fraction(least) and least > 0
        if bool(found.refuted[i]):
            assert most == math.inf or Fraction(low) > ratio * Fraction(most)
            assert most < math.inf or tau == 0
        assert not bool(found.proved[i] & found.refuted[i])
        expected = "PROVED" if found.proved[i] else "REFUTED" if found.refuted[i] else "UNDECIDED"
        assert found.cells[i].verdict.value == expected


@given(st.floats(1e-300, 1e3), st.floats(1e-9, 0.999), st.integers(-3, 3))
@settings(max_examples=8 * settings().max_examples)
def test_plateaus_are_exact_at_the_edge(size, tau, steps):
    """Variations a few floats from tau times the target's."""
    high = tau * size
    for _ in range(abs(steps)):
        high = math.nextafter(high, math.inf if steps > 0 else 0.0)
    found = plateaus(known([[high, high]], [[size, size]]), tau)
    below = Fraction(high) <= Fraction(tau) * Fraction(size)
    assert not bool(found.proved[0]) or below
    assert not bool(found.refuted[0]) or not below


def test_the_edge_of_a_plateau():
    half = 0.5
    assert plateaus(known([[0.0, 0.4999]], [[1.0, 1.0]]), half).overall() is Verdict.PROVED
    assert plateaus(known([[0.5001, 0.6]], [[1.0, 1.0]]), half).overall() is Verdict.REFUTED
    assert plateaus(known([[0.4, 0.6]], [[1.0, 1.0]]), half).overall() is Verdict.UNDECIDED


def test_constants_decide_nothing():
    found = plateaus(known([[0.0, 0.0]], [[0.0, 0.0]]), 0.1)
    assert not bool(found.deciding.any()) and found.overall() is Verdict.UNDECIDED


def test_flat_cells_decide_nothing():
    found = plateaus(known([[0.0, 0.0], [9.0, 9.0]], [[1e-6, 1e-6], [9.0, 9.0]]), 0.1)
    assert found.deciding.tolist() == [False, True]
    assert found.overall() is Verdict.REFUTED


def test_overall():
    yes, no, open_ = Verdict.PROVED, Verdict.REFUTED, Verdict.UNDECIDED

    def overall(*cells):
        return Plateaus(tuple(CellVerdict(*cell) for cell in cells)).overall()

    assert overall((True, True, yes), (True, True, no)) is yes
    assert overall((True, True, no), (True, True, no)) is no
    assert overall((True, True, open_), (True, True, no)) is open_
    assert overall((False, True, open_), (True, True, no)) is open_
    assert overall((False, False, open_), (True, True, no)) is no
    assert overall((False, False, open_)) is open_
