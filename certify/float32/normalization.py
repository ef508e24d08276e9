"""Bounds for normalization over the last axes.

Mean and variance of a row x of n numbers, R its root mean square, s its deviation:

    |mean' - mean| <= MEAN(n) U R,     |var' - var| <= (2 n + 16) U s R + 2 |mean' - mean|**2.

Mean, by a sum in any order: gamma(n + 1) mean |x| <= gamma(n + 1) R. By Welford's update, or any
tree of merges m = m_A + (b / (a + b)) (m_B - m_A) with b <= a: the last addition of a merge of
k = a + b values rounds by U |m|, and k |m| <= sum |x| over them, in all n U R for n levels at most;
the rest rounds by 3 U b |d| / k with d = m_B - m_A. The sum over merges of b |d| is at most
sqrt(sum b k / a) sqrt(sum (a b / k) d**2) <= sqrt(2 (n / 2) log2 n) sqrt(n var): Cauchy-Schwarz,
k <= 2 a, the sum of the smaller parts of merges, and the sum of squares that merges add up to.
Hence MEAN(n) = n + 3 sqrt(log2 n) + 6. torch merges a tail of numbers that fill no vector first,
with b > a once, and above 256 numbers partial results, log2 n of them at most; there
b |d| <= n R (1 + sqrt(n / a)) gives 3 (1 + sqrt n) U R each.

Variance, by two passes: mean (x - m')**2 = var + (m' - mean)**2 exactly, and rounds by
gamma(n + 4). By updates one value after the other: the sum of squares errs as
2 s sqrt(sum (a b / k) D**2 / n) with D the errors of the means merged, e_k <= U sqrt(k n) R: in
all 1.42 n U s R, and its own rounding (Chan, Golub, LeVeque, Algorithms for computing the sample
variance, The American Statistician 37, 1983, find the same n kappa U). For other trees, torch's
among them, 2 n + 16 is part of the stated model, and tested. The difference of the mean square and
the squared mean, which cancels, is excluded.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.float32.model import Range, U, flushed, gamma, settled

SECOND = 1.01  # terms of second order, while n U < 2**-10


def mean_units(n: int) -> float:
    """MEAN(n) of the module's docstring."""
    units = n + 3 * math.sqrt(max(1.0, math.log2(n))) + 6
    ragged, stacked = n % 16 != 0, n > 256
    extra = int(ragged) + (math.ceil(math.log2(n)) if stacked else 0)
    return units + extra * 3 * (1 + math.sqrt(n))


def _spread(error: Tensor) -> Tensor:
    """(1 - t)**(-1/2) - 1 <= (t / 2)(1 + 3 t) for 0 <= t <= 1/4: (1 - t)**(-3/2) is convex, and
    (3/4)**(-3/2) < 1.54 < 1.75. Beyond, nothing is said."""
    return torch.where(error <= 0.25, error / 2 * (1 + 3 * error), math.inf)


def root(x: Tensor) -> Tensor:
    """A square root rounded up."""
    return torch.sqrt(x) * (1 + 2.0**-50)


def layer_norm(
    out: Range, x: Range, c: Range, r: Range, scale: tuple[Range | None, Range | None]
) -> Tensor:
    """|fl(layer norm) - exact|.

    Args:
        out: exact result, (B, rows..., n), the normalized axes merged to one, as of all others.
        x, c: the input and the input minus its mean.
        r: 1 / sqrt(var + eps), (B, rows..., 1).
        scale: weight and bias, (1, n).

    y = (x - m) r w + b, or x r w + (b - m r w): 1 / sqrt rounds 6 times (the sum with eps, eps
    itself, root, quotient), the product with r and the difference by 3 U (|x| + |m|) r, and
    weight and bias once each.
    """
    n = x.size.shape[-1]
    mean_square = (x.size * x.size).mean(-1, keepdim=True)
    rms, deviation = root(mean_square), root((c.size * c.size).mean(-1, keepdim=True))
    shift = SECOND * mean_units(n) * U * rms
    change = SECOND * (2 * n + 16) * U * torch.minimum(deviation, rms) * rms + 2 * shift * shift
    relative = _spread(change * r.hi * r.hi * (1 + 2.0**-40)) + gamma(6)
    unit = torch.minimum(c.size * r.hi, torch.full_like(c.size, math.sqrt(n)))
    form = gamma(3) * (x.size + rms) * r.hi
    error = SECOND * (shift * r.hi + unit * relative + form)
    weight, bias = scale
    error = error if weight is None else error * weight.size + gamma(2) * out.size
    error = error if bias is None else error + gamma(2) * (out.size + bias.size)
    operands = [p for p in (x, r, weight, bias) if p is not None]
    error = error + _flushed(n, r, weight, operands)
    ok = torch.full_like(rms, n * U * 2.0**10) < 1
    return settled(torch.where(ok, error, math.inf), 4 * n * (mean_square + r.hi + out.size))


def _flushed(n: int, r: Range, weight: Range | None, operands: list[Range]) -> Tensor:
    """Flushing takes n TINY (...) from mean and variance; r stretches the first by r, the second
    by r**2 / 2 times a unit entry of at most sqrt(n)."""
    most = 1.0 if weight is None else 1.0 + float(weight.size.max())
    return most * n * (1 + r.size) ** 2 * flushed(n, *operands, like=r.size)


def rms_norm(out: Range, x: Range, r: Range, weight: Range | None) -> Tensor:
    """|fl(rms norm) - exact|: the mean square errs by gamma(n + 3), r by half that and gamma(6)."""
    n = x.size.shape[-1]
    relative = _spread(torch.full_like(x.size, gamma(n + 3))) + gamma(6)
    unit = torch.minimum(x.size * r.hi, torch.full_like(x.size, math.sqrt(n)))
    error = SECOND * unit * (relative + gamma(3))
    error = error if weight is None else error * weight.size + gamma(2) * out.size
    operands = [p for p in (x, r, weight) if p is not None]
    error = error + _flushed(n, r, weight, operands)
    mean_square = (x.size * x.size).mean(-1, keepdim=True)
    return settled(error, 4 * n * (mean_square + r.hi + out.size))
