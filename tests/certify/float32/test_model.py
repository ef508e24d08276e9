"""Constants and helpers of the stated model."""

import math
from fractions import Fraction

import pytest
import torch

from certify.float32.model import LIMIT, Range, U, aligned, flushed, gamma, most, settled


@pytest.mark.parametrize("n", [1, 7, 1000, 2**20])
def test_gamma_is_an_upper_bound(n):
    u = Fraction(1, 2**24)
    exact = n * u / (1 - n * u)
    assert Fraction(gamma(n)) >= exact
    assert Fraction(gamma(n)) <= exact * (1 + Fraction(1, 2**40))


def test_gamma_refuses_what_it_was_not_derived_for():
    with pytest.raises(ValueError, match="longer"):
        gamma(2**20 + 1)


def test_overflow_and_nan_say_nothing():
    error = torch.tensor([1.0, 1.0, math.nan], dtype=torch.float64)
    reach = torch.tensor([1.0, LIMIT, 1.0], dtype=torch.float64)
    found = settled(error, reach)
    assert found[0] >= 1.0 and found[1] == math.inf and found[2] == math.inf


def test_an_unknown_operand_is_infinitely_large():
    nan = torch.tensor([[math.nan]], dtype=torch.float64)
    assert Range(nan, nan).size.item() == math.inf


def test_shapes():
    x = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    assert aligned(x, 4).shape == (2, 1, 1, 3)
    assert most(x).tolist() == [[2.0], [5.0]]
    assert flushed(3, Range(x, x), like=x).shape == (2, 1)


def test_torch_rounds_as_stated(seeded):
    x, y = (torch.randn(100_000, generator=seeded) for _ in range(2))
    for op in (torch.add, torch.mul, torch.div):
        got, exact = op(x, y).double(), op(x.double(), y.double())
        assert bool(((got - exact).abs() <= U * exact.abs() * (1 + 2.0**-28)).all())
