"""Truncated polynomials in t over [-1, 1], many at once, with the error of truncating them.

A polynomial of degree K is a float64 tensor of shape (K + 1, ...), coefficient of t**j first.
Every function returns what it computed and a bound on |computed - exact| for all |t| <= 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.rounding import TINY, gamma, up


def size(coef: Tensor) -> Tensor:
    """Upper bound on |p(t)|, |t| <= 1: the sum of |c_j|."""
    return up(coef.abs().sum(0), coef.shape[0])


def tails(magnitude: Tensor) -> Tensor:
    """S[m] = sum of magnitude[j] over j >= m, for m = 0 ... K + 1 (S[K + 1] = 0)."""
    sums = magnitude.flip(0).cumsum(0).flip(0)
    return torch.cat([up(sums, magnitude.shape[0]), torch.zeros_like(sums[:1])])


def span(coef: Tensor) -> tuple[Tensor, Tensor]:
    """Enclose p(t) - c_0: even powers lie in [0, 1], odd ones in [-1, 1].

    Returns (down, top) with -down <= p(t) - c_0 <= top and both >= 0.
    """
    odd = coef[1::2].abs().sum(0)
    even = coef[2::2]
    top = odd + even.clamp(min=0).sum(0)
    down = odd - even.clamp(max=0).sum(0)
    ops = coef.shape[0] + 1
    return up(down, ops), up(top, ops)


def product(a: Tensor, b: Tensor, mul: str = "mul") -> tuple[Tensor, Tensor]:
    """a(t) b(t) truncated to degree K, entry by entry.

    Coefficient k is a sum of k + 1 products, so rounding errs by gamma(K + 2) times the sum of
    |a_i| |b_j|; the terms beyond degree K are bounded by sum_i |a_i| S_b[K + 1 - i].
    """
    n = a.shape[0]
    out = a[:1] * b
    for i in range(1, n):
        out[i:].addcmul_(a[i], b[: n - i])
    ma, sb = a.abs(), tails(b.abs())
    dropped = (ma[1:] * sb[1:n].flip(0)).sum(0)
    return out, up(dropped + ma.sum(0) * sb[0] * gamma(n + 1), 3 * n + 4)


def compose(taylor: Tensor, h: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """sum_k taylor[k] h(t)**k truncated to the degree K of h, by Horner's rule.

    Args:
        taylor: (m + 1, ...), m <= K.
        h: (K + 1, ...) with h[0] taken as 0.
        reach: upper bound on |h(t)|, |t| <= 1.

    Step i forms q <- q h + taylor[m - i] and keeps it to degree K - (m - i): what lies beyond is
    multiplied by the remaining m - i factors h, each of lowest degree 1, and would pass degree
    K. The dropped part and the rounding of step i are bounded as in `product` and enter the
    error e <- e reach + dropped_i + rounding_i + TINY, where TINY covers the step's underflows
    and is carried along like them. All terms are >= 0: one `up` at the end covers every rounding.
    """
    top, order = taylor.shape[0] - 1, h.shape[0] - 1
    s = tails(h[1:].abs())  # s[j] bounds the sum of |h_i| over i >= j + 1
    q = taylor[top:]
    error = torch.full_like(reach, TINY)
    ops = 0
    for i in range(1, top + 1):
        keep = order - (top - i)
        new = torch.zeros((keep + 1, *q.shape[1:]), dtype=q.dtype, device=q.device)
        new[0] = taylor[top - i]
        n = q.shape[0]
        for a in range(min(n, keep)):
            new[a + 1 :].addcmul_(q[a], h[1 : keep - a + 1])
        mq = q.abs()
        # q_a meets the h_j with a + j > keep, that is j >= keep - a + 1.
        dropped = (mq * s[keep - n + 1 : keep + 1].flip(0)).sum(0)
        rounding = (mq.sum(0) * s[0]).mul_(gamma(n + 2))  # new[0] is only copied
        error = (error * reach).add_(dropped).add_(rounding).add_(TINY)
        ops += 2 * n + 8
        q = new
    return q, up(error, ops)
