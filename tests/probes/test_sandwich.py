"""Samples against bounds: zero tolerance, and every violation with its witness."""

import math

import pytest
import torch

from certify.frontend.agree import InternalError
from probes.sandwich import Claim, below_all, hold

AB = Claim("a", "b")


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def never(x):
    raise AssertionError("nothing had to be proved")


def test_values_inside_and_on_the_ends_hold():
    held = hold(AB, t(1, 2, 3), t(0, 0.5, 1), torch.stack([t(0, 0, 0), t(1, 1, 1)]), never)
    assert (held.says, held.method, held.count, held.rounding, held.idle) == ("a", "b", 3, 0, 0)


def test_a_value_out_by_rounding_is_proved_at_its_own_place():
    asked = []

    def prove(x):
        asked.extend(x.tolist())
        return torch.stack([t(0.9), t(1.0)])

    held = hold(AB, t(7, 8), t(0.5, 1.0 + 1e-12), torch.stack([t(0, 0), t(1, 1)]), prove)
    assert asked == [8.0]
    assert (held.count, held.rounding) == (2, 1)


@pytest.mark.parametrize(("least", "most"), [(math.nextafter(1, 2), 2.0), (-3.0, -5e-324)])
def test_a_bracket_that_lies_outside_stops_with_the_witness(least, most):
    bounds = torch.stack([t(0, 0), t(1, 1)])
    with pytest.raises(InternalError, match="model in range does not hold at x = 8.0") as caught:
        hold(Claim("model in range", "b"), t(7, 8), t(0.5, 9), bounds, lambda x: torch.stack(
            [t(least), t(most)]))  # fmt: skip
    assert caught.value.exit_code == 5
    assert repr(least) in str(caught.value)
    assert "[0.0, 1.0]" in str(caught.value)


def test_a_bracket_that_touches_its_bound_is_no_violation():
    bounds = torch.stack([t(0), t(1)])
    assert hold(AB, t(7), t(2), bounds, lambda x: torch.stack([t(1), t(2)])).rounding == 1


def test_a_sample_far_from_its_own_proof_is_not_put_down_to_rounding():
    bounds = torch.stack([t(0), t(1)])
    with pytest.raises(InternalError, match=r"x = 7.0 float64 gives 1.001.* than rounding"):
        hold(AB, t(7), t(1.001), bounds, lambda x: torch.stack([t(0.9), t(1)]))


def test_slopes_at_a_kink_may_be_those_of_the_other_side():
    bounds, claim = torch.stack([t(0), t(1)]), Claim("a", "b", jumps=True)
    held = hold(claim, t(7), t(3), bounds, lambda x: torch.stack([t(0.9), t(1)]))
    assert held.rounding == 1
    with pytest.raises(InternalError, match="a does not hold at x = 7.0"):
        hold(claim, t(7), t(3), bounds, lambda x: torch.stack([t(3), t(3)]))
    with pytest.raises(InternalError, match="x = 7.0"):
        hold(claim, t(7), t(math.nan), bounds, lambda x: torch.stack([t(0.9), t(1)]))


def test_no_number_is_never_fine():
    bounds = torch.stack([t(0), t(1)])
    with pytest.raises(InternalError, match="x = 7.0"):
        hold(AB, t(7), t(math.nan), bounds, lambda x: torch.stack([t(0), t(1)]))
    with pytest.raises(InternalError, match="not a number"):
        hold(AB, t(7), t(0.5), torch.stack([t(0), t(math.nan)]), never)
    with pytest.raises(InternalError, match="x = 7.0"):
        hold(AB, t(7), t(2), bounds, lambda x: torch.stack([t(math.nan), t(math.nan)]))


def test_infinite_bounds_are_counted_as_saying_nothing():
    bounds = torch.stack([t(-math.inf, 0), t(math.inf, math.inf)])
    assert hold(AB, t(1, 2), t(math.nan, 5), bounds, never).idle == 1
    assert below_all("a", "b", t(1, 2), t(3, 3), t(math.inf, 3)).idle == 1


def test_lower_ends_may_reach_but_not_pass_upper_ends():
    assert below_all("a", "b", t(1, 2), t(0.5, 1), t(1, 1)).count == 2
    for lower in (math.nextafter(1, 2), math.nan):
        with pytest.raises(InternalError, match="a does not hold at x = 2.0"):
            below_all("a", "b", t(1, 2), t(0.5, lower), t(1, 1))
