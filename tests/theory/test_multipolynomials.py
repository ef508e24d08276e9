"""Ball polynomials in several variables: whatever is in the balls, results enclose results."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, arb_series, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from theory.multipolynomials import Poly, Several, exponents, widest
from theory.polynomials import NAN, ends

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from([(2, 1), (2, 2), (2, 4), (3, 1), (3, 3)])
PRECISION = 128


@pytest.fixture(autouse=True)
def precision():
    with ctx.workprec(PRECISION):
        yield


def random(rng, several, count=None):
    """A polynomial of balls, and one choice of coefficients in them, at the edges at times."""
    length = count or int(rng.integers(1, len(exponents(several.variables, several.order)) + 1))
    mids = rng.normal(size=length) * 10.0 ** rng.uniform(-3, 0)
    if rng.random() < 0.4 and length > 1:
        mids[1] *= 50
    mids = [Fraction(float(v)) for v in mids]
    rads = [Fraction(float(v)) if rng.random() < 0.5 else Fraction(0) for v in
            rng.random(length) * 10.0 ** -rng.uniform(0, 8)]  # fmt: skip
    chosen = [m + r * int(rng.integers(-1, 2)) for m, r in zip(mids, rads, strict=True)]
    balls = [arb(float(m), float(r)) for m, r in zip(mids, rads, strict=True)]
    return several.poly(balls), chosen


def places(rng, variables):
    corner = [Fraction(int(s)) for s in rng.choice([-1, 1], variables)]
    inside = [Fraction(float(s)) for s in rng.uniform(-1, 1, variables)]
    return [[Fraction(1)] * variables, corner, inside, [Fraction(0)] * variables]


def at(coefficients, several, t):
    return sum(
        (c * math.prod(v**e for v, e in zip(t, a, strict=True)) for c, a in
         zip(coefficients, exponents(several.variables, several.order), strict=False)),
        Fraction(0),
    )  # fmt: skip


def ball_at(p, t):
    """All values of p at t, for every choice of coefficients, as one ball."""
    t = [arb(fmpq(v.numerator, v.denominator)) for v in t]
    total = arb(0)
    for c, a in zip(p.c, exponents(p.variables, p.order), strict=False):
        total += c * math.prod((v**e for v, e in zip(t, a, strict=True)), start=arb(1))
    return total


def holds(ball, value):
    """Whether an exact rational may be in the ball; the ball's own rounding is outward."""
    return ball.overlaps(arb(fmpq(value.numerator, value.denominator)))


@given(SEEDS, KINDS)
def test_sums_and_products(seed, kind):
    rng, several = np.random.default_rng(seed), Several(kind[1], kind[0])
    (p, a), (q, b) = random(rng, several), random(rng, several)
    results = [
        (p + q, lambda u, v: u + v),
        (p - q, lambda u, v: u - v),
        (p + arb(3), lambda u, v: u + 3),
        (p * 5.0, lambda u, v: 5 * u),
        (several.mul(p, q), lambda u, v: u * v),
        (several.matmul([p, q], [q, p], 1, 2, 1)[0], lambda u, v: 2 * u * v),
        (several.maximum(p, q), max),
    ]
    for t in places(rng, several.variables):
        u, v = at(a, several, t), at(b, several, t)
        for i, (found, exact) in enumerate(results):
            assert holds(ball_at(found, t), exact(u, v)), i


@given(SEEDS, KINDS)
def test_ends_contain_every_value(seed, kind):
    rng, several = np.random.default_rng(seed), Several(kind[1], kind[0])
    p, a = random(rng, several)
    lo, hi = ends(p)
    assert lo == p.ends()[0] and lo.is_exact() and hi.is_exact()
    corners = itertools.product([Fraction(-1), Fraction(1)], repeat=several.variables)
    for t in [*places(rng, several.variables), *corners]:
        value = at(a, several, t)
        exact = arb(fmpq(value.numerator, value.denominator))
        assert not (exact < lo) and not (exact > hi)


def test_ends_are_sharp_where_monotone():
    """10 s + t (s - 3/4) rises in t once s is 1: between -10 - 7/4 and 10 + 1/4."""
    several = Several(2, 2)
    found = exponents(2, 2)
    c = [arb(0)] * len(found)
    c[1], c[2], c[found.index((1, 1))] = arb(10), arb(-0.75), arb(1)
    assert several.poly(c).ends() == (arb(-11.75), arb(10.25))


def test_ends_of_parabolas_are_sharp():
    """s - s**2 + 2 t - t**2/2: the vertex in s is inside, t has none; balls count by their ends."""
    several, found = Several(2, 2), exponents(2, 2)
    c = [arb(0)] * len(found)
    c[1], c[found.index((2, 0))] = arb(1), arb(-1)
    c[2], c[found.index((0, 2))] = arb(2), arb(-0.5)
    assert several.poly(c).ends()[1] == arb(1.75)
    assert (-several.poly(c)).ends()[0] == arb(-1.75)
    c[1], c[found.index((2, 0))] = arb(0, 1), arb(-0.75, 0.25)
    assert arb(2) <= several.poly(c).ends()[1] < arb(2.001)  # t = 1, and s / 1 - s**2 / 2


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "erf", "reciprocal", "sqrt"])
@given(SEEDS, KINDS)
def test_smooth_functions(name, seed, kind):
    rng, several = np.random.default_rng(seed), Several(kind[1], kind[0])
    p, a = random(rng, several)
    if name in ("reciprocal", "sqrt"):
        p, a = p + arb(500), [a[0] + 500, *a[1:]]
    series = {"reciprocal": lambda u: 1 / u, "tanh": lambda u: 1 - 2 / ((u + u).exp() + 1)}
    found = several.smooth(series.get(name, getattr(arb_series, name, None)), p)
    exact = {"reciprocal": lambda u: 1 / u}.get(name, getattr(mpmath, name, None))
    for t in places(rng, several.variables):
        value = at(a, several, t)
        with mpmath.workprec(200):
            y = exact(mpmath.mpf(value.numerator) / value.denominator)
            y = Fraction(*mpmath.libmp.to_rational(y._mpf_))
        near = arb(fmpq(y.numerator, y.denominator), abs(float(y)) * 2.0**-190)
        assert ball_at(found, t).overlaps(near)
    assert all(c.is_finite() for c in found.c) or name == "exp"


def assert_unit(pair):
    """[-1, 1], or little more: radii have 30 bits."""
    lo, hi = pair
    assert -1 - arb(2) ** -25 < lo <= -1 and 1 <= hi < 1 + arb(2) ** -25


def test_what_is_cut_off_is_not_forgotten():
    """s * s to degree 1 is 0 with an error of 1: no less encloses it."""
    several = Several(1, 2)
    s = several.poly([arb(0), arb(1)])
    assert_unit(several.mul(s, s).ends())
    third = Several(3, 2)
    c = [arb(0)] * len(exponents(2, 2))
    c[exponents(2, 2).index((1, 1))] = arb(1)
    p = third.poly(c)
    cubic = third.mul(p, third.poly([arb(0), arb(1)]))
    assert_unit(third.mul(p, p).ends())
    assert cubic[exponents(2, 3).index((2, 1))] == 1 and cubic.c[0] == 0


def test_nothing_known_is_never_a_bound():
    several = Several(2, 2)
    lost = several.poly([NAN])
    line = several.poly([arb(0), arb(1)])
    for p in (lost, lost + line, several.mul(lost, line), several.mul(lost, several.poly([]))):
        lo, hi = p.ends()
        assert lo.is_nan() and hi.is_nan()
    assert all(e.is_nan() for e in several.smooth(arb_series.log, line).ends())
    assert all(e.is_nan() for e in several.smooth(lambda u: 1 / u, line).ends())


def test_the_variable_to_cut():
    """The one that the polynomial shows; if it is mostly remainder, the one cut least so far."""
    box, whole = [(arb(0), arb(1)), (arb(0), arb(2))], ((0.0, 1.0), (0.0, 4.0))
    p = Poly([arb(9), arb(1), arb(-2)], 2, 3)
    assert widest(p, box, whole) == 1 and widest(-p, box, whole) == 1
    assert widest(Poly([arb(9), arb(1), arb(-0.5)], 2, 3), box, whole) == 0
    for lost in ([arb(9, 1)], [NAN], [arb(9, 4), arb(0), arb(2)], [arb(9), NAN, arb(1)]):
        assert widest(Poly(lost, 2, 3), box, whole) == 0
        assert widest(Poly(lost, 2, 3), box[::-1], whole[::-1]) == 1
