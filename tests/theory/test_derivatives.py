"""Derivatives against Arb's own power series, which differentiate nothing symbolically."""

import pytest
import sympy as sp
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from theory import arb as ball
from theory.derivatives import derivative, derived
from theory.expressions import parse
from theory.functions import FUNCTIONS, x
from theory.intervals import number

TEXTS = ("x + cbrt(x)", "max(x, x^2)", "abs(sin(3*x))", "cbrt(x)*exp(x)", "relu(x-0.3)", "1/(2+x)")
EXPRESSIONS = {name: f.expression for name, f in FUNCTIONS.items()} | {t: parse(t) for t in TEXTS}


def value(expression, at):
    """One number by Arb; constants alone are no function of x."""
    return ball.series(expression + 0 * x, at, 1)[0] if expression.has(x) else number(expression)


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("order", [1, 2])
@given(at=st.fractions(min_value=-4, max_value=4, max_denominator=997))
def test_against_power_series(name, order, at):
    expression = EXPRESSIONS[name]
    ours = expression
    try:
        for _ in range(order):
            ours = derivative(ours)
    except TypeError:
        assert order == 2 and expression.has(sp.Max, sp.Abs)
        return
    point = arb(at.numerator) / at.denominator
    series = ball.series(expression, point, 3)
    theirs, mine = series[order] * (1, 1, 2)[order], value(ours, point)
    if theirs.is_finite() and mine.is_finite():
        assert mine.overlaps(theirs)
        assert abs(mine - theirs) < 1e-6 * (1 + abs(theirs))


@pytest.mark.parametrize("text", ["sign(x)", "sign(x)*exp(x)", "sign(sin(x))"])
def test_a_jump_has_none(text):
    with pytest.raises(TypeError, match="no derivative"):
        derivative(parse(text))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_factor_is_taken_out(name):
    factor, function = derived(FUNCTIONS[name])
    assert factor * function.expression == derivative(FUNCTIONS[name].expression)
    assert function.expression.as_coeff_Mul(rational=True)[0] == 1


def test_registered_functions_are_found_again():
    assert derived(FUNCTIONS["exp"]) == (1, FUNCTIONS["exp"])
    assert derived(FUNCTIONS["log"]) == (1, FUNCTIONS["reciprocal"])
    assert derived(FUNCTIONS["sin"]) == (1, FUNCTIONS["cos"])
