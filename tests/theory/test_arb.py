"""Arb series and values against mpmath at 400 bits, without tolerance."""

import math

import flint
import mpmath
import pytest
import sympy as sp
from flint import arb, fmpz
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.arb import bounds, series, value
from theory.functions import FUNCTIONS, x
from theory.intervals import number

ORDER = 6
POSITIVE = ("log", "sqrt", "rsqrt")
TARGETS = {
    **{name: function.expression for name, function in FUNCTIONS.items()},
    "mixed": sp.sin(3 * x) * sp.exp(-(x**2)) / (2 + sp.cos(x)) + x**7 / 3,
    "roots": (1 + x**2) ** sp.Rational(-5, 3) + sp.log(2 + sp.tanh(x)) ** 3,
    "pi": (2 + sp.sin(x)) ** sp.pi,
    "max": sp.Max(sp.sin(x), x / 2),
    "erf": sp.erf(sp.sin(x) - x**3),
}
#: A definition of each function written by hand, where SymPy's expression is not one of mpmath's.
BY_HAND = {
    "cbrt": lambda t: mpmath.sign(t) * mpmath.cbrt(abs(t)),
    "relu": lambda t: max(t, mpmath.mpf(0)),
    "gelu": lambda t: t * mpmath.ncdf(t),
    "silu": lambda t: t / (1 + mpmath.exp(-t)),
    "sigmoid": lambda t: 1 / (1 + mpmath.exp(-t)),
    "max": lambda t: max(mpmath.sin(t), t / 2),
    "pi": lambda t: (2 + mpmath.sin(t)) ** mpmath.pi,
}


@pytest.fixture(autouse=True)
def precision():
    with flint.ctx.workprec(100), mpmath.workprec(400):
        yield


def reference(name):
    return BY_HAND.get(name) or sp.lambdify(x, TARGETS[name], "mpmath")


def exact(t):
    """An mpmath number as an exact Arb one."""
    t = mpmath.mpf(t)
    mantissa, exponent = t.man_exp  # without the sign
    with flint.ctx.workprec(2000):
        return arb(fmpz(int(mantissa))) * arb(2) ** int(exponent) * (-1 if t < 0 else 1)


def contains(ball, t):
    """Whether a ball holds a number of which `t` gives 200 bits."""
    near = exact(t)
    with flint.ctx.workprec(500):
        return ball.overlaps(near + arb(0, 1) * (1 + abs(near)) * arb(2) ** -200)


def points(name):
    lo = 0.05 if name in POSITIVE else -4.0
    return st.floats(lo, 4.0).filter(lambda t: abs(t) > 0.01 and abs(t - 1.8954942670) > 0.1)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_series_contains_the_derivatives(name, data):
    t = data.draw(points(name))
    radius = data.draw(st.sampled_from([0.0, 2.0**-30, 2.0**-10, 2.0**-8]))
    coefficients = series(TARGETS[name], arb(t, radius), ORDER)
    assert len(coefficients) == ORDER + 1
    function = reference(name)
    s = mpmath.mpf(t) + radius * data.draw(st.sampled_from([-1, 0, 1]))
    taken = mpmath.taylor(function, s, ORDER)
    for k, (ball, coefficient) in enumerate(zip(coefficients, taken, strict=True)):
        assert ball.is_finite()
        assert contains(ball, coefficient), (name, s, k)


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_values_and_bounds_contain_points(name, data):
    t = data.draw(points(name))
    low = data.draw(st.floats(0, 3)) if name not in (*POSITIVE, "reciprocal") else 0.0
    high = data.draw(st.floats(0, 3)) if name != "reciprocal" else 0.0
    lo, hi = bounds(TARGETS[name], arb(t) - low, arb(t) + high)
    y = exact(reference(name)(mpmath.mpf(t)))
    with flint.ctx.workprec(2000):
        slack = arb(2) ** -300
        assert lo <= y + slack and y - slack <= hi
    ball = value(TARGETS[name], (arb(t) - low).union(arb(t) + high))
    assert ball.is_finite() and ball.overlaps(y)


@pytest.mark.parametrize("name", [n for n in TARGETS if n not in ("cbrt", "relu", "abs", "max")])
@pytest.mark.parametrize("radius", [0.0625, 0.25])
def test_series_over_wide_balls_contain_the_derivatives_at_their_ends(name, radius):
    # Coefficients that change sign inside the ball enclose 0, and still count: a test for
    # "is not 0" on a ball answers "certainly not 0".
    low = 1.0 if name in POSITIVE or name == "reciprocal" else -3.0
    function = reference(name)
    for k in range(9):
        center = low + 0.75 * k
        coefficients = series(TARGETS[name], arb(center, radius), ORDER)
        for side in (-1, 0.6):
            truth = mpmath.taylor(function, mpmath.mpf(center) + radius * side, ORDER)
            assert all(map(contains, coefficients, truth)), (center, side)


def test_a_wrong_coefficient_would_be_seen():
    third = series(FUNCTIONS["exp"].expression, arb(0.5), 3)[3]
    assert contains(third, mpmath.exp(0.5) / 6)
    assert not contains(third, mpmath.exp(0.5) / 6 + mpmath.mpf(2) ** -90)


@pytest.mark.parametrize(
    ("text", "lo", "hi", "range"),
    [
        ("x**2", -1, 2, (0, 4)),
        ("x**3", -1, 2, (-1, 8)),
        ("1/x", 1e-9, 1e9, (1e-9, 1e9)),
        ("1/x**2", -2, -1, (0.25, 1)),
        ("tanh(x)", -1e9, 1e9, (-1, 1)),
        ("erf(x)", 0, 1e9, (0, 1)),
        ("exp(x)", -1e300, 0, (0, 1)),
        ("sin(x)", -1e9, 1e9, (-1, 1)),
        ("sqrt(x)", 0, 4, (0, 2)),
        ("Abs(x)", -3, 2, (0, 3)),
        ("sign(x)", -1, 0, (-1, 0)),
        ("Max(x, 0)", -1, 3, (0, 3)),
    ],
)
def test_ranges_on_wide_intervals_are_tight(text, lo, hi, range):
    a, b = bounds(sp.sympify(text, locals={"x": x}), arb(lo), arb(hi))
    # Tight to the relative error of the decimals 1e-9 and 1e9, and never inside the range.
    assert abs(a - range[0]) <= 1e-15 * abs(range[0])
    assert abs(b - range[1]) <= 1e-15 * abs(range[1])


@pytest.mark.parametrize(
    ("expression", "center", "radius"),
    [
        (sp.log(x), 0, 1),
        (sp.log(x), 0, 0),
        (sp.log(x), -1, 0.5),
        (sp.sqrt(x), 0, 1),
        (sp.sqrt(x), -1, 0.5),
        (1 / x, 0, 1),
        (1 / x, 0, 0),
        (x ** sp.Rational(-1, 2), 0, 0),
        (1 / (x**2 - 2), 0, 2),
        (sp.sin(1 / x), 0, 1),
        (x + sp.log(-(x**2)), 1, 0),
        (sp.Max(sp.log(x), 0), 0, 1),
        (x, math.nan, 0),
        (x + sp.sqrt(-1), 0, 1),
    ],
)
def test_undefined_is_never_finite(expression, center, radius):
    ball = arb(center, radius)
    assert not value(expression, ball).is_finite()
    assert not any(c.is_finite() for c in series(expression, ball, 3))


@pytest.mark.parametrize("name", ["abs", "relu", "cbrt", "sqrt"])
def test_at_a_kink_only_the_value_is_known(name):
    center = arb(0) if name == "sqrt" else arb(0, 0.5)
    first, *others = series(FUNCTIONS[name].expression, center, 3)
    assert first.is_finite() and first.contains(0)
    assert not any(c.is_finite() for c in others)
    sign = series(sp.sign(x), center, 2)
    assert sign[0].contains(0) and not sign[1].is_finite()


def test_far_out_the_slope_of_tanh_keeps_its_sign():
    assert series(sp.tanh(x), arb(500), 1)[1] > 0
    assert series(sp.tanh(x), arb(-500, 1), 1)[1] > 0


def test_exp_beyond_every_float_is_bounded_below_and_not_above():
    lo, hi = bounds(sp.exp(sp.exp(x)), arb(1000), arb(1000))
    assert lo > arb(2) ** 100_000 and hi == arb("inf")
    assert bounds(x * sp.exp(sp.exp(x)), arb(0), arb(1000)) == (arb(0), arb("inf"))
    assert bounds(-x * (1 - sp.exp(sp.exp(x))), arb(900), arb(1000))[1] == arb("inf")
    a, b = bounds(1 / (1 + sp.exp(sp.exp(x))), arb(-1000), arb(1000))
    assert a >= 0 and b <= 0.5 + 2.0**-50


@pytest.mark.parametrize(
    "constant",
    [sp.pi, sp.E, sp.sqrt(2), 2 / sp.sqrt(sp.pi), sp.Rational(-7, 3), sp.exp(sp.sqrt(5)), sp.log(3),
     sp.sin(1) * sp.cos(2), sp.erf(sp.Rational(1, 3)), 2**sp.pi, sp.tanh(2), sp.Max(sp.E, 2),
     sp.Float("0.1")],
)  # fmt: skip
def test_numbers_contain_their_value(constant):
    ball = number(constant)
    assert contains(ball, constant.evalf(130)._to_mpmath(400))
    assert ball.rad() < arb(2) ** -90


@pytest.mark.parametrize("constant", [sp.I, sp.sqrt(-1), sp.zoo, sp.nan, sp.oo, sp.root(-8, 3)])
def test_what_is_no_real_number_is_nan(constant):
    assert number(constant).is_nan()


def test_a_variable_is_no_number():
    with pytest.raises(TypeError, match="x is not a number"):
        number(x)


def test_precision_is_the_callers():
    with flint.ctx.workprec(300):
        assert number(sp.pi).rad() < arb(2) ** -280
    with flint.ctx.workprec(40):
        assert number(sp.pi).rad() > arb(2) ** -60
