"""Layer norm by torch and by hand, in several orders, stays within its bound."""

import pytest
import torch
import torch.nn.functional as F

from certify.float32 import normalization


def welford(x, eps):
    mean, squares = torch.zeros(len(x)), torch.zeros(len(x))
    for k in range(x.shape[1]):
        d = x[:, k] - mean
        mean = mean + d / (k + 1)
        squares = squares + d * (x[:, k] - mean)
    r = 1 / torch.sqrt(squares / x.shape[1] + eps)
    return (x - mean[:, None]) * r[:, None]


def two_passes(x, eps):
    mean = x.sum(1, keepdim=True) / x.shape[1]
    centered = x - mean
    return centered * torch.rsqrt((centered * centered).mean(1, keepdim=True) + eps)


def scaled_first(x, eps):
    mean = x.mean(1, keepdim=True)
    r = 1 / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + eps)
    return x * r + (-mean * r)


@pytest.mark.parametrize("n", [2, 16, 20, 64, 100, 384, 1000])
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_layer_norm(n, shift, at, within, seeded):
    x = torch.randn(200, n, generator=seeded) + shift
    x[:20] *= 1e-3  # eps counts
    w, b = torch.randn(n, generator=seeded), torch.randn(n, generator=seeded)
    exact = x.double()
    c = exact - exact.mean(1, keepdim=True)
    r = 1 / torch.sqrt((c * c).mean(1, keepdim=True) + 1e-5)
    plain = c * r
    bound = normalization.layer_norm(at(plain), at(x), at(c), at(r), (None, None))
    order = torch.randperm(n, generator=seeded)
    shuffled = torch.empty_like(x)
    shuffled[:, order] = F.layer_norm(x[:, order], (n,))
    results = [F.layer_norm(x, (n,)), shuffled, welford(x, 1e-5), two_passes(x, 1e-5)]
    within(bound, plain, *results, scaled_first(x, 1e-5))
    full = plain * w.double() + b.double()
    bound = normalization.layer_norm(at(full), at(x), at(c), at(r), (at(w), at(b)))
    row = F.layer_norm(x[:1], (n,), w, b)
    within(bound, full, F.layer_norm(x, (n,), w, b))
    within(bound[:, :1], full[:1], row)


def test_a_mean_far_from_zero_needs_its_term(at, within, seeded):
    x = torch.randn(200, 64, generator=seeded) + 300
    c = x.double() - x.double().mean(1, keepdim=True)
    r = 1 / torch.sqrt((c * c).mean(1, keepdim=True) + 1e-5)
    bound = normalization.layer_norm(at(c * r), at(x), at(c), at(r), (None, None))
    assert within(bound, c * r, F.layer_norm(x, (64,)), welford(x, 1e-5)) > 1e-3
    near = normalization.layer_norm(at(c * r), at(c.float()), at(c), at(r), (None, None))
    with pytest.raises(AssertionError):
        within(near, c * r, F.layer_norm(x, (64,)), welford(x, 1e-5))


@pytest.mark.parametrize("n", [16, 384])
def test_rms_norm(n, at, within, seeded):
    x, w = torch.randn(200, n, generator=seeded), torch.randn(n, generator=seeded)
    r = 1 / torch.sqrt((x.double() ** 2).mean(1, keepdim=True) + 1e-6)
    exact = x.double() * r * w.double()
    bound = normalization.rms_norm(at(exact), at(x), at(r), at(w))
    by_hand = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w
    within(bound, exact, F.rms_norm(x, (n,), w, 1e-6), by_hand)


def test_a_variance_that_may_vanish_is_unknown(at):
    x = torch.full((1, 16), 1000.0)
    zero = torch.zeros(1, 16, dtype=torch.float64)
    r = torch.full((1, 1), 1e5, dtype=torch.float64)
    bound = normalization.layer_norm(at(zero), at(x), at(zero + 1), at(r), (None, None))
    assert bool(bound.isinf().all())
