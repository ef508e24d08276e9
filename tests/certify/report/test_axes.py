"""Axes: everything lands in the frame, in order, with round ticks, whatever the numbers."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certify.report.axes import Axis, axis, boxes, line, plain, stairs

numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers, st.booleans())
@example(-1.7e308, 1.7e308, False)
@example(1e9, 1e9 + 1e-6, False)
@example(5e-324, 1e-323, True)
@example(-0.0, 0.0, False)
@example(3.0, 3.0, False)
def test_ticks(a, b, down):
    found = axis([a, b], *((300, 10) if down else (10, 300)), pad=0.05)
    if found is None:  # no two numbers are left between the ends
        return
    ticks = found.ticks()
    assert found.lo <= min(a, b) and max(a, b) <= found.hi
    assert 0 <= len(ticks) <= 13
    places = [t.at for t in ticks]
    assert all(10 <= p <= 300 for p in places)
    assert places == sorted(places, reverse=down)
    values = [Decimal(t.label) for t in ticks]
    assert values == sorted(set(values))
    assert 10 <= found.at(a) <= 300


def test_infinite_numbers_are_not_shown():
    assert axis([math.inf, math.nan], 0, 1) is None
    assert axis([math.inf, 1.0, 3.0, -math.inf], 0, 100) == Axis(1.0, 3.0, 0, 100)
    x = Axis(0.0, 1.0, 0.0, 100.0)
    assert x.at(math.inf) == 100 and x.at(-math.inf) == 0
    assert line([(0.0, 0.0), (0.5, math.nan), (1.0, 1.0)], x, x) == "M0 0M100 100"
    assert boxes([(0.0, 1.0, -math.inf, 0.25)], x, x) == "M0 0H100V25H0Z"
    assert stairs([(0.0, 0.0), (0.5, 1.0)], x, x) == "M0 0H50V100" and stairs([], x, x) == ""


def test_decades():
    found = Axis(3e-7, 2e4, 200.0, 0.0, log=True)
    labels = [t.label for t in found.ticks(6)]
    assert labels == ["1e-6", "0.0001", "0.01", "1", "100", "10000"]
    assert found.at(3e-7) == 200 and found.at(2e4) == 0


@pytest.mark.parametrize(("value", "text"), [("0", "0"), ("1E+3", "1000"), ("-0.50", "-0.5"),
                                             ("1E+9", "1e9"), ("2E-7", "2e-7")])  # fmt: skip
def test_labels(value, text):
    assert plain(Decimal(value)) == text
