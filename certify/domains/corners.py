"""Ranges of polynomials in several variables, and where their extremes lie.

Where p is monotone in t_i over the whole box its greatest value lies at an end of t_i, which is put
in its place; one variable less may make another one monotone. What is left is bounded by the
exact greatest values of the parts c_i t_i + c_ii t_i**2, and by |c| for mixed monomials.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from certify.domains.basis import Basis, exponents
from certify.rounding import TINY, above, below, gamma, up


@functools.lru_cache(maxsize=64)
def _powers(basis: Basis) -> Tensor:
    """(count, variables) of integers."""
    return torch.tensor(exponents(basis.variables, basis.order), dtype=torch.long)


@functools.lru_cache(maxsize=256)
def _rest(basis: Basis, variable: int) -> Tensor:
    """For every monomial the number of what is left of it without a variable, (count,)."""
    found = exponents(basis.variables, basis.order)
    number = {a: i for i, a in enumerate(found)}
    return torch.tensor([number[(*a[:variable], 0, *a[variable + 1 :])] for a in found])


def _put(c: Tensor, basis: Basis, variable: int, side: int) -> Tensor:
    """The coefficients with `side`, 1 or -1, in the place of a variable."""
    odd = _powers(basis)[:, variable] % 2 == 1
    signed = torch.where(odd.to(c.device).unsqueeze(1), side * c, c)
    return torch.zeros_like(c).index_add_(0, _rest(basis, variable).to(c.device), signed)


def _slope(c: Tensor, basis: Basis, variable: int) -> tuple[Tensor, Tensor]:
    """Bounds on dp/dt_i over the box: its constant coefficient, and how far the rest reaches."""
    powers = _powers(basis)
    times = powers[:, variable]
    mine = torch.nonzero(times).squeeze(1)
    first = mine[0]  # t_i itself: the monomials of degree 1 come first
    rest = mine[1:]
    parts = c[rest] * times[rest].double().unsqueeze(-1)
    left = powers[rest].clone()
    left[:, variable] -= 1
    even = (left % 2 == 0).all(1)
    odd = parts[~even].abs().sum(0)
    ops = 2 * len(rest) + 2
    down = up(odd - parts[even].clamp(max=0).sum(0), ops)
    top = up(odd + parts[even].clamp(min=0).sum(0), ops)
    return c[first] - down, c[first] + top


def greatest(coef: Tensor, basis: Basis) -> tuple[Tensor, Tensor]:
    """An upper bound on each polynomial over [-1, 1]^n, and a place where it is nearly reached.

    Args:
        coef: (count, boxes), order at least 1.

    Returns:
        (boxes,), and t (boxes, variables) with |t_i| <= 1.

    A rise is where the computed lower end of dp/dt_i is >= 0: the difference of two numbers has the
    sign that is computed, and the bound subtracted is rounded up. Putting an end in its place
    adds at most K + 1 coefficients to one, so all of them err by gamma(K + 1) sum |c_j| together.
    """
    c, n = coef, basis.variables
    t = torch.zeros((coef.shape[1], n), dtype=coef.dtype, device=coef.device)
    free = torch.ones_like(t, dtype=torch.bool)
    error = torch.zeros_like(coef[0])
    for _ in range(2):
        for i in range(n):
            low, high = _slope(c, basis, i)
            for side, sure in ((1, (low >= 0) & free[:, i]), (-1, (high <= 0) & free[:, i])):
                if bool(sure.any()):
                    ends = _put(c, basis, i, side)
                    error = torch.where(
                        sure, error + gamma(basis.order + 2) * c.abs().sum(0), error
                    )
                    c = torch.where(sure, ends, c)
                    t[:, i] = torch.where(sure, float(side), t[:, i])
                    free[:, i] &= ~sure
        if not bool(free.any()):
            break
    powers = _powers(basis)
    own = (powers.amax(1) == powers.sum(1)) & (powers.sum(1) >= 1) & (powers.sum(1) <= 2)
    mixed = c[~own][1:]
    even = (powers[~own][1:] % 2 == 0).all(1)
    rest = mixed[~even].abs().sum(0) + mixed[even].clamp(min=0).sum(0)
    size = c.abs().sum(0)
    total = c[0].clone()
    for i in range(n):
        slope = c[1 + i]
        bend = torch.zeros_like(slope)
        if basis.order >= 2:
            bend = c[torch.nonzero(own & (powers[:, i] == 2)).squeeze(1)[0]]
        # c t + b t**2 is greatest at an end, or at -c / (2 b), where it is -c**2 / (4 b).
        inside = (bend < 0) & (slope.abs() < -2 * bend)
        vertex = torch.where(inside, -slope / (2 * bend), torch.sign(slope))
        vertex = torch.where(free[:, i], torch.where(vertex == 0, 1.0, vertex), t[:, i])
        value = torch.where(inside, slope * (slope / (-4 * bend)), slope.abs() + bend)
        total = total + value
        t[:, i] = vertex
    slack = up(rest + error + gamma(2 * n + 10) * size, 2 * len(coef) + 6 * n)
    return above(total + slack), t.nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)


def value(coef: Tensor, basis: Basis, t: Tensor, *, upper: bool) -> Tensor:
    """A bound on p(t) at one t (boxes, variables) for each polynomial, |t_i| <= 1.

    A monomial takes at most K - 1 products of factors of at most 1 and one with its coefficient;
    underflows, at most 2**-1022 each, are covered by TINY.
    """
    powers = _powers(basis).to(t.device)
    monomials = torch.ones((len(coef), len(t)), dtype=t.dtype, device=t.device)
    for i in range(basis.variables):
        column = torch.ones_like(t[:, i])
        table = [column]
        for _ in range(basis.order):
            column = column * t[:, i]
            table.append(column)
        monomials = monomials * torch.stack(table)[powers[:, i]]
    total = (coef * monomials).sum(0)
    error = gamma(len(coef) + 2 * basis.order + 2 * basis.variables) * coef.abs().sum(0)
    error = up(error, len(coef) + 4) + TINY
    return above(total + error) if upper else below(total - error)
