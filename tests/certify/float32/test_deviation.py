"""Offsets of executions through single nodes, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
import torch

from certify.domains.taylor import Taylor
from certify.float32.deviation import Deviation
from certify.graph import Apply
from theory.functions import Function, x


@pytest.mark.parametrize("at", [1.0, -1.0])
def test_a_slope_of_many_bits_is_not_rounded(at):
    """The offset of the value is that of the argument, times a slope that float32 does not have."""
    slope, domain = 1 + 2.0**-25, Deviation(Taylor(0))
    start = domain.lift(torch.tensor([[at, at]], dtype=torch.float64), (1,))
    moved = domain.widen(start, torch.tensor([[0.5]], dtype=torch.float64))
    steep = Function("steep", sp.Max(x * sp.sign(at), 0) * sp.Rational(slope))
    out = domain.apply(Apply(steep), moved)
    assert Fraction(float(out.off.rem)) >= Fraction(slope) / 2
