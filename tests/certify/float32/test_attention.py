"""Softmax and attention, fused, by hand and in blocks, stay within their bounds."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from certify.float32 import attention


@pytest.mark.parametrize("n", [2, 8, 100, 1000])
@pytest.mark.parametrize("size", [1.0, 20.0])
def test_softmax(n, size, at, within, seeded):
    x = size * torch.randn(300, n, generator=seeded)
    exact = torch.softmax(x.double(), -1)
    bound = attention.softmax(at(exact), at(x), 1, None)
    e = torch.exp(x - x.amax(-1, keepdim=True))
    flipped = torch.softmax(x.flip(-1), -1).flip(-1)
    within(bound, exact, torch.softmax(x, -1), e / e.sum(-1, keepdim=True), flipped)
    columns = attention.softmax(at(exact.T), at(x.T), 0, None)
    within(columns, exact.T, torch.softmax(x.T, 0))


def test_hidden_keys(at, within, seeded):
    x = torch.randn(50, 6, generator=seeded)
    hidden = torch.rand(50, 6, generator=seeded) < 0.4
    hidden[:, 0] = False
    masked = x.masked_fill(hidden, -math.inf)
    exact = torch.softmax(masked.double(), -1)
    bound = attention.softmax(at(exact), at(x.masked_fill(hidden, -1e7)), 1, hidden)
    within(bound, exact, torch.softmax(masked, -1))
    assert bool(torch.isfinite(bound).all())


def test_scores_far_below_count_as_gone(at, within):
    x = torch.tensor([[0.0, 1.0, -1e9, -3e38]])
    exact = torch.softmax(x.double(), -1)
    bound = attention.softmax(at(exact), at(x), 1, None)
    assert bool(torch.isfinite(bound).all())
    within(bound, exact, torch.softmax(x, -1))


def in_blocks(q, k, v, scale, size=16):
    """Online softmax, one block of keys after another."""
    top = torch.full((*q.shape[:-1], 1), -math.inf)
    total, out = torch.zeros_like(top), torch.zeros(*q.shape[:-1], v.shape[-1])
    for first in range(0, k.shape[-2], size):
        s = q @ k[..., first : first + size, :].mT * scale
        new = torch.maximum(top, s.amax(-1, keepdim=True))
        e, again = torch.exp(s - new), torch.exp(top - new)
        total = total * again + e.sum(-1, keepdim=True)
        out = out * again + e @ v[..., first : first + size, :]
        top = new
    return out / total


@pytest.mark.parametrize(("n", "d"), [(4, 8), (40, 16), (600, 32)])
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_attention(n, d, size, at, within, seeded):
    q, k, v = (torch.randn(2, 2, n, d, generator=seeded) for _ in range(3))
    q, v, scale = size * q, v + 1, 1 / math.sqrt(d)
    exact = F.scaled_dot_product_attention(*(t.double() for t in (q, k, v)))
    bound = attention.attention(at(v), at(q), at(k), scale, (None, None))
    by_hand = torch.softmax(q @ k.mT * scale, -1) @ v
    rooted = torch.softmax((q * math.sqrt(scale)) @ (k * math.sqrt(scale)).mT, -1) @ v
    with sdpa_kernel(SDPBackend.MATH):
        plain = F.scaled_dot_product_attention(q, k, v)
    fused = F.scaled_dot_product_attention(q, k, v)
    results = [fused, plain, by_hand, rooted, in_blocks(q, k, v, scale)]
    within(bound, exact, *results)


def test_masks(at, within, seeded):
    q, k, v = (torch.randn(1, 2, 12, 8, generator=seeded) for _ in range(3))
    scale = 1 / math.sqrt(8)
    causal = ~torch.ones(12, 12, dtype=torch.bool).tril()
    exact = F.scaled_dot_product_attention(*(t.double() for t in (q, k, v)), is_causal=True)
    bound = attention.attention(at(v), at(q), at(k), scale, (None, causal))
    within(bound, exact, F.scaled_dot_product_attention(q, k, v, is_causal=True))
    bias = torch.randn(12, 12, generator=seeded)
    wide = tuple(t.double() for t in (q, k, v))
    exact = F.scaled_dot_product_attention(*wide, attn_mask=bias.double())
    bound = attention.attention(at(v), at(q), at(k), scale, (bias.double(), None))
    within(bound, exact, F.scaled_dot_product_attention(q, k, v, attn_mask=bias))


def test_a_large_mask_rounds_the_scores(at, within, seeded):
    q, k, v = (torch.randn(1, 1, 8, 4, generator=seeded) for _ in range(3))
    bias = 10_000 + torch.randn(8, 8, generator=seeded)
    wide = tuple(t.double() for t in (q, k, v))
    exact = F.scaled_dot_product_attention(*wide, attn_mask=bias.double())
    bound = attention.attention(at(v), at(q), at(k), 0.5, (bias.double(), None))
    got = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    within(bound, exact, got)
    small = attention.attention(at(v), at(q), at(k), 0.5, (bias.double() - 10_000, None))
    with pytest.raises(AssertionError):  # without the rounding of the sum
        within(small, exact, got)


def test_the_error_of_scores_counts(at, within, seeded, monkeypatch):
    """With scores of size 200 their own rounding is what moves the result."""
    q, k, v = (torch.randn(1, 1, 8, 32, generator=seeded) for _ in range(3))
    q, k = 12 * q, 12 * k
    exact = F.scaled_dot_product_attention(*(t.double() for t in (q, k, v)))
    bound = attention.attention(at(v), at(q), at(k), 1 / math.sqrt(32), (None, None))
    within(bound, exact, F.scaled_dot_product_attention(q, k, v))
    monkeypatch.setattr(attention, "SOFTMAX_EXP", 0)
    monkeypatch.setattr(attention, "U", 0.0)
    monkeypatch.setattr(attention, "gamma", lambda n: 0.0)
    broken = attention.attention(at(v), at(q), at(k), 1 / math.sqrt(32), (None, None))
    with pytest.raises(AssertionError):
        within(broken, exact, F.scaled_dot_product_attention(q, k, v))


def test_too_uncertain_scores_say_nothing(at):
    q = torch.full((1, 1, 2, 8), 1e4)
    bound = attention.attention(at(q), at(q), at(q), 1.0, (None, None))
    assert bool(bound.isinf().all())
