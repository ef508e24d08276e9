"""Norms from bounds: exact squares, roots on the right side, and what each bound may rest on."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory.norms import ANYTHING, apart, bracket, exact, root, rounded, squares

SIZES = st.floats(0, allow_nan=False)
FINITE = st.floats(0, 1e300)
LARGEST = math.nextafter(math.inf, 0)


@given(st.fractions(min_value=0))
@example(Fraction(2))
@example(Fraction(1, 3) ** 2)
@example(Fraction(LARGEST) ** 2 * 2)
@example(Fraction(5e-324) ** 2)
@example(Fraction(0))
@example(Fraction(2**140 + 1))
def test_a_root_is_the_next_double_on_its_side(value):
    low, high = root(value, up=False), root(value, up=True)
    assert 0 <= low <= high
    assert Fraction(low) ** 2 <= value
    assert high == math.inf or Fraction(high) ** 2 >= value
    if high < math.inf:
        assert high <= math.nextafter(low, math.inf)
    else:
        assert low == LARGEST


@given(FINITE)
def test_a_square_has_its_own_root(x):
    assert root(Fraction(x) ** 2, up=False) == x == root(Fraction(x) ** 2, up=True)


def test_rounding_beyond_every_double():
    huge = Fraction(LARGEST) * 3
    assert rounded(huge, up=True) == math.inf and rounded(huge, up=False) == LARGEST
    assert rounded(Fraction(1, 10**400), up=True) == 5e-324
    assert rounded(Fraction(1, 10**400), up=False) == 0


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=6), st.sampled_from(["max", "2"]))
def test_brackets_hold_the_norm_of_all_that_is_between(numbers, norm):
    """The entries at their upper ends, at their lower ends, and one lower end alone."""
    pairs = [(min(p), max(p)) for p in numbers]
    low, high = bracket(norm, pairs)
    tops = [Fraction(hi) ** 2 for _, hi in pairs]
    total = max(tops) if norm == "max" else sum(tops)
    assert high == math.inf or Fraction(high) ** 2 >= total
    assert Fraction(low) ** 2 <= max(Fraction(lo) ** 2 for lo, _ in pairs)
    if norm == "max":
        assert (low, high) == (max(lo for lo, _ in pairs), max(hi for _, hi in pairs))


@given(SIZES)
def test_what_is_not_known_stays_unknown(x):
    assert bracket("2", [(0.0, x), (0.0, math.inf)])[1] == math.inf
    assert bracket("max", [(-math.inf, x)])[0] == 0
    assert squares("2", [(-3.0, 2.0)], ANYTHING) == (0, 4)


def test_what_is_known_from_elsewhere_counts():
    assert squares("2", [(1.0, 3.0), (1.0, 4.0)], exact((2.0, 16.0))) == (2, 16)
    assert bracket("2", [(1.0, 3.0), (1.0, 4.0)], exact((2.25, 16.0))) == (1.5, 4.0)
    assert bracket("2", [(3.0, 3.0), (4.0, 4.0)]) == (4.0, 5.0)
    assert exact((-1.0, math.inf)) == (0, math.inf)


def test_two_vectors_are_as_far_apart_as_their_bounds_are():
    assert apart([(0.0, 1.0), (5.0, 6.0)], [(4.0, 9.0), (1.0, 1.0)]) == 9 + 16
    assert apart([(0.0, 2.0)], [(1.0, 3.0)]) == 0
    assert apart([(0.0, math.inf), (0.0, 0.0)], [(-math.inf, -1.0), (2.0, 2.0)]) == 4


def test_there_are_two_norms():
    with pytest.raises(ValueError, match="no norm"):
        squares("1", [(0.0, 1.0)])
