"""Polynomials with ball coefficients contain the truth: mpmath at 400 bits, without tolerance."""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import mpmath
import pytest
import sympy as sp
from flint import arb, arb_poly, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from theory.functions import FUNCTIONS, x
from theory.polynomials import Polynomials, ends

SEEDS = st.randoms(use_true_random=False)
ORDERS = st.integers(1, 12)
TIMES = [Fraction(t, 8) for t in (-8, -7, -3, 0, 2, 5, 8)]
BY_HAND = {
    "relu": lambda v: max(v, mpf(0)),
    "abs": abs,
    "cbrt": lambda v: mpmath.sign(v) * mpmath.cbrt(abs(v)),
    "erf": lambda v: mpmath.erf(v) if abs(v) < 100 else mpmath.sign(v),
    "gelu": lambda v: v * mpmath.erfc(-v / mpmath.sqrt(2)) / 2 if abs(v) < 1000 else max(v, mpf(0)),
}
POSITIVE = ("log", "sqrt", "rsqrt")
EXPRESSIONS = {
    **{name: f.expression for name, f in FUNCTIONS.items()},
    "x**(-3)": x**-3,
    "x**(5/3)": x ** sp.Rational(5, 3),
    "pi**x": sp.pi**x,
    "min": -sp.Max(-x, -(x**2), evaluate=False),
    "mixed": x + sp.sign(x) * sp.Abs(x) ** sp.Rational(1, 3) - sp.sin(3 * x) * sp.exp(-(x**2)),
}
DEFINED = {
    **{name: lambda v: v > 0 for name in (*POSITIVE, "x**(5/3)")},
    "sqrt": lambda v: v >= 0,
    **{name: lambda v: v != 0 for name in ("reciprocal", "x**(-3)")},
}


@pytest.fixture(autouse=True)
def precise():
    with mpmath.mp.workprec(400), flint.ctx.workprec(128):
        yield


def truth(name, v):
    if name in BY_HAND:
        return BY_HAND[name](v)
    if name == "mixed":
        return v + BY_HAND["cbrt"](v) - mpmath.sin(3 * v) * mpmath.exp(-(v**2))
    if name == "min":
        return min(v, v**2)
    return mpmath.mpmathify(sp.lambdify(x, EXPRESSIONS[name], "mpmath")(v))


def number(value):
    """An mpf as a ball that certainly contains the number it approximates to 300 bits."""
    sign, mantissa, exponent, _ = value._mpf_
    ball = arb((-int(mantissa) if sign else int(mantissa), int(exponent)))
    return ball + ball.abs_upper() * arb(0, 1) * arb(2) ** -300


def rational(value):
    return mpf(value.numerator) / mpf(value.denominator)


def at(p, t):
    """The values that p allows at an exact place."""
    with flint.ctx.workprec(512):
        return p(arb(fmpq(t.numerator, t.denominator)))


def holds(ball, value):
    """Whether the ball may contain the value; nan and infinite balls contain everything."""
    return not ball.is_finite() or ball.overlaps(number(value))


def draw(rng, order, low, size, wide):
    """Random balls, and for every time exact coefficients inside them."""
    degree = rng.randint(0, order)
    coefficients = [Fraction(rng.uniform(-size, size) * 10.0 ** -rng.uniform(0, 2 * k)) for k in
                    range(degree + 1)]  # fmt: skip
    coefficients[0] += Fraction(low)
    radii = [Fraction(size * 10.0 ** -rng.uniform(0 if wide else 3, 12) * rng.choice([0, 1])) for _
             in coefficients]  # fmt: skip
    balls = [arb(fmpq(c.numerator, c.denominator)) + arb(0, 1) * arb(fmpq(r.numerator,
             r.denominator)) for c, r in zip(coefficients, radii, strict=True)]  # fmt: skip
    chosen = {t: [c + r * Fraction(rng.choice([-1, 0, 1])) for c, r in zip(coefficients, radii,
              strict=True)] for t in TIMES}  # fmt: skip
    return arb_poly(balls), {t: sum((c * t**k for k, c in enumerate(cs)), Fraction(0)) for t, cs in
                             chosen.items()}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
@given(rng=SEEDS, order=ORDERS, wide=st.booleans(), decade=st.integers(-9, 2))
@settings(max_examples=max(20, settings().max_examples))
def test_every_function_contains_the_truth(name, rng, order, wide, decade):
    size = 10.0 ** (decade / 3)
    low = rng.choice([0.0, size, rng.uniform(-4, 4), rng.uniform(0, 8)])
    p, values = draw(rng, order, low, size, wide)
    image = Polynomials(order).function(EXPRESSIONS[name], p)
    assert image.length() <= order + 1
    defined = DEFINED.get(name, lambda v: True)
    for t, v in values.items():
        if defined(v):
            value = truth(name, rational(v))
            assert holds(at(image, t), value), (name, t, v, value, image)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_small_boxes_are_enclosed_closely(name):
    """Not only sound: at order 12 a box of radius 1/32 leaves a remainder below 1e-15."""
    p = arb_poly([arb("0.7"), arb(2) ** -5])
    image = Polynomials(12).function(FUNCTIONS[name].expression, p)
    assert image[0].rad() < 1e-15


@given(rng=SEEDS, order=ORDERS, wide=st.booleans())
def test_products_and_maxima(rng, order, wide):
    algebra = Polynomials(order)
    (p, first), (q, second) = (draw(rng, order, rng.uniform(-1, 1), 1.0, wide) for _ in range(2))
    product, largest = algebra.mul(p, q), algebra.maximum(p, q)
    assert product.length() <= order + 1
    for t in TIMES:
        a, b = first[t], second[t]
        assert holds(at(product, t), rational(a * b))
        assert holds(at(largest, t), rational(max(a, b)))


@given(rng=SEEDS, order=ORDERS, wide=st.booleans())
def test_ends_hold_all_values(rng, order, wide):
    p, values = draw(rng, order, rng.uniform(-1, 1), 1.0, wide)
    lo, hi = ends(p)
    for v in values.values():
        assert not number(rational(v)) < lo and not number(rational(v)) > hi


def test_ends_of_monotone_polynomials_are_exact():
    """2 (1 + t) - (1 - t^2) / 2 is 0 at -1; the sum of magnitudes would say -1."""
    lo, hi = ends(arb_poly([1.5, 2, 0.5]))
    assert lo == 0 and hi == 4
    assert ends(arb_poly([1.5, -2, 0.5])) == (0, 4)  # falling
    assert ends(arb_poly([])) == (0, 0)


@pytest.mark.parametrize("order", [2, 3, 5, 9])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_large_slope_at_0_does_not_make_it_monotone(order, share):
    """t - share t^order: monotone only if share * order < 1, though 1 > share."""
    p = arb_poly([0, 1, *[0] * (order - 2), -share])
    lo, hi = ends(p)
    for t in TIMES:
        value = p(arb(fmpq(t.numerator, t.denominator)))
        assert not value < lo and not value > hi


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("log", -1, 1), ("log", 0, 1), ("rsqrt", 0, 1), ("reciprocal", -1, 2), ("sqrt", -1, 1)],
)
def test_what_is_not_defined_is_nan(name, low, high):
    p = arb_poly([(arb(low) + high) / 2, (arb(high) - low) / 2])
    image = Polynomials(6).function(FUNCTIONS[name].expression, p)
    assert not all(c.is_finite() for c in image.coeffs())
    assert all(end.is_nan() for end in ends(image))


def test_at_the_border_of_the_domain_the_range_is_kept():
    image = Polynomials(8).function(FUNCTIONS["sqrt"].expression, arb_poly([0.5, 0.5]))
    lo, hi = ends(image)
    assert lo >= -1e-9 and hi <= 1 + 1e-8
    cube = Polynomials(8).function(FUNCTIONS["cbrt"].expression, arb_poly([0, 1]))
    lo, hi = ends(cube)
    assert lo >= -1 - 1e-8 and hi <= 1 + 1e-8


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300), st.sampled_from(sorted(FUNCTIONS)))
def test_huge_arguments_never_exclude_the_truth(middle, radius, name):
    p = arb_poly([arb(middle), arb(radius)])
    lo, hi = ends(Polynomials(4).function(FUNCTIONS[name].expression, p))
    assert lo.is_nan() == hi.is_nan()
    if abs(middle) < 1e4 and DEFINED.get(name, lambda v: True)(middle):
        value = number(truth(name, mpf(middle)))
        assert not value < lo and not value > hi


@pytest.mark.parametrize("place", [-0.5, 0.0, 1 / 3])
def test_kinks_are_noted_where_they_are(place):
    algebra = Polynomials(6)
    algebra.maximum(arb_poly([-place, 1]), arb_poly([0]))
    (kink,) = algebra.kinks
    assert math.isclose(float(kink), place, abs_tol=1e-15)
    assert not Polynomials(6).kinks
