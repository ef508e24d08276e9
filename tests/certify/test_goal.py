"""Goals and brackets: exact comparisons, thresholds, and variations read off a state."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certify.goal import Goal

SIZES = st.floats(0, 1e300) | st.sampled_from([0.0, 5e-324, 1e-310, 1.0, math.inf])
GAPS = st.floats(1e-20, 10)


def scalar(t):
    return torch.tensor(t, dtype=torch.float64)


@given(SIZES, SIZES, GAPS, SIZES, st.booleans())
@example(1.0, 1.01, 0.01, 0.0, False)
@example(0.0, 0.0, 0.01, 0.0, False)
@example(0.49999999999999994, 1.5, 1e-20, 1.0, False)  # hi - lo is rounded down to 1
@settings(max_examples=10 * settings().max_examples)
def test_closed_is_exact(lo, factor, gap, abs_gap, near):
    hi = max(lo, lo * (1 + gap) * (1 + 1e-15) if near else factor)
    abs_gap = 0.0 if math.isinf(abs_gap) else abs_gap
    if bool(Goal(gap, abs_gap).closed(scalar(lo), scalar(hi))):
        assert math.isfinite(hi)
        a, b = Fraction(lo), Fraction(hi)
        assert b <= (1 + Fraction(gap)) * a or b - a <= Fraction(abs_gap)


@given(st.floats(1e-100, 1e100))
def test_closed_is_reached(lo):
    assert bool(Goal(0.01).closed(scalar(lo), scalar(lo * 1.0099)))
    assert bool(Goal(0.01).closed(scalar(0.0), scalar(0.0)))
    assert not bool(Goal(0.01).closed(scalar(0.0), scalar(lo)))
    assert bool(Goal(0.01, 2 * lo).closed(scalar(0.0), scalar(lo)))


def test_infinite_brackets_are_open():
    goal = Goal(0.5, 1e300)
    for lo, hi in ((0.0, math.inf), (1e308, math.inf), (math.inf, math.inf), (math.nan, 1.0)):
        assert not bool(goal.closed(scalar(lo), scalar(hi)))
