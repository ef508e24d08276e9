"""Bounds for softmax and attention, fused or not.

Every kernel covered forms, for each row, weights e_j = exp(s_j - m)(1 + h_j) with one m, the
row's maximum, and ends with sum e_j v_j / sum e_j (softmax: e_j / sum e_j). The true weights
are p_j proportional to exp(s_j), so m cancels, and

    sum p_j (1 + h_j) v_j / sum p_j (1 + h_j) - o = sum p_j h_j (v_j - o) / (1 + sum p_j h_j),

at most h / (1 - h) times the spread of the v_j, with h >= |h_j|. The sums, products and the
quotient round by gamma(2 n + ...) max |v| more.

h_j: the score errs by its own bound A_j, s_j - m rounds by U |s_j - m|, and exp by SOFTMAX_EXP U.
A kernel in blocks of keys (at least BLOCK of them) has one m after another and rescales: another
exponential and product per block, of differences of maxima that add up to at most |s_j - m|.
exp(a) - 1 <= 1.02 a for a <= 0.02; beyond that nothing is said.

A key whose score lies GONE below another's has p_j < 2**-158, and its computed weight is smaller
than TINY or flushed: it takes no part in h and adds to the term for flushed numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.float32.model import SOFTMAX_EXP, TINY, Range, U, aligned, gamma, settled
from certify.float32.products import magnitude

BLOCK = 16
GONE = 110.0
SMALL = 0.02
#: Flushing in a score, 16 TINY (1 + |q| + |k|) for each product: with |q| + |k| < 2**40, which
#: LARGE enforces (LARGE 2**40 > LIMIT / 4), at most this.
SMALL_SCORE, LARGE = 2.0**-80, 2.0**86


def _blocks(n: int) -> int:
    """Rescalings, at most."""
    return math.ceil(n / BLOCK) - 1


def weights_error(s: Range, own: Tensor, hidden: Tensor | None) -> Tensor:
    """h_j of the module's docstring for every key, along the last axis; inf where above SMALL.

    own: A_j, the error of the scores, shaped to broadcast.
    """
    hi, lo = s.hi, s.lo
    if hidden is not None:
        hi = hi.masked_fill(hidden, -math.inf)
        lo = lo.masked_fill(hidden, -math.inf)
    top, least = hi.amax(-1, keepdim=True), lo.amax(-1, keepdim=True)
    spread = (top - s.lo).clamp(min=0) + 2 * own.amax(-1, keepdim=True)
    steps = 1 + _blocks(s.hi.shape[-1])
    a = own + 2 * U * spread + steps * (SOFTMAX_EXP + 2) * U
    gone = s.hi + 2 * own < least - 2 * own.amax(-1, keepdim=True) - GONE
    gone = gone if hidden is None else gone | hidden
    a = torch.where(gone, 0.0, a)
    return torch.where(a <= SMALL, 1.02 * a, math.inf)


def softmax(out: Range, x: Range, axis: int, hidden: Tensor | None) -> Tensor:
    """|fl(softmax) - exact| along an axis (without boxes); hidden keys are exactly 0.

    With v the unit vector of key j: p_j ((1 - p_j) h_j - sum over i != j of p_i h_i).
    """
    moved = Range(x.lo.movedim(axis + 1, -1), x.hi.movedim(axis + 1, -1))
    hidden = None if hidden is None else hidden.movedim(axis, -1)
    h = weights_error(moved, torch.zeros_like(moved.lo), hidden).amax(-1, keepdim=True)
    h = h.expand(moved.lo.shape).movedim(-1, axis + 1)
    n = moved.lo.shape[-1]
    p, others = out.hi.clamp(0, 1), (1 - out.lo).clamp(0, 1)
    error = p * (2 * others * h / (1 - h) * 1.01 + gamma(n + _blocks(n) + 4))
    return settled(error + 64 * n * TINY)


def attention(
    v: Range, q: Range, k: Range, scale: float, mask: tuple[Tensor | None, Tensor | None]
) -> Tensor:
    """|fl(scaled dot product attention) - exact|, (B, ..., rows, width).

    Args:
        q, k, v: queries (B, ..., rows, d), keys and values (B, ..., n, d).
        scale: of the scores, applied to them or as its root to q and k, rounded each time.
        mask: finite numbers added to the scores, and where keys are hidden; (rows, n) each, with
            leading axes, or None.
    """
    size = scale * magnitude(q, Range(k.lo.mT, k.hi.mT))
    d, n = q.size.shape[-1], k.size.shape[-2]
    bias, hidden = (None if m is None else aligned(m.unsqueeze(0), size.ndim) for m in mask)
    own = (1 + scale) * (d + 1) * SMALL_SCORE + gamma(d + 6) * size
    scores = Range(-size, size)
    if bias is not None:
        own = own + gamma(2) * (size + bias.abs())
        scores = Range(bias - size, bias + size)
    if hidden is not None:
        hidden = hidden.expand(scores.lo.shape)
    h = weights_error(scores, own, hidden).amax(-1, keepdim=True)
    width = v.hi.amax(-2, keepdim=True) - v.lo.amin(-2, keepdim=True)
    top = v.size.amax(-2, keepdim=True)
    width, top = (aligned(t, size.ndim) for t in (width, top))
    error = 1.01 * h / (1 - h) * width + 1.05 * gamma(2 * n + 2 * _blocks(n) + 6) * top
    entries = LARGE * (q.size.amax() + k.size.amax())
    reach = 4 * (size.amax(-1, keepdim=True) + entries + n * top)
    if bias is not None:
        reach = reach + 4 * bias.abs().amax(-1, keepdim=True)
    return settled(error + 64 * n * TINY * (1 + top), reach)
