"""Bounds for sums of products, in any order, fused or not.

An inner product of n terms, whatever its tree, rounds each term at most n times: once as a
product, n - 1 times as a part of a sum. So |error| <= gamma(n) sum |x_k| |w_k|, and with a bias as
one more term gamma(n + 1) (sum |x_k| |w_k| + |b|) (Higham 2002, section 3.1).
"""

from __future__ import annotations

from torch import Tensor

from certify.float32.model import Range, aligned, flushed, gamma, settled


def linear(x: Range, weight: Range, bias: Range | None) -> Tensor:
    """|fl(x @ weight.T + bias) - exact|; x (B, ..., n), weight (1, m, n), bias (1, m)."""
    n = weight.size.shape[-1]
    total = x.size @ weight.size[0].mT
    if bias is not None:
        total = total + bias.size
    return settled(gamma(n + 1) * total + flushed(n, x, weight, like=total), 2 * total)


def matmul(x: Range, y: Range, more: int = 0) -> Tensor:
    """|fl(x @ y) - exact|, leading axes broadcast; `more` roundings of each term beside."""
    n, total = x.size.shape[-1], magnitude(x, y)
    return settled(gamma(n + more) * total + flushed(n, x, y, like=total), 2 * total)


def magnitude(x: Range, y: Range) -> Tensor:
    """|x| @ |y|; vectors stand for a row and a column, as in torch.matmul."""
    a, b = x.size, y.size
    row, column = a.ndim == 2, b.ndim == 2
    a = a.unsqueeze(1) if row else a
    b = b.unsqueeze(2) if column else b
    ndim = max(a.ndim, b.ndim)
    out = aligned(a, ndim) @ aligned(b, ndim)
    out = out.squeeze(-1) if column else out
    return out.squeeze(-1 if column else -2) if row else out


def addmm(bias: Range, x: Range, y: Range) -> Tensor:
    """|fl(bias + x @ y) - exact|."""
    n, product = x.size.shape[-1], magnitude(x, y)
    total = product + aligned(bias.size, product.ndim)
    return settled(gamma(n + 1) * total + flushed(n, x, y, like=total), 2 * total)


def summed(x: Range, dims: list[int], keepdim: bool, mean: bool) -> Tensor:
    """|fl(sum) - exact| over axes (without boxes); a mean divides, or multiplies by 1 / count."""
    axes = [d + 1 for d in dims]
    count = 1
    for axis in axes:
        count *= x.size.shape[axis]
    total = x.size.sum(axes, keepdim=keepdim) if axes else x.size
    factor = 1.0 / count if mean else 1.0
    error = gamma(count + (3 if mean else 0)) * total * factor
    return settled(error + flushed(count, like=total), 2 * total)


def running(x: Range, axis: int) -> Tensor:
    """|fl(cumsum) - exact| along an axis (without boxes)."""
    total = x.size.cumsum(axis + 1)
    count = x.size.shape[axis + 1]
    return settled(gamma(count) * total + flushed(count, like=total), 2 * total)
