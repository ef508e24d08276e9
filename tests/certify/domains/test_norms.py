"""Row norms: spectral bounds, gathers, and agreement with the entries."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains import norms
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Gather

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1.0, 1e-3, 1e10, 1e-160, 1e-200, 1e-310, 1e140])


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=float))


def root(square):
    """A double that is at least the root of a fraction."""
    near = math.sqrt(square)
    return near if Fraction(near) ** 2 >= square else math.nextafter(near, math.inf)


def squares(values):
    return sum(Fraction(v) ** 2 for v in values)


@given(SEEDS, st.integers(1, 6), SIZES)
def test_rows(seed, n, size):
    rem = torch.from_numpy(np.abs(np.random.default_rng(seed).normal(size=(2, 3, n))) * size)
    out = norms.rows(rem)
    for row, norm in zip(rem.reshape(-1, n).tolist(), out.reshape(-1).tolist(), strict=True):
        assert squares(row) <= Fraction(norm) ** 2


def test_rows_of_scalars_and_infinities():
    one = torch.tensor([2.0, math.inf], dtype=torch.float64)
    assert norms.rows(one).tolist() == [2.0, math.inf]
    assert norms.rows(one.reshape(1, 2)).tolist() == [math.inf]


@given(SEEDS, st.integers(1, 5), st.integers(1, 5), SIZES)
def test_spectral(seed, m, n, size):
    """||W v|| <= bound ||v|| for the worst v that numpy finds, and for random ones."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(m, n)) * size
    w[rng.random(w.shape) < 0.3] = 0.0
    if rng.random() < 0.3:
        w = np.outer(w[:, 0], rng.normal(size=n))
    bound, row_norms = norms.spectral(Affine(weight=w))
    assert not math.isnan(bound)
    for row, norm in zip(w.tolist(), row_norms.tolist(), strict=True):
        assert norm == math.inf or squares(row) <= Fraction(norm) ** 2
    if bound == math.inf:
        return
    worst = np.linalg.svd(w / np.abs(w).max())[2][0] if np.abs(w).max() > 0 else np.ones(n)
    for v in (worst, rng.normal(size=n)):
        exact = [Fraction(c) for c in v.tolist()]
        image = [sum(Fraction(a) * b for a, b in zip(r, exact, strict=True)) for r in w.tolist()]
        assert sum(c * c for c in image) <= Fraction(bound) ** 2 * sum(c * c for c in exact)


def test_spectral_is_sharp():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    assert 1 <= norms.spectral(Affine(weight=q))[0] < 1.001


@pytest.mark.parametrize("size", [1e200, 1e308])
def test_spectral_of_huge_weights(size):
    assert norms.spectral(Affine(weight=np.full((2, 2), size)))[0] >= size


@given(SEEDS, st.sampled_from([(4,), (2, 3), (2, 2, 2)]), st.sampled_from([(5,), (3, 2), (1,), ()]))
def test_gathered(seed, shape, to):
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=shape)
    rem = np.full(shape, np.abs(errors).max())
    norm = np.nextafter(np.sqrt((errors**2).sum(-1)) * (1 + 1e-15), np.inf)
    index = np.asarray(rng.integers(-1, math.prod(shape), to))
    moved = np.where(index < 0, 0.0, rem.reshape(-1)[index])
    out = norms.gathered(
        Gather(index),
        shape,
        torch.from_numpy(moved)[None],
        torch.from_numpy(np.asarray(norm))[None],
    )
    got = np.where(index < 0, 0.0, errors.reshape(-1)[index])
    rows = got.reshape(-1, got.shape[-1]).tolist() if got.ndim else [[float(got)]]
    for row, bound in zip(rows, out.reshape(-1).tolist(), strict=True):
        assert squares(row) <= Fraction(bound) ** 2


def test_tighten():
    inf, nan = math.inf, math.nan
    rem = torch.tensor([[3.0, inf], [nan, 1.0]], dtype=torch.float64)
    new, norm = norms.tighten(rem, torch.tensor([5.0, nan], dtype=torch.float64))
    assert new[0].tolist() == [3.0, 5.0] and float(norm[0]) == 5.0
    assert not float(norm[1]) < inf


@given(SEEDS, st.integers(0, 4), st.integers(2, 5), st.sampled_from([1.0, 1e-8, 1e8]))
def test_rows_survive_products_entry_by_entry(ref, seed, order, n, size):
    """Norm and sum of a row's errors, through a gather to 1 x 1 matrices, a product, and back."""
    rng = np.random.default_rng(seed)
    domain, shape = Taylor(order), (1, n)
    apart = Gather(np.arange(n).reshape(1, n, 1, 1))
    together = Gather(np.arange(n).reshape(shape))
    models, errors = [], []
    for _ in range(2):
        coef = rng.normal(size=(order + 1, 1, *shape)) * size
        e = rng.normal(size=shape) * 10.0 ** rng.uniform(-6, 0) * size
        rem = np.abs(e) * rng.choice([1.0, 3.0], shape)
        wide = np.full((1, *shape), math.inf)
        norm = tensor(root(squares(e.reshape(-1).tolist()))).reshape(1, 1)
        models.append(
            TaylorModel(tensor(coef), tensor(rem[None]), tensor(-wide), tensor(wide), norm)
        )
        errors.append((coef, e))
    parts = [domain.gather(apart, m) for m in models]
    assert all(part.row is not None for part in parts)
    out = domain.gather(together, domain.matmul(*parts))
    assert out.total is not None
    for t in (Fraction(-1), Fraction(1), Fraction(1, 3)):
        values = [ref.polynomial(c[:, 0], t) + ref.exact(e) for c, e in errors]
        found = ref.polynomial(out.coef[:, 0].numpy(), t)
        missed = (values[0] * values[1] - found).reshape(-1)
        assert sum(abs(v) for v in missed) <= Fraction(float(out.total))
        assert sum(v * v for v in missed) <= Fraction(float(out.norm)) ** 2
        assert all(abs(v) <= Fraction(r) for v, r in zip(missed, out.rem.reshape(-1).tolist(),
                                                         strict=True))  # fmt: skip
