"""Ellipsoids that contain errors, and linear maps of them.

S bounds a vector e of n numbers when e e' <= S in the order of symmetric matrices: then e lies
in an ellipsoid, |e_i|**2 <= S_ii, and a part of e has the squared norm || S_part || at most. A
matrix takes S to C S C', and so a product of matrices stretches an error by its own norm, not by
the product of theirs. If a a' <= X and b b' <= Y then for every c > 0

    (a + b)(a + b)' <= (1 + c) X + (1 + 1/c) Y,

because c a a' - a b' - b a' + b b' / c = (sqrt(c) a - b / sqrt(c))(...)' >= 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.domains import jacobian, norms
from certify.domains.jacobian import Jacobian
from certify.rounding import TINY, gamma, unknown, up


def balls(radius: Tensor, width: int) -> Tensor:
    """S for vectors whose row r, of `width` entries, has a norm of at most radius (boxes, rows).

    With p_r = radius_r / sum, e' diag(p_r / radius_r**2) e <= 1, so S_r = radius_r sum.

    Returns:
        the diagonal of S, (boxes, rows * width).
    """
    total = up(radius.sum(1, keepdim=True), radius.shape[1])
    return up(radius * total, 1).repeat_interleave(width, 1)


def image(j: Jacobian, s: Tensor) -> tuple[Tensor, Tensor]:
    """X and rho with C S C' <= X + rho I, for the center C of a Jacobian.

    Two products of inner length n err by gamma(2 n) |C| |S| |C'|, entry by entry (Higham, lemmas
    3.1 and 3.3), so by gamma(2 n) || C ||_F**2 || S ||_F in the spectral norm, and halving the
    sum with the transpose by one rounding more. Underflows, up to n**3 (1 + |C|) of 2**-1022,
    are below TINY (1 + || C ||_F)**2.
    """
    center = j.center.transpose(-2, -3)  # (boxes, *lead, g, d, k)
    boxes, g, d, k = center.shape[0], *center.shape[-3:]
    center = center.reshape(boxes, -1, g, d, k)
    if j.owner is None:
        matrix = center.transpose(-2, -3).reshape(boxes, -1, g * k)
        inner = g * k
        x = matrix @ s @ matrix.transpose(-1, -2)
    else:
        place = torch.from_numpy(j.owner.reshape(-1)).to(s.device)
        inner, rows = k, s.shape[1] // k
        parts = s.reshape(boxes, rows, k, rows, k).transpose(2, 3)[:, place][:, :, place]
        x = center @ parts @ center.transpose(1, 2).transpose(-1, -2)
        x = x.transpose(2, 3).reshape(boxes, len(place) * d, -1)
    x = (x + x.transpose(-1, -2)) / 2
    size = norms.rows(norms.rows(center.flatten(1, -2)))
    large = norms.rows(norms.rows(s))
    rho = gamma(2 * inner + 8) * size * size * large + TINY * (1 + size) * (1 + size)
    return x, up(rho, 12)


def total(x: Tensor, rho: Tensor, rest: Tensor) -> Tensor:
    """S for a + b, a a' <= x + rho I and b b' <= diag(rest), with the least trace.

    x times a number rounds by U |x|, and the diagonal four times more.
    """
    n = x.shape[-1]
    trace = x.diagonal(dim1=-2, dim2=-1).sum(-1).abs() + n * rho
    c = torch.sqrt(rest.sum(-1) / trace).nan_to_num(1.0, 1.0, 1.0).clamp(1e-6, 1e6)
    f, g = up(1 + c, 2), up(1 + 1 / c, 3)
    out = x * f[:, None, None]
    loose = up(f * rho + gamma(8) * norms.rows(norms.rows(out)), 8)
    diagonal = up(g.unsqueeze(-1) * rest + loose.unsqueeze(-1), 4)
    out.diagonal(dim1=-2, dim2=-1).add_(diagonal)
    # the addition itself: one more rounding of what now stands there
    out.diagonal(dim1=-2, dim2=-1).mul_(1 + gamma(4))
    return out


def lengths(s: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Bounds on the entries, (boxes, n), and on the norms of rows, (boxes, n / width)."""
    entry = up(torch.sqrt(s.diagonal(dim1=-2, dim2=-1)), 1)
    rows = s.shape[-1] // width
    parts = s.reshape(len(s), rows, width, rows, width)
    parts = torch.stack([parts[:, r, :, r] for r in range(rows)], 1)
    norm = up(torch.sqrt(jacobian.operator_norm(parts)), 1)
    return unknown(entry), unknown(norm)
