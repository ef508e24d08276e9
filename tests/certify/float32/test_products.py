"""Sums of products in torch, in several orders, stay within their bounds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from certify.float32 import products


def one_after_the_other(x, w):
    total = torch.zeros(x.shape[0], w.shape[0])
    for k in range(x.shape[1]):
        total = total + x[:, k, None] * w[None, :, k]
    return total


@pytest.mark.parametrize("n", [1, 16, 64, 300])
@pytest.mark.parametrize("positive", [False, True])
def test_linear_in_any_order(n, positive, at, within, seeded):
    x, w = torch.randn(5, n, generator=seeded), torch.randn(7, n, generator=seeded)
    b = torch.randn(7, generator=seeded)
    if positive:  # partial sums grow, and so do their roundings
        x, w, b = x.abs() + 1, w.abs() + 1, b.abs()
    exact = F.linear(x.double(), w.double(), b.double())
    order = torch.randperm(n, generator=seeded)
    rows = torch.stack([F.linear(row, w, b) for row in x])
    results = [
        F.linear(x, w, b),
        rows,
        F.linear(x[:, order], w[:, order], b),
        torch.addmm(b, x, w.T),
        one_after_the_other(x, w) + b,
        torch.from_numpy(np.einsum("ij,kj->ik", x.numpy(), w.numpy()) + b.numpy()),
    ]
    bound = products.linear(at(x), at(w), at(b))
    within(bound, exact, *results)
    within(products.addmm(at(b), at(x), at(w.T)), exact, torch.addmm(b, x, w.T))


def test_a_bound_that_forgets_the_count_is_noticed(at, within, seeded):
    x, w = torch.rand(20, 3000, generator=seeded) + 1, torch.rand(20, 3000, generator=seeded) + 1
    exact = x.double() @ w.double().T
    bound = products.linear(at(x), at(w), None)
    assert within(bound, exact, one_after_the_other(x, w)) > 1e-3
    with pytest.raises(AssertionError):
        within(bound / 3001, exact, one_after_the_other(x, w))


def test_bias_counts(at, within):
    x, w, b = torch.tensor([[1.0]]), torch.tensor([[2.0**-24]]), torch.tensor([1.0])
    exact = F.linear(x.double(), w.double(), b.double())
    within(products.linear(at(x), at(w), at(b)), exact, F.linear(x, w, b))
    with pytest.raises(AssertionError):
        within(products.linear(at(x), at(w), None), exact, F.linear(x, w, b))


@pytest.mark.parametrize(
    "shapes", [((3, 4, 5), (3, 5, 2)), ((4, 5), (6, 5, 3)), ((5,), (5, 3)), ((4, 5), (5,)),
               ((5,), (5,))]
)  # fmt: skip
def test_matmul_broadcasts(shapes, at, within, seeded):
    x, y = (torch.randn(s, generator=seeded) for s in shapes)
    exact = torch.matmul(x.double(), y.double())
    bound = products.matmul(at(x), at(y))
    assert bound.shape[1:] == exact.shape
    within(bound, exact, torch.matmul(x, y))


@pytest.mark.parametrize("dims", [[0], [1], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("mean", [False, True])
def test_sums(dims, mean, at, within, seeded):
    x = torch.rand(50, 60, 7, generator=seeded) + 1
    op = torch.mean if mean else torch.sum
    bound = products.summed(at(x), dims, False, mean)
    flipped = op(x.flip(dims), dims)
    within(bound, op(x.double(), dims), op(x, dims), flipped)


def test_running_sums(at, within, seeded):
    x = torch.rand(3, 500, generator=seeded)
    within(products.running(at(x), 1), x.double().cumsum(1), x.cumsum(1))


def test_overflow_is_unknown(at):
    x = torch.full((1, 2), 1e30)
    assert bool(products.linear(at(x), at(x), None).isinf().all())
