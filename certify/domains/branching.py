"""Which variable of a box to cut: where the polynomial and the remainder gain most from it.

Nothing rests on the choice but speed.
"""

from __future__ import annotations

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
