"""Euclidean norms of remainders, row by row.

Beside the bound rem on every entry's error, a Taylor model keeps a bound on the 2-norm of the
errors along the last axis. A matrix stretches that norm by at most its spectral norm, which is
far below what its absolute values do to the entries one by one: sum_j |W_ij| rem_j forgets all
signs. Each rule below keeps the better of both.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from certify.graph import Affine, Gather, Shape
from certify.rounding import TINY, gamma, up

ROOT = 2.0**-480
ROW_PAIRS = 2**20  # beyond this many (row, row) pairs a gather falls back on the entries


def rows(rem: Tensor) -> Tensor:
    """2-norm of the bounds along the last axis, rounded up; the bounds themselves if scalar.

    n squares that underflow, 2**-1022 each, move the root by at most 2**-511 sqrt(n) < ROOT.
    """
    if rem.ndim < 2:
        return rem
    norm = torch.linalg.vector_norm(rem, dim=-1)
    return norm.mul_(1 + gamma(2 * rem.shape[-1] + 10)).add_(ROOT)


def tighten(rem: Tensor, norm: Tensor) -> tuple[Tensor, Tensor]:
    """Each bound cut by the other: |e_i| <= ||e|| and ||e|| <= ||rem||; nan only if both are."""
    norm = torch.fmin(norm, rows(rem))
    return torch.fmin(rem, norm.unsqueeze(-1) if rem.ndim > 1 else norm), norm


@functools.lru_cache(maxsize=4096)
def mixing(node: Gather, shape: Shape) -> Tensor | None:
    """How rows of the output draw on rows of the input, or None where that is too large.

    Either a vector v of integers: output row o is made of distinct entries of input row v[o]
    alone, so its norm is no larger. Or a matrix M with ||output row||**2 <= M @ ||rows||**2:
    M[o, i] is how often an entry of input row i is repeated in output row o, at most.
    """
    index = node.index
    wide, width = (shape[-1] if shape else 1), (index.shape[-1] if index.ndim else 1)
    n_in, n_out = int(np.prod(shape)) // max(wide, 1), index.size // max(width, 1)
    if not index.size or not wide or n_in * n_out > ROW_PAIRS:
        return None
    out_row = np.repeat(np.arange(n_out), width)
    flat = index.reshape(-1)
    used = flat >= 0
    pairs, counts = np.unique(np.stack([out_row[used], flat[used]]), axis=1, return_counts=True)
    matrix = np.zeros((n_out, n_in))
    np.maximum.at(matrix, (pairs[0], pairs[1] // wide), counts)
    if ((matrix != 0).sum(1) == 1).all() and matrix.max() == 1:
        return torch.from_numpy(matrix.argmax(1))
    return torch.from_numpy(matrix)


def gathered(node: Gather, shape: Shape, rem: Tensor, norm: Tensor) -> Tensor:
    """Row norms after a gather from a value of the given shape; `rem` is the gathered one."""
    matrix = mixing(node, shape)
    if matrix is None:
        return rows(rem)
    flat, matrix = norm.reshape(len(norm), -1), matrix.to(norm.device)
    shape = rem.shape[:-1] if rem.ndim > 1 else rem.shape
    if matrix.ndim == 1:
        return flat.index_select(1, matrix).reshape(shape)
    most = int(matrix.shape[1])
    mixed = up(torch.sqrt(up((flat * flat) @ matrix.T, 2 * most + 2)), 2)
    return torch.fmin(mixed.reshape(shape), rows(rem))


@functools.lru_cache(maxsize=4096)
def spectral(node: Affine) -> tuple[float, Tensor]:
    """Upper bounds on the spectral norm of a node's weight and on the 2-norms of its rows.

    With A = W' W and any Q, L (here: a computed eigendecomposition) the largest eigenvalue of A
    is at most max(L) (1 + ||Q'Q - I||) + ||A - Q L Q'||, Frobenius norms; each computed
    product P Q of inner length n errs by at most gamma(n) ||P||_F ||Q||_F.
    """
    # Scaled by a power of two, exactly, so that no square overflows or underflows.
    scale = 2.0 ** (int(np.frexp(np.abs(node.weight).max(initial=0.0))[1]) - 1)
    w = node.weight / scale
    row_norms = up(torch.sqrt(up(torch.from_numpy((w * w).sum(1)), w.shape[1] + 1)), 2)
    small = w if w.shape[0] >= w.shape[1] else w.T
    n, m = small.shape
    a = small.T @ small
    try:
        values, q = np.linalg.eigh(a)
    except np.linalg.LinAlgError:
        values, q = np.full(m, np.inf), np.eye(m)
    frobenius = float(np.sqrt((w * w).sum())) * 1.0001 + TINY
    spread = float(np.abs(values).max()) if len(values) else 0.0
    q_size = float(np.sqrt((q * q).sum())) * 1.0001
    defect = np.linalg.norm(q.T @ q - np.eye(m)) + 4 * gamma(m + 4) * q_size**2
    residual = np.linalg.norm(a - (q * values) @ q.T) + 4 * gamma(m + n + 8) * (
        frobenius**2 + q_size**2 * spread
    )
    bound = np.sqrt(spread * (1 + defect) + residual) * (1 + 1e-12)
    # The Frobenius norm is a bound too, and the answer where the decomposition failed.
    # TINY covers what the last product loses if it underflows.
    return float(np.fmin(bound, frobenius)) * scale + TINY, row_norms * scale + TINY
