"""The judge of polynomials: exact at the edge, and never talked into anything."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import z3
from flint import arb, arb_poly, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

import theory.judge as judge
from theory.judge import inside

COEFFICIENTS = st.lists(st.floats(-1e3, 1e3), max_size=9)
RADII = st.sampled_from([0.0, 1e-30, 1e-3, 1.0])


@pytest.fixture(params=["z3", "bernstein"])
def who(request, monkeypatch):
    """Both judges: Z3, and what decides where Z3 gives up."""
    if request.param == "bernstein":
        monkeypatch.setattr(judge, "_ask_z3", lambda q, tests: (z3.unknown, None))
    return request.param


def exact(coefficients, t):
    return sum((Fraction(c) * t**k for k, c in enumerate(coefficients)), Fraction(0))


def ball(middle, radius):
    return arb(middle) + arb(0, 1) * arb(radius)


@given(c=COEFFICIENTS, r=RADII, lo=st.floats(-2e3, 2e3), hi=st.floats(-2e3, 2e3))
def test_what_is_proved_holds(who_all, c, r, lo, hi):
    """At places of [-1, 1], for the extreme coefficients of the balls."""
    p = arb_poly([ball(a, r if k == 0 else 0) for k, a in enumerate(c)] or [ball(0, r)])
    for ask in who_all:
        said, place = ask(p, (lo, hi))
        samples = [exact(c, Fraction(k, 16)) for k in range(-16, 17)]
        if said:
            assert place is None
            assert all(Fraction(lo) <= v - Fraction(r) for v in samples)
            assert all(v + Fraction(r) <= Fraction(hi) for v in samples)
        elif place is not None:
            assert -1 <= place <= 1


@pytest.fixture(scope="module")
def who_all():
    def by_bernstein(p, bound):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judge, "_ask_z3", lambda q, tests: (z3.unknown, None))
            return inside(p, bound)

    return inside, by_bernstein


def test_exact_at_the_edge(who):
    """1 - (t - 1/4)^2 has its largest value 1 inside, its least -9/16 at -1."""
    p = arb_poly([fmpq(15, 16), fmpq(1, 2), -1])
    low = -9 / 16
    assert inside(p, (low, 1.0)) == (who, None)
    said, place = inside(p, (low, math.nextafter(1.0, 0)))
    assert not said
    said, place = inside(p, (math.nextafter(low, 0), 1.0))
    assert not said and place is not None and exact([15 / 16, 0.5, -1], place) < low + 1e-9


def test_less_than_the_rounding_of_coefficients(who):
    """Coefficients are rounded to 64 bits of the largest: 2^-70 is only seen without."""
    with ctx.workprec(128):
        p = arb_poly([arb(1 - fmpq(1, 2**70)), arb(fmpq(1, 2**70))])
    assert not inside(p, (0.0, 1.0))[0]
    assert inside(p, (0.0, 1.0), None) == (who, None)


def test_the_radius_counts(who):
    assert inside(arb_poly([ball(0, 1)]), (-1.0001, 1.0001)) == (who, None)
    assert not inside(arb_poly([ball(0, 1)]), (-0.9999, 2.0))[0]
    assert not inside(arb_poly([0, ball(0, 1)]), (-2.0, 0.9999))[0]


def test_infinite_bounds(who):
    inf = math.inf
    p = arb_poly([0, 1])
    assert inside(p, (-inf, inf)) == ("nobody needs to", None)
    assert inside(p, (-inf, 1.0)) == (who, None) and inside(p, (-1.0, inf)) == (who, None)
    assert not inside(p, (-inf, 0.5))[0] and not inside(p, (-0.5, inf))[0]
    for bound in ((inf, inf), (-inf, -inf), (inf, -inf), (1.0, -1.0)):
        assert not inside(p, bound)[0]


@pytest.mark.parametrize("bad", [arb("nan"), arb("inf"), arb(0, arb("inf")), arb(2) ** 5000])
def test_what_is_not_finite_is_not_proved(who, bad):
    for p in (arb_poly([bad]), arb_poly([0, bad])):
        assert inside(p, (-1.0, 1.0)) == ("", None)
        assert inside(p, (-math.inf, 1.0)) == ("", None)


def test_tiny_coefficients_stay_small_numbers(who):
    tiny = arb(2) ** -(10**9)
    assert inside(arb_poly([tiny, tiny]), (-1.0, 1.0)) == (who, None)
    assert not inside(arb_poly([0, tiny]), (0.0, 1.0))[0]
    assert inside(arb_poly([]), (0.0, 0.0)) == (who, None)
