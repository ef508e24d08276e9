"""Tight ranges of the final polynomials, and where their extremes lie.

In several variables see corners.py. In one, [-1, 1] is cut into PIECES equal pieces; on each the
polynomial is shifted to the piece's own variable s in [-1, 1] by one constant matrix, its quadratic
part is ranged exactly and the rest by sum of |c_k|. The rest shrinks with the cube of the piece.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from math import comb

import torch
from torch import Tensor

from certify.domains import corners
from certify.domains.basis import Basis
from certify.rounding import TINY, above, below, gamma, no_nan, unknown, up

PIECES = 16


@functools.cache
def shifts(order: int) -> Tensor:
    """(PIECES, order + 1, order + 1): entry [i, k, j] = binomial(j, k) m_i**(j-k) / PIECES**k.

    Each entry is computed exactly and rounded once.
    """
    mids = [Fraction(2 * i + 1 - PIECES, PIECES) for i in range(PIECES)]
    table = [
        [
            [
                float(comb(j, k) * m ** (j - k) / PIECES**k) if j >= k else 0.0
                for j in range(order + 1)
            ]
            for k in range(order + 1)
        ]
        for m in mids
    ]
    return torch.tensor(table, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Extrema:
    """What a polynomial with remainder does on |t_i| <= 1.

    Attributes:
        lo, hi: (boxes,); no value is outside [lo, hi].
        at_lo, at_hi: (boxes, variables), t where the least and the greatest value seem to be,
            |t_i| < 1.
        least, most: (boxes,), at those t the value is <= least and >= most.
    """

    lo: Tensor
    hi: Tensor
    at_lo: Tensor
    at_hi: Tensor
    least: Tensor
    most: Tensor


INSIDE = 1 - 2.0**-20


def extrema(coef: Tensor, rem: Tensor, basis: Basis) -> Extrema:
    """Range of polynomials p(t) + d, |d| <= rem, for each box.

    Args:
        coef: (basis.count(), boxes).
        rem: (boxes,).
    """
    if basis.variables == 1:
        low, high, at_lo, at_hi = _in_one(coef)
        at_lo, at_hi = at_lo.unsqueeze(-1), at_hi.unsqueeze(-1)
    elif basis.order:
        high, at_hi = corners.greatest(coef, basis)
        below_zero, at_lo = corners.greatest(-coef, basis)
        low = -below_zero
        at_lo, at_hi = at_lo.clamp(-INSIDE, INSIDE), at_hi.clamp(-INSIDE, INSIDE)
    else:
        low, high = coef[0], coef[0]
        at_lo = at_hi = torch.zeros((len(rem), basis.variables), dtype=coef.dtype)
    low, high = no_nan(below(low - rem), above(high + rem))
    if basis.variables == 1:
        least, most = _value(coef, at_lo[:, 0], up=True), _value(coef, at_hi[:, 0], up=False)
    else:
        least = corners.value(coef, basis, at_lo, upper=True)
        most = corners.value(coef, basis, at_hi, upper=False)
    least, most = above(least + rem), below(most - rem)
    return Extrema(low, high, at_lo, at_hi, unknown(least), -unknown(-most))


def _in_one(coef: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Range of polynomials in one variable, and where the ends seem to be."""
    order = coef.shape[0] - 1
    matrix = shifts(order).to(coef.device)
    c = torch.einsum("ikj,jb->kib", matrix, coef)
    # K + 1 products a coefficient, whose matrix entry was rounded too.
    error = gamma(order + 3) * torch.einsum("ikj,jb->ib", matrix.abs(), coef.abs())
    c0 = c[0]
    c1 = c[1] if order >= 1 else torch.zeros_like(c0)
    c2 = c[2] if order >= 2 else torch.zeros_like(c0)
    rest = c[3:].abs().sum(0)
    # Where |c1| < 2 |c2| the vertex s = -c1 / (2 c2) is inside and its value is
    # c0 - c1**2 / (4 c2), at most |c1| / 2 from c0: four roundings of numbers of that size.
    inside = c1.abs() < 2 * c2.abs()
    bend = torch.where(inside, c1 * (c1 / (4 * c2)), 0.0)
    left, right, vertex = c0 + c2 - c1, c0 + c2 + c1, c0 - bend
    vertex = torch.where(inside, vertex, right)
    ends = torch.stack([left, right, vertex])
    size = c0.abs() + c1.abs() + c2.abs()
    slack = up(rest + error + gamma(10) * size, 2 * order + 12)
    lo, hi = below(ends.amin(0) - slack), above(ends.amax(0) + slack)
    s = torch.where(inside, -c1 / (2 * c2), 1.0)
    places = torch.stack([-torch.ones_like(s), torch.ones_like(s), s])
    centers = (2 * torch.arange(PIECES, device=coef.device).double() + 1 - PIECES) / PIECES

    def at(which: Tensor, pieces: Tensor) -> Tensor:
        """t of the extreme place in the extreme piece of each box."""
        place = places.gather(0, which.unsqueeze(0)).squeeze(0)
        t = centers.unsqueeze(-1) + place / PIECES
        return (
            t.gather(0, pieces.unsqueeze(0))
            .squeeze(0)
            .nan_to_num(0.0, 0.0, 0.0)
            .clamp(-INSIDE, INSIDE)
        )

    low, least = lo.min(0)
    high, most = hi.max(0)
    return low, high, at(ends.argmin(0), least), at(ends.argmax(0), most)


def _value(coef: Tensor, t: Tensor, *, up: bool) -> Tensor:
    """A bound on p(t) by Horner's rule, |t| <= 1: 2 K roundings of at most sum |c_k|."""
    value = coef[-1]
    for k in range(len(coef) - 2, -1, -1):
        value = value * t + coef[k]
    error = gamma(2 * len(coef) + 4) * coef.abs().sum(0) + TINY
    return above(value + error) if up else below(value - error)
