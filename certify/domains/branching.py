"""Which variable of a box to cut: where polynomial and remainder gain most; and places in boxes.

Nothing rests on the choice but speed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from certify.domains.basis import Basis, exponents


def axis_of(coef: Tensor, rem: Tensor, rad: Tensor, basis: Basis) -> Tensor:
    """The number of a variable for every box, (boxes,).

    Args:
        coef: (count, boxes), a polynomial for each box.
        rem: (boxes,), its remainder.
        rad: (boxes, variables), half the box.

    A variable's share of the polynomial is sum |c_a| a_i, and that of the remainder, which grows
    like the highest powers do, is the same over the monomials of the highest degree. Where nothing
    is known the widest side is cut.
    """
    if basis.variables == 1:
        return torch.zeros(len(rem), dtype=torch.long)
    powers = torch.tensor(exponents(basis.variables, basis.order), dtype=coef.dtype)
    weights = coef.abs().T
    share = weights @ powers
    top = basis.degrees(basis.order)
    last = weights[:, top] @ powers[top]
    part = last / last.sum(1, keepdim=True)
    score = share + rem.unsqueeze(1) * part.nan_to_num(0.0, 0.0, 0.0)
    known = torch.isfinite(score).all(1, keepdim=True) & (share.sum(1, keepdim=True) > 0)
    score = torch.where(known, score, rad)
    return torch.where(rad > 0, score, -1.0).argmax(1)


def between(lo: Any, hi: Any, t: Any) -> Any:
    """About lo + t (hi - lo), t in [0, 1], floats or tensors; hi - lo may overflow."""
    half = (hi / 2 - lo / 2) * t
    return lo + half + half


def sides(box: Tensor, axis: Tensor) -> Tensor:
    """(L, 2), the ends of each box along an axis."""
    return box[torch.arange(len(box)), axis]
