"""Data curves: texts and numbers are the same tokens, inside the data's domain."""

import numpy as np
import pytest
import sympy as sp
import torch

from probes.curves import DataCurve, data_curve
from probes.schemes import find_scheme
from theory.curves import in_x, target_along
from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import x

T = np.linspace(-1, 1, 41)


def values(text):
    return np.array([float(sp.N(parse(in_x(text)).subs(x, sp.Float(t, 30)), 20)) for t in T[::8]])


@pytest.mark.parametrize("scheme", ["scheme-one", "mixed"])
def test_texts_are_the_tokens_of_the_scheme(scheme):
    path = data_curve(scheme, 2, 0)
    inputs, outputs = path.points(T)
    assert inputs.shape == (41, find_scheme(scheme).inputs, 2)
    tokens = inputs.flatten(1).numpy()[::8]
    assert len(path.texts) == tokens.shape[1]
    for k, text in enumerate(path.texts):
        assert values(text) == pytest.approx(tokens[:, k], rel=1e-12, abs=1e-12)
    target = target_along(scheme, path.texts, 1).expression
    label = [float(sp.N(target.subs(x, sp.Float(t, 30)), 20)) for t in T[::8]]
    assert label == pytest.approx(outputs.flatten(1).numpy()[::8, 1], rel=1e-12)


def test_the_curve_stays_in_the_domain_and_moves():
    for number in range(20):
        path = data_curve("scheme-one", 16, number)
        reach = np.abs(path.offsets) + np.abs(path.slopes)
        assert reach.max() <= 100
        assert np.abs(path.slopes).min() >= 25
        assert len(set(path.texts)) > 16


def test_curves_are_the_same_each_time_and_for_both_schemes():
    first = data_curve("scheme-one", 4, 0)
    torch.rand(3)
    assert data_curve("scheme-one", 4, 0) == first
    assert data_curve("mixed", 4, 0).texts[:8] == first.texts
    assert data_curve("scheme-one", 4, 1) != first
    assert data_curve("scheme-one", 8, 0).texts[:4] != first.texts[:4]


def test_texts_have_two_decimals():
    path = DataCurve("scheme-one", (5, -30), (-95, 70))
    assert path.texts[2:] == ("(0.05-0.95*t)", "(-0.30+0.70*t)")
    assert path.texts[0] == "(0.05-0.95*t)^3"


def test_unknown_schemes_are_refused():
    with pytest.raises(BadRequest, match="no data scheme"):
        data_curve("scheme-two", 4, 0)
