"""Claims are decided by exact comparison of what is known, in both directions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory.claims import CLAIMS, Facts, Known, Verdict, decide, some_plateau

NUMBERS = st.floats(0, 1e300) | st.sampled_from([0.0, 5e-324, 1.0, math.inf])


def facts(sup=(0.0, 1.0), variation=((0.0, 1.0),), target=((1.0, 1.0),), total=(1.0, 1.0)):
    return Facts(sup, total, variation, target)


@given(NUMBERS, NUMBERS, st.floats(0, 1e300))
def test_within(a, b, bound):
    lo, hi = min(a, b), max(a, b)
    verdict = decide("within", {"bound": bound}, facts(sup=(lo, hi)))
    expected = "PROVED" if hi <= bound else "REFUTED" if math.inf > lo > bound else "UNDECIDED"
    assert verdict.value == expected


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), st.floats(0, 1e300))
def test_constant_up_to(pairs, bound):
    pairs = [(min(p), max(p)) for p in pairs]
    verdict = decide("constant-up-to", {"bound": bound}, facts(variation=pairs))
    proved = all(hi <= bound for _, hi in pairs)
    refuted = any(math.inf > lo > bound for lo, _ in pairs)
    assert verdict.value == ("PROVED" if proved else "REFUTED" if refuted else "UNDECIDED")


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 0.99), st.integers(-2, 2))
@example(size=1.0, tau=0.5, steps=0)  # exactly at the edge, which few products are
def test_no_plateau_at_the_edge(size, tau, steps):
    high = tau * size
    for _ in range(abs(steps)):
        high = math.nextafter(high, math.inf if steps > 0 else 0.0)
    known = facts(variation=[(high, high)], target=[(size, size)], total=(size, size))
    plateau = Fraction(high) <= Fraction(tau) * Fraction(size)
    assert decide("no-plateau", {"tau": tau}, known).value == ("REFUTED" if plateau else "PROVED")


SLOPE = st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0])
SLOPES = st.tuples(SLOPE, SLOPE).map(lambda pair: (min(pair), max(pair)))


@given(SLOPES, SLOPES, st.floats(0, 1e300) | st.sampled_from([0.0, 1.0]))
def test_slopes(least, greatest, bound):
    """Falling as steeply as rising counts, and monotone is one or the other everywhere."""
    known = replace(facts(), slopes=(least, greatest))
    steep = least[1] < -bound or greatest[0] > bound
    gentle = least[0] >= -bound and greatest[1] <= bound
    expected = "PROVED" if gentle else "REFUTED" if steep else "UNDECIDED"
    assert decide("lipschitz", {"bound": bound}, known).value == expected
    one_way, both_ways = least[0] >= 0 or greatest[1] <= 0, least[1] < 0 < greatest[0]
    expected = "PROVED" if one_way else "REFUTED" if both_ways else "UNDECIDED"
    assert decide("monotone", {}, known).value == expected


@given(*[st.floats(0, 10)] * 4)
def test_longest_plateau_is_a_bracket(lo, hi, least, most):
    """Both ends must hold, not one of them."""
    windows = SimpleNamespace(longest=lambda tau: (min(lo, hi), max(lo, hi), None))
    known = replace(facts(), windows=windows)
    numbers = {"tau": 0.1, "least": least, "most": most}
    holds = least <= min(lo, hi) and max(lo, hi) <= most
    assert decide("longest-plateau", numbers, known).value == ("PROVED" if holds else "UNDECIDED")


def test_no_plateau_needs_a_deciding_cell():
    flat = facts(variation=[(0.0, 0.0)], target=[(0.0, 0.0)], total=(0.0, 0.0))
    assert decide("no-plateau", {"tau": 0.1}, flat) is Verdict.UNDECIDED
    assert some_plateau([]) is Verdict.UNDECIDED


def test_nan_and_infinity_say_nothing():
    for pair in ((math.nan, math.nan), (-math.inf, math.inf), (math.nan, 2.0)):
        assert decide("within", {"bound": 1.0}, facts(sup=pair)) is Verdict.UNDECIDED


def test_contradictions_prove_nothing():
    with pytest.raises(ValueError, match="contradict"):
        decide("within", {"bound": 1.0}, facts(sup=(2.0, 1.0)))


@pytest.mark.parametrize(
    ("label", "numbers"),
    [("other", {}), ("within", {}), ("within", {"tau": 0.1}), ("no-plateau", {"bound": 1.0}),
     ("within", {"bound": 1.0, "more": 2.0})],
)  # fmt: skip
def test_no_such_claim(label, numbers):
    with pytest.raises(ValueError, match="no claim"):
        decide(label, numbers, facts())


def test_a_solver_that_gives_up_has_shown_nothing():
    known = Known()
    number = known.number("x", (0.0, 1.0))
    known.solver.set("rlimit", 1)
    assert known.decide(number * number * number + number <= 2) is Verdict.UNDECIDED


def test_every_claim_names_its_numbers():
    for kind in CLAIMS.values():
        assert isinstance(kind.parameters, tuple) and callable(kind.judge)
