"""Ellipsoids hold what they promise, in exact fractions or by the order of matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains import ellipsoids
from certify.domains.jacobian import Jacobian

SEEDS = st.integers(0, 2**32 - 1)


def exact(matrix):
    return [[Fraction(v) for v in line] for line in matrix]


def times(a, b):
    return [[sum(x * y for x, y in zip(line, column, strict=True))
             for column in zip(*b, strict=True)] for line in a]  # fmt: skip


def positive(matrix):
    """Whether a symmetric matrix of fractions is positive semidefinite, by elimination."""
    m = [list(line) for line in matrix]
    for i in range(len(m)):
        if m[i][i] < 0 or (m[i][i] == 0 and any(m[i][j] != 0 for j in range(i, len(m)))):
            return False
        for j in range(i + 1, len(m)):
            share = m[i][j] / m[i][i] if m[i][i] else Fraction(0)
            for k in range(i, len(m)):
                m[j][k] -= share * m[i][k]
    return True


def minus(a, b):
    return [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def outer(e):
    return [[x * y for y in e] for x in e]


@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_balls(seed, rows, width):
    rng = np.random.default_rng(seed)
    direction = rng.integers(-9, 10, (rows, width))
    e = [Fraction(int(v)) for v in direction.reshape(-1)]
    radius = np.sqrt((direction**2).sum(1)) * (1 + 1e-12) + 1e-9
    s = ellipsoids.balls(torch.from_numpy(radius).unsqueeze(0), width)[0].tolist()
    assert sum(x * x / Fraction(v) for x, v in zip(e, s, strict=True)) <= 1


def jacobian(rng, compressed, size):
    """Two rows of two entries each, of two rows of three entries."""
    center = torch.from_numpy(rng.normal(size=(1, 2, 2, 1 if compressed else 2, 3)) * size)
    zero = torch.zeros(center.shape[:-1], dtype=torch.float64)
    return Jacobian(center, zero, zero[..., 0, :], np.array([1, 0]) if compressed else None)


def dense(j):
    """Its center, (4, 6)."""
    out = np.zeros((2, 2, 2, 3))
    if j.owner is None:
        out[:] = j.center[0].numpy()
    else:
        for row, owner in enumerate(j.owner):
            out[row, :, owner] = j.center[0, row, :, 0].numpy()
    return out.reshape(4, 6)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [1.0, 1e9, 1e-9])
@given(SEEDS)
def test_image_and_total(compressed, size, seed):
    """S' - C S C' / share - D / (1 - share) >= 0 for no share would do: the sum is tested."""
    rng = np.random.default_rng(seed)
    j = jacobian(rng, compressed, size)
    root = rng.normal(size=(6, 6)) * 1e-6
    s = torch.from_numpy(root @ root.T).unsqueeze(0)
    s = s.tril() + s.tril(-1).transpose(-1, -2)
    x, rho = ellipsoids.image(j, s)
    c = exact(dense(j).tolist())
    true = times(times(c, exact(s[0].tolist())), [list(v) for v in zip(*c, strict=True)])
    got = exact(x[0].tolist())
    for i in range(4):
        got[i][i] += Fraction(float(rho))
    assert positive(minus(got, true))
    rest = torch.from_numpy(rng.uniform(0, 1e-9, (1, 4))) * size
    whole = exact(ellipsoids.total(x, rho, rest)[0].tolist())
    # any a with a a' <= C S C' and b with b b' <= diag(rest): the columns of roots of both
    for _ in range(3):
        z = rng.normal(size=6)
        a = [
            v[0]
            for v in times(c, [[Fraction(v)] for v in root @ (z / np.linalg.norm(z)) * 0.999999])
        ]
        y = rng.normal(size=4)
        y = y / np.linalg.norm(y) * 0.999999
        b = [Fraction(float(v)) for v in np.sqrt(rest[0].numpy()) * y]
        assert positive(minus(whole, outer([p + q for p, q in zip(a, b, strict=True)])))


def test_lengths():
    """A known ellipsoid: rows with the squared norms 9 and 4, entries up to 3, 1, 2 and 0."""
    s = torch.diag(torch.tensor([9.0, 1.0, 4.0, 0.0], dtype=torch.float64)).unsqueeze(0)
    s[0, 0, 2] = s[0, 2, 0] = 5.0  # says nothing of a single row
    entry, rows = ellipsoids.lengths(s, 2)
    assert [
        v <= w <= v * 1.2 + 1e-100 for v, w in zip((3, 1, 2, 0), entry[0].tolist(), strict=True)
    ]
    assert all(v <= w <= v * 1.2 for v, w in zip((3, 2), rows[0].tolist(), strict=True))
