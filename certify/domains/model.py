"""One Taylor model, as data: see taylor.py for what it promises and how it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.domains import ends, norms
from certify.rounding import above, no_nan, outward, up


@dataclass(frozen=True, eq=False)
class TaylorModel:
    """coef (monomials, boxes, *shape); rem, lo, hi (boxes, *shape); norm (boxes, *shape[:-1]).

    made is the part of rem that the last primitive added by itself: with exact polynomials of
    its inputs for inputs, its result is within made of the polynomial. Where cut is set the
    polynomial forgot the inputs, and made bounds the whole error. None means none.

    total, where known, bounds the sum of the errors along the last axis: a row of slopes s takes
    errors e to at most ||s|| ||e||, far less than max |s_i| ||e|| times the root of the length.

    own says that lo and hi know hardly more than the polynomial with its remainder does, so that
    what comes next may take its range from there. False is always right.

    row, for a shape (..., n, 1, 1), the operands of a product entry by entry, is norm and total
    along the axis of length n, shaped (..., ): rows survive such products. None means unknown.
    """

    coef: Tensor
    rem: Tensor
    lo: Tensor
    hi: Tensor
    norm: Tensor
    made: Tensor | None = None
    cut: Tensor | None = None
    total: Tensor | None = None
    row: tuple[Tensor, Tensor | None] | None = None
    own: bool = False


def settled(
    coef: Tensor,
    rem: Tensor,
    lo: Tensor,
    hi: Tensor,
    norm: Tensor,
    made: Tensor,
    cut: Tensor | None = None,
    *,
    own: bool = False,
) -> TaylorModel:
    """Replace what overflowed by "nothing is known", then by the range where that is known."""
    if not torch.isfinite((hi - lo).sum()):
        lo, hi = no_nan(lo, hi)
    rem, norm = norms.tighten(rem, norm)
    if not torch.isfinite(rem.sum() + coef.sum()):
        lost = ~(torch.isfinite(rem) & torch.isfinite(coef).all(0))
        known = lost & torch.isfinite(hi - lo)
        mid = torch.where(known, lo / 2 + hi / 2, 0.0)
        radius = above(torch.maximum(above(hi - mid), above(mid - lo)))
        coef = coef.masked_fill(lost, 0.0)
        coef[0] = torch.where(known, mid, coef[0])
        rem = torch.where(lost, torch.where(known, radius, math.inf), rem)
        norm = torch.where(any_of_row(lost), norms.rows(rem), norm)
        made = torch.where(lost, rem, made)
        cut, own = lost if cut is None else cut | lost, False
    return TaylorModel(coef, rem, lo, hi, norm, made, cut, own=own)


def spread(coef: Tensor, rem: Tensor) -> tuple[Tensor, Tensor]:
    """The range of p + d, |d| <= rem, that any polynomial has: c_0 -+ (sum of |c_j| + rem)."""
    width = up(coef[1:].abs().sum(0) + rem, coef.shape[0])
    return outward(coef[0], coef[0], width)


def any_of_row(mask: Tensor) -> Tensor:
    """Whether any entry of a row is set, shaped like a norm."""
    return mask.any(-1) if mask.ndim > 1 else mask


def most_of_row(x: Tensor) -> Tensor:
    """The largest entry of each row, shaped like a norm."""
    return x.amax(-1) if x.ndim > 1 else x


def centered(x: TaylorModel) -> tuple[Tensor, Tensor]:
    """The range as mid +- radius, radius rounded up; (0, inf) where it is not finite."""
    return ends.centered(x.lo, x.hi)
