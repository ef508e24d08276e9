"""Enclosures of a block's Jacobian: an explicit matrix, and how far from it the true one may be.

The block's input has rows j (tokens) of k entries; the Jacobian of an entry v with respect to
row j is a vector of k numbers. For every x and every point of the tubes,

    J[v, j] = center[v, j] + E[v, j],   || E[v, j] ||_2 <= entry[v, j],

and the matrix of the E[v, j] of all entries v of one row (along the last axis) has the spectral
norm <= row[., j]. Signs survive in the center, where a product of norms would lose them; what
is not known stays a ball, whose norm a linear map stretches by no more than its own. As with
remainders (norms.py) each of `entry` and `row` bounds the other, and each rule takes the better.

The centers are ordinary matrices: what float64 loses in computing them joins the balls.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certify.domains import norms
from certify.domains.ends import as_tensor
from certify.graph import Affine, Gather, Shape
from certify.rounding import TINY, U, gamma, unknown, up


@dataclass(frozen=True, eq=False)
class Jacobian:
    """center (boxes, *shape, g, k); entry (boxes, *shape, g); row (boxes, *shape[:-1], g).

    owner: None where g counts all rows of the input. Else every row of the value depends on one
    row of the input alone, of the number owner (*shape[:-1]), and g is 1.
    """

    center: Tensor
    entry: Tensor
    row: Tensor
    owner: np.ndarray | None


def identity(boxes: int, shape: Shape, like: Tensor) -> Jacobian:
    """The Jacobian of the block's input, (*lead, k), itself."""
    k, count = shape[-1], int(np.prod(shape[:-1]))
    center = torch.eye(k, dtype=like.dtype, device=like.device).reshape(k, 1, k)
    center = center.expand(boxes, *shape[:-1], k, 1, k)
    zero = like.new_zeros((boxes, *shape, 1))
    owner = np.arange(count).reshape(shape[:-1])
    return Jacobian(center, zero, zero[..., 0, :], owner)


def nothing(of: Shape, shape: Shape, like: Tensor) -> Jacobian:
    """The Jacobian of a constant of shape `of` with respect to an input of the given shape."""
    rows = int(np.prod(shape[:-1]))
    entry = like.new_zeros((len(like), *of, rows))
    center = entry.unsqueeze(-1).expand(*entry.shape, shape[-1])
    return Jacobian(center, entry, entry[..., 0, :], None)


def _frobenius(entry: Tensor) -> Tensor:
    """Norms of the rows' blocks from those of their entries: (..., d, g) to (..., g)."""
    return norms.rows(entry.transpose(-1, -2))


def settled(center: Tensor, entry: Tensor, row: Tensor, owner: np.ndarray | None) -> Jacobian:
    """Each bound cut by the other; what overflowed is not known."""
    lost = ~torch.isfinite(center).all(-1)
    if bool(lost.any()):
        center = center.masked_fill(lost.unsqueeze(-1), 0.0)
        entry = entry.masked_fill(lost, torch.inf)
        row = row.masked_fill(lost.any(-2), torch.inf)
    entry, row = unknown(entry), unknown(row)
    row = torch.minimum(row, _frobenius(entry))
    return Jacobian(center, torch.minimum(entry, row.unsqueeze(-2)), row, owner)


def spread(x: Jacobian, rows: int) -> Jacobian:
    """The same for all rows of the input, zeros where nothing depends on them."""
    if x.owner is None:
        return x
    place = torch.from_numpy(x.owner).to(x.center.device)

    def placed(part: Tensor, axis: int, where: Tensor) -> Tensor:
        out = part.new_zeros((*part.shape[:axis], rows, *part.shape[axis + 1 :]))
        tail = part.shape[axis + 1 :]
        index = where.reshape(1, *where.shape, *[1] * (1 + len(tail)))
        return out.scatter_(axis, index.expand(part.shape), part)

    lead = x.entry.ndim - 1
    wide = place.unsqueeze(-1).expand(x.entry.shape[1:-1])
    center, entry = placed(x.center, lead, wide), placed(x.entry, lead, wide)
    return Jacobian(center, entry, _rows_spread(x, rows), None)


def _rows_spread(x: Jacobian, rows: int) -> Tensor:
    """The bounds on rows alone, for all rows of the input."""
    place = torch.from_numpy(x.owner).to(x.row.device).reshape(1, *x.owner.shape, 1)
    out = x.row.new_zeros((*x.row.shape[:-1], rows))
    return out.scatter_(-1, place.expand(x.row.shape), x.row)


@functools.lru_cache(maxsize=4096)
def _owners(node: Gather, owner: tuple[int, ...], width: int) -> np.ndarray | None:
    """The input row that each row after a gather depends on; None where some draw on several."""
    flat = node.index.reshape(-1, node.index.shape[-1])
    source = np.where(flat < 0, -1, np.array(owner)[flat // width])
    top = source.max(1, keepdims=True)
    if not ((source == top) | (source < 0)).all():
        return None
    return top.clip(min=0).reshape(node.index.shape[:-1])


def gather(node: Gather, x: Jacobian, shape: Shape, rows: int) -> Jacobian:
    """Exact. A row made of entries of several rows i has the norm of a sum of squares."""
    size, width = int(np.prod(shape)), shape[-1]
    flat = torch.from_numpy(node.index.reshape(-1)).to(x.center.device)
    owner = None
    if x.owner is not None:
        owner = _owners(node, tuple(x.owner.reshape(-1).tolist()), width)

    def move(part: Tensor, tail: int) -> Tensor:
        part = part.reshape(len(part), size, *part.shape[part.ndim - tail :])
        part = part.index_select(1, flat.clamp(min=0))
        blank = (flat < 0).reshape(1, -1, *[1] * tail)
        part = part.masked_fill(blank, 0.0) if bool(blank.any()) else part
        return part.reshape(len(part), *node.index.shape, *part.shape[2:])

    center, entry, row = move(x.center, 2), move(x.entry, 1), x.row
    if x.owner is not None and owner is None:
        # each entry keeps the owner of the row it came from
        mine = np.repeat(x.owner.reshape(-1), width)[node.index.clip(min=0)]
        parts = Jacobian(center.unsqueeze(-3), entry.unsqueeze(-2), entry, mine)
        parts = spread(parts, rows)
        center, entry = parts.center.squeeze(-3), parts.entry.squeeze(-2)
        row = _rows_spread(x, rows)
    matrix = norms.mixing(node, shape)
    if matrix is None:
        return settled(center, entry, _frobenius(entry), owner)
    flat_rows, matrix = row.reshape(len(row), -1, row.shape[-1]), matrix.to(row.device)
    if matrix.ndim == 1:
        out = flat_rows.index_select(1, matrix)
    else:
        most = 2 * int(matrix.shape[1]) + 2
        out = up(torch.sqrt(up(torch.einsum("oi,big->bog", matrix, flat_rows**2), most)), 2)
    out = out.reshape(len(row), *node.index.shape[:-1], row.shape[-1])
    return settled(center, entry, out, owner)


def affine(node: Affine, x: Jacobian) -> Jacobian:
    """W C with the ball W E: entry i is at most sum |W_ij| entry_j and ||W_i|| row.

    TINY joins what underflowed before a scale or a divisor stretches it.
    """
    center, entry, row = x.center, x.entry, x.row
    size = norms.rows(center)
    n, made = 0, torch.zeros_like(entry)
    if node.weight is not None:
        w = as_tensor(node.weight, row)
        n = w.shape[1]
        center = (w @ center.flatten(-2)).unflatten(-1, center.shape[-2:])
        stretch, row_norms = norms.spectral(node)
        made = gamma(n + 2) * (w.abs() @ size) + TINY
        mixed = row.unsqueeze(-2) * row_norms.to(row.device).unsqueeze(-1)
        entry, row = torch.fmin(w.abs() @ entry, mixed) + TINY, row * stretch + TINY
    if node.scale is not None:
        s = as_tensor(node.scale, row).expand(entry.shape[1:-1])
        center, size = center * s[..., None, None], s.abs().unsqueeze(-1)
        entry, made, row = entry * size, made * size, row * size.amax(-2)
    if node.divisor != 1:
        d = abs(node.divisor)
        center = center / node.divisor
        entry, made, row = ((bound + TINY) / d for bound in (entry, made, row))
    made = up(made + gamma(3) * norms.rows(center), 2 * n + 8)
    entry, row = up(entry + made, 2 * n + 8), up(row + _frobenius(made), 8)
    return settled(center, entry, row, x.owner)


def add(x: Jacobian, y: Jacobian, rows: int) -> Jacobian:
    """One rounding in each entry."""
    same = x.owner is not None and y.owner is not None and np.array_equal(x.owner, y.owner)
    if not same:
        x, y = spread(x, rows), spread(y, rows)
    center = x.center + y.center
    made = up(U * norms.rows(center), 1)
    entry = up(x.entry + y.entry + made, 3)
    row = up(x.row + y.row + _frobenius(made), 3)
    return settled(center, entry, row, x.owner)


def apply(slope: tuple[Tensor, Tensor], x: Jacobian) -> Jacobian:
    """diag(s + d) (C + E) with |d| <= r: the center is s C, the rest |s| E, d C and d E.

    slope: s and r, the derivatives over the tube, each (boxes, *shape).
    """
    s, r = slope
    center = x.center * s[..., None, None]
    top = up(s.abs() + r, 1)
    loose = up(r.unsqueeze(-1) * norms.rows(x.center) + U * norms.rows(center), 4)
    entry = up(top.unsqueeze(-1) * x.entry + loose, 3)
    row = up(top.amax(-1, keepdim=True) * x.row + _frobenius(loose), 3)
    return settled(center, entry, row, x.owner)


def matmul(
    x: Jacobian, y: Jacobian, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], rows: int
) -> Jacobian:
    """d(x y) = dx y + x dy, for x = a + d, |d| <= r and y = b + e, |e| <= s.

    Entry i, j of the result: center sum_k C^x_ik b_kj + a_ik C^y_kj; what is left is
    sum_k |y_kj| E^x_ik + s_kj C^x_ik + |x_ik| E^y_kj + r_ik C^y_kj, and the roundings of 2 K
    products. Along a row, || y' E^x_i || <= || y ||_F || E^x_i || and
    || sum_k x_ik E^y_k || <= sum_k |x_ik| || E^y_k ||.

    Args:
        x: of shape (..., I, K), its values a and r as `left`.
        y: of shape (..., K, J), its values b and s as `right`.
    """
    owner = _common(x.owner, y.owner)
    if owner is None:
        x, y = spread(x, rows), spread(y, rows)
    (a, r), (b, s) = left, right
    g, k = x.center.shape[-2:]
    inner = a.shape[-1]
    first = b.transpose(-1, -2).unsqueeze(-3) @ x.center.flatten(-2)
    second = a @ y.center.flatten(-3)
    center = first.unflatten(-1, (g, k)) + second.unflatten(-1, (-1, g, k))
    size_x, size_y = norms.rows(x.center), norms.rows(y.center)
    full_x, full_y = up(a.abs() + r, 1), up(b.abs() + s, 1)

    def total(p: Tensor, of_x: Tensor, q: Tensor, of_y: Tensor) -> Tensor:
        """sum_k p_kj of_x_ik + q_ik of_y_kj, (..., I, J, g)."""
        one = p.transpose(-1, -2).unsqueeze(-3) @ of_x
        two = (q @ of_y.flatten(-2)).unflatten(-1, of_y.shape[-2:])
        return one + two

    ops = 2 * inner + 12
    made = total(s, size_x, r, size_y)
    made = made + gamma(2 * inner + 4) * total(b.abs(), size_x, a.abs(), size_y)
    made = up(made, 2 * ops)
    entry = up(total(full_y, x.entry, full_x, y.entry) + made, ops)
    stretch = norms.rows(norms.rows(full_y)).unsqueeze(-1).unsqueeze(-1)
    row = up(stretch * x.row + full_x @ y.row + _frobenius(made), 2 * ops)
    return settled(center, entry, row, owner)


def _common(x: np.ndarray | None, y: np.ndarray | None) -> np.ndarray | None:
    """Owners of the rows of a product, (..., I), where rows i of x and all k of y agree."""
    if x is None or y is None:
        return None
    return x if (x[..., :, None] == y[..., None, :]).all() else None


def operator_norm(matrix: Tensor) -> Tensor:
    """Upper bounds on the spectral norms of matrices (..., d, m).

    G = M M' is symmetric, and || G || <= || G**2 ||**(1/2), again and again. A computed product
    F of G with itself has || G**2 - F || <= gamma(d) || G ||_F**2, so
    || G ||**2 <= || F || + gamma(d) || G ||_F**2; at the end || F || <= || F ||_F. After n
    squarings the Frobenius norm is too large by at most d**(1 / 2**(n + 1)).
    """
    matrix = matrix.transpose(-1, -2) if matrix.shape[-2] > matrix.shape[-1] else matrix
    size = norms.rows(norms.rows(matrix))
    # Scaled to about 1 by a power of two, exactly but for underflows, which TINY covers: no
    # square overflows.
    _, exponent = torch.frexp(size)
    usable = (size > 2.0**-100) & (size < 2.0**100)
    exponent = torch.where(usable, exponent, 0)
    scaled = torch.ldexp(matrix, -exponent[..., None, None])
    d, m = scaled.shape[-2:]
    g = scaled @ scaled.transpose(-1, -2)
    first = up(gamma(m) * up(norms.rows(norms.rows(scaled)) ** 2, 3), 3)
    errors = []
    for _ in range(SQUARINGS):
        errors.append(up(gamma(d) * up(norms.rows(norms.rows(g)) ** 2, 3), 3))
        g = g @ g
    bound = norms.rows(norms.rows(g))
    for error in reversed(errors):
        bound = up(torch.sqrt(up(bound + error, 2)), 2)
    bound = up(torch.ldexp(up(torch.sqrt(up(bound + first, 2)), 2), exponent), 1)
    return torch.fmin(torch.where(usable, bound, torch.inf), size)


SQUARINGS = 4
