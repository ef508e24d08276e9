"""Ranges of affine maps by their ends, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from certify.domains.ends import affine, middle
from certify.graph import Affine

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 6), st.booleans(), st.sampled_from([1.0, 3.0, -0.7]))
def test_ends_are_outside_of_the_exact_ones(seed, n, more, divisor):
    """The exact range of each row, attained where every input is at one of its ends."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(2, n)) * 10.0 ** rng.uniform(-3, 3, (2, n))
    scale, bias = (rng.normal(size=2) if more else None for _ in range(2))
    node = Affine(weight, scale, divisor, bias)
    ends = np.sort(rng.normal(size=(2, n)) * 10.0 ** rng.uniform(-3, 3, n), axis=0)
    lo, hi = (torch.from_numpy(end)[None] for end in ends)
    low, high = affine(node, lo, hi)
    for row in range(2):
        pairs = [(Fraction(w) * Fraction(a), Fraction(w) * Fraction(b))
                 for w, a, b in zip(weight[row].tolist(), *ends.tolist(), strict=True)]  # fmt: skip
        exact = [sum(map(min, pairs)), sum(map(max, pairs))]
        if more:
            exact = [Fraction(float(scale[row])) * e for e in exact]
        exact = [e / Fraction(divisor) for e in exact]
        if more:
            exact = [Fraction(float(bias[row])) + e for e in exact]
        assert Fraction(float(low[0, row])) <= min(exact)
        assert Fraction(float(high[0, row])) >= max(exact)


@pytest.mark.parametrize("image", [affine, middle])
@pytest.mark.parametrize("x", [1e-200, -1e-200])
def test_a_product_that_underflows_may_be_stretched(image, x):
    """The weight's product is lost, and the scale would have made it large again."""
    node = Affine(np.array([[1e-200]]), np.array([1e300]))
    low, high = image(node, *torch.tensor([[[x]], [[x]]], dtype=torch.float64))
    exact = Fraction(x) * Fraction(1e-200) * Fraction(1e300)
    assert Fraction(float(low)) <= exact <= Fraction(float(high))
