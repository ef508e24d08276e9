"""Tables: shifted expansions, maxima over runs of cells, and what lies beyond them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from certify.domains import tables
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
NAMES = ["gelu", "tanh", "sin", "softplus", "erf", "gelu_tanh", "silu", "sigmoid", "cos"]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
@given(seed=SEEDS, order=st.integers(0, 12))
@settings(max_examples=settings().max_examples // 5)
def test_shifted_coefficients(ref, name, seed, order):
    rng = np.random.default_rng(seed)
    at = np.concatenate([rng.uniform(-9, 9, 2), [0.125 * rng.integers(-40, 40), 0.0]])
    table = tables.covering(FUNCTIONS[name], order, tensor(at), tensor(at))
    a, value_error, slope_error = tables.expand(table, order, tensor(at))
    for i, t in enumerate(at.tolist()):
        true = mp.taylor(ref.TEXTBOOK[name], mpf(t), order)
        for k in range(order + 1):
            error = float((slope_error if k else value_error)[i])
            assert abs(mpf(float(a[k, i])) - true[k]) <= mpf(error), (t, k)
        assert float(value_error[i]) < 1e-10


@pytest.mark.parametrize("name", NAMES)
@given(seed=SEEDS, order=st.integers(0, 12))
@settings(max_examples=settings().max_examples // 5)
def test_extremes(ref, name, seed, order):
    rng = np.random.default_rng(seed)
    lo = rng.uniform(-12, 12, 12)
    lo[:3] = np.round(lo[:3] * 8) / 8
    hi = lo + 10.0 ** rng.uniform(-6, 1, 12)
    table = tables.covering(FUNCTIONS[name], order, tensor(lo), tensor(hi))
    slope, last, low, high = tables.extremes(table, tensor(lo), tensor(hi))
    assert bool(torch.isfinite(slope + last + low + high).all())
    for i in range(12):
        s = mpf(lo[i]) + (mpf(hi[i]) - mpf(lo[i])) * mpf(rng.random())
        for t in (mpf(lo[i]), mpf(hi[i]), s):
            assert ref.within(ref.TEXTBOOK[name](t), float(low[i]), float(high[i]))
        if i < 2:
            true = mp.taylor(ref.TEXTBOOK[name], s, order + 1)
            assert abs(true[1]) <= mpf(float(slope[i]))
            assert abs(true[order + 1]) <= mpf(float(last[i]))


def test_outside_the_table_nothing_is_known():
    table = tables.table(FUNCTIONS["tanh"], 4, 0, 0)
    at = tensor([-0.01, 2.0, math.inf, math.nan, 1.0])
    _, value_error, slope_error = tables.expand(table, 4, at)
    for error in (value_error, slope_error):
        assert torch.isinf(error).tolist() == [True, True, True, True, False]
    low = tensor([-1.0, 0.5, 0.5, math.nan, 1.0])
    high = tensor([1.0, 2.5, math.inf, 1.0, 0.5])
    bounds = tables.extremes(table, low, high)
    assert all(bool(torch.isinf(b).all()) for b in bounds)


@pytest.mark.parametrize("name", NAMES)
@given(
    ends=st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2).map(sorted),
    part=st.floats(0, 1),
)
def test_beyond(ref, name, ends, part):
    lo, hi = ends
    none = tensor([-math.inf]), tensor([math.inf])
    low, high = tables.beyond(FUNCTIONS[name], tensor([lo]), tensor([hi]), *none)
    inner = min(max(lo / 2 + part * (hi / 2 - lo / 2), lo), hi)
    for t in (lo, hi, inner):
        assert ref.within(ref.textbook(name, t), float(low), float(high))


@given(st.floats(allow_nan=False))
def test_power_below(t):
    power = float(tables._power_below(tensor([t])))
    assert power <= t
    if math.isfinite(power) and power:
        assert abs(math.frexp(power)[0]) == 0.5
        assert abs(power) <= 2 * abs(t) and abs(t) <= 2 * abs(power)
