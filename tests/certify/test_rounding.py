"""Rounding: every promise of rounding.py in exact fractions, and libm against Arb."""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from certify.rounding import (
    LARGEST,
    LIBM,
    TINY,
    U,
    above,
    accurate_product,
    below,
    gamma,
    no_nan,
    on_grid,
    outward,
    unknown,
    up,
)

SEEDS = st.integers(0, 2**32 - 1)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 2**20, 2**21])
def test_gamma(n):
    u = Fraction(1, 2**53)
    assert Fraction(gamma(n)) >= n * u / (1 - n * u)


@pytest.mark.parametrize("n", [-1, 2**21 + 1])
def test_gamma_refuses_what_it_cannot_bound(n):
    with pytest.raises(ValueError, match="inner product"):
        gamma(n)


@given(st.lists(st.floats(0, 1e150), min_size=1, max_size=30), SEEDS)
def test_up_bounds_an_inner_product(values, seed):
    rng = np.random.default_rng(seed)
    a, b = tensor(values), tensor(rng.random(len(values)) * 2.0 ** rng.integers(-600, 300))
    exact = sum(Fraction(p) * Fraction(q) for p, q in zip(a.tolist(), b.tolist(), strict=True))
    for computed in ((a * b).sum(), a @ b, (a.flip(0) * b.flip(0)).cumsum(0)[-1]):
        assert Fraction(float(up(computed, len(values) + 1))) >= exact


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_above_and_below(p, q):
    for op in (torch.add, torch.sub, torch.mul, torch.div):
        result = op(tensor(p), tensor(q))
        if not math.isfinite(p) or not math.isfinite(q) or not bool(torch.isfinite(result)):
            continue
        a, b = Fraction(p), Fraction(q)
        exact = {"add": a + b, "sub": a - b, "mul": a * b}.get(op.__name__)
        exact = a / b if exact is None else exact
        lo, hi = float(below(result)), float(above(result))
        assert lo == -math.inf or Fraction(lo) <= exact
        assert hi == math.inf or exact <= Fraction(hi)


@given(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200), st.floats(0, 1e200))
def test_outward(p, q, e):
    lo, hi = outward(tensor(p), tensor(q), tensor(e))
    assert Fraction(float(lo)) <= Fraction(p) - Fraction(e)
    assert Fraction(float(hi)) >= Fraction(q) + Fraction(e)


def test_an_end_that_overflowed_says_only_that_it_did():
    """A lower end of inf is "beyond LARGEST", not that no number is left."""
    inf = torch.tensor(math.inf, dtype=torch.float64)
    low, high = no_nan(inf, inf)
    assert float(low) == LARGEST and float(high) == math.inf
    low, high = no_nan(-inf, -inf)
    assert float(low) == -math.inf and float(high) == -LARGEST


def test_nan_says_nothing():
    nan, inf = math.nan, math.inf
    assert unknown(tensor([nan, inf, 1.0])).tolist() == [inf, inf, 1.0]
    lo, hi = no_nan(tensor([nan, 1.0, -inf]), tensor([nan, 2.0, inf]))
    assert lo.tolist() == [-inf, 1.0, -inf] and hi.tolist() == [inf, 2.0, inf]


@given(SEEDS, st.integers(1, 27))
def test_on_grid(seed, bits):
    rng = np.random.default_rng(seed)
    power = int(rng.integers(-500, 500))
    x = tensor(rng.normal(size=8) * 2.0**power)
    size = x.abs().max()
    near = on_grid(x, size, bits)
    _, e = math.frexp(float(size))
    q = Fraction(2) ** (e - bits)
    for value, got in zip(x.tolist(), near.tolist(), strict=True):
        assert Fraction(got) % q == 0
        assert abs(Fraction(value) - Fraction(got)) <= q / 2
        assert Fraction(value - got) == Fraction(value) - Fraction(got)


def entries(rng, shape, kind):
    """Numbers of many sizes; kinds: even, full, mixed, float32, huge, tiny, denormal."""
    if kind == "full":  # every partial sum as large as it can be
        return rng.uniform(0.9, 1, shape)
    x = rng.normal(size=shape)
    if kind == "float32":
        x = x.astype(np.float32).astype(float) * 2.0 ** rng.integers(-100, 101)
    elif kind == "mixed":
        x = x * 2.0 ** rng.integers(-100, 101, size=shape)
    elif kind != "even":
        x = x * {"huge": 2.0**480, "tiny": 2.0**-520, "denormal": 2.0**-1050}[kind]
    x[rng.random(shape) < 0.1] = 0.0
    if shape[0] > 1:
        x[0] = 0.0
    return x


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 9, 64, 257, 1000])
@given(
    SEEDS, *[st.sampled_from(["even", "full", "mixed", "float32", "huge", "tiny", "denormal"])] * 2
)
def test_accurate_product(n, seed, kind, other):
    other = "full" if kind == "full" else other
    rng = np.random.default_rng(seed)
    x, w = entries(rng, (2, n), kind), entries(rng, (2, n), other)
    if rng.random() < 0.3:  # cancellation
        x[-1, n // 2 :] = -x[-1, : n - n // 2] if n > 1 else x[-1]
        w[-1, n // 2 :] = w[-1, : n - n // 2]
    y, e = accurate_product(tensor(x), tensor(w))
    for i in range(2):
        row = [Fraction(p) for p in x[i].tolist()]
        for j in range(2):
            exact = sum(p * Fraction(q) for p, q in zip(row, w[j].tolist(), strict=True))
            error = abs(Fraction(float(y[i, j])) - exact)
            assert error <= Fraction(float(e[i, j])), (float(error), float(e[i, j]))


@given(SEEDS)
def test_accurate_product_is_sharp(seed):
    """Hardly more than one rounding: what the name promises, for entries of one size."""
    rng = np.random.default_rng(seed)
    x, w = rng.uniform(0.5, 1, (3, 100)), rng.uniform(0.5, 1, (4, 100)).astype(np.float32)
    y, e = accurate_product(tensor(x), tensor(w.astype(float)))
    assert bool((e <= 1.01 * U * y).all())


def libm(count, seed):
    rng = np.random.default_rng(seed)
    wide = rng.uniform(-708, 709, count // 2)
    exps = np.concatenate([wide, rng.normal(size=count - len(wide)) * 10.0 ** -rng.integers(0, 9)])
    logs = np.abs(np.concatenate([np.exp(wide), 1 + rng.normal(size=count // 2) * 1e-3]))
    for torch_function, points, name in ((torch.exp, exps, "exp"), (torch.log, logs, "log")):
        got = torch_function(tensor(points)).tolist()
        for x, y in zip(points.tolist(), got, strict=True):
            true = getattr(arb(x), name)()
            assert abs(arb(y) - true) <= LIBM * abs(true), (name, x.hex())


def test_libm_keeps_its_stated_accuracy():
    with flint.ctx.workprec(160):
        libm(20_000, 0)
        # The scalar tail of vectorized kernels is another code path.
        for x in np.random.default_rng(1).normal(size=300).tolist():
            y = float(torch.exp(tensor(x)))
            assert abs(arb(y) - arb(x).exp()) <= LIBM * arb(x).exp()


@pytest.mark.slow
def test_libm_keeps_its_stated_accuracy_on_a_million_points():
    with flint.ctx.workprec(160):
        libm(1_000_000, 2)


def test_exp_underflow_is_covered():
    for x in (-745.0, -744.0, -720.0, -709.0, -1e308):
        error = abs(Fraction(float(torch.exp(tensor(x)))) - Fraction(math.exp(x)))
        assert error <= Fraction(TINY)
