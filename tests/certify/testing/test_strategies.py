"""Strategies stay inside their boxes, and encoders are what they say."""

from __future__ import annotations

import math

import pytest
import torch
from depth import law
from hypothesis import find, given
from hypothesis import strategies as st

from certify.testing import as_model, boxes, encoders, points

ENDS = st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)).map(sorted)


@given(ENDS, st.data())
@law()
def test_boxes_and_points_stay_inside(ends, data):
    lo, hi = ends
    a, b = data.draw(boxes(lo, hi))
    x = data.draw(points((a, b)))
    assert lo <= a <= x <= b <= hi


@pytest.mark.parametrize("kind", [
    lambda box: box[0] == box[1],
    lambda box: 0 < box[1] - box[0] < 1e-12,
    lambda box: box[1] - box[0] > 1,
])  # fmt: skip
def test_every_kind_of_box_comes(kind):
    assert find(boxes(), kind)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_boxes_need_a_domain(ends):
    with pytest.raises(ValueError, match="boxes need two finite ends"):
        find(boxes(*ends), lambda box: True)


@given(encoders(scale=1.0))
@law(40)
def test_encoders_can_be_certified(module):
    assert not module.training and next(module.parameters()).dtype == torch.float64
    assert module(torch.zeros(3, 1, dtype=torch.float64)).shape == (3, 1)
    assert as_model(module).outputs == (1, 1)


def test_encoders_leave_the_random_state_alone():
    before = torch.get_rng_state()
    first = find(encoders(), lambda module: True)
    assert bool((torch.get_rng_state() == before).all())
    again = find(encoders(), lambda module: True)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(bool((p == q).all()) for p, q in pairs)
