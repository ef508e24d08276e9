"""Values and grids of a target."""

from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

from probes.values import refined, values
from theory.errors import BadRequest
from theory.functions import FUNCTIONS, cbrt, x


def target(expression):
    return SimpleNamespace(name="f", expression=expression, domain=(-1.0, 1.0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_agree_with_sympy(name):
    points = np.array([0.25, 0.5, 2.0])
    wanted = [float(FUNCTIONS[name].expression.subs(x, sp.Float(p, 30))) for p in points]
    found = values(target(FUNCTIONS[name].expression), points)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_a_constant_has_a_value_at_every_point():
    assert values(target(sp.Rational(1, 3)), np.zeros(5)).tolist() == [1 / 3] * 5


def test_cbrt_is_real_below_zero():
    assert values(target(cbrt.expression), np.array([-8.0])) == pytest.approx([-2.0])


@pytest.mark.parametrize("expression", [sp.log(x), sp.sqrt(x), 1 / x])
def test_undefined_points_are_named(expression):
    points = np.array([1.0, 0.0 if expression == 1 / x else -0.5])
    with pytest.raises(BadRequest, match=rf"no finite real value at x = {points[1]}"):
        values(target(expression), points)


def test_refined_takes_small_steps_in_height():
    grid = np.linspace(-1, 1, 101)
    fine = refined(target(cbrt.expression), grid, 100)
    assert (np.diff(fine) > 0).all()
    assert set(grid) <= set(fine)
    assert np.abs(np.diff(np.cbrt(fine))).max() <= 2 / 100
    assert len(fine) <= 2 * 101


def test_refined_leaves_a_slow_target_alone():
    grid = np.linspace(-1, 1, 101)
    assert refined(target(sp.exp(x)), grid, 20) is grid


def test_refined_ends_at_a_jump():
    fine = refined(target(sp.sign(x)), np.linspace(-1, 1, 100), 10)
    assert len(fine) <= 100 + 2 * 30
    assert np.diff(fine).min() < 1e-9


def test_refined_gives_up_on_what_no_grid_can_follow():
    grid = np.linspace(-1, 1, 100)
    assert len(refined(target(sp.sin(10**6 * x)), grid, 400)) <= 200
