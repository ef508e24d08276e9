"""Taylor coefficients of any univariate function from tables that Arb computes.

The real line is cut into cells of width STEP = 1/8. For each cell the table holds the
derivatives of f at its center, rounded to float64, and proven bounds on all derivatives over
the whole cell. An expansion at any point c of a cell is the table's expansion shifted by
d = c - center, |d| <= 1/16, so no library's erf or tanh has to be believed.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import flint
import numpy as np
import torch
from flint import arb
from torch import Tensor

from certify.rounding import U, gamma
from theory import arb as ball
from theory.functions import Function

STEP = 1 / 8
BLOCK = 16  # cells, made together when one of them is first needed
REACH = 32  # blocks on either side of 0: beyond |x| = 64 nothing is tabulated
WIDEST = 32.0  # intervals longer than this are not worth a table of their own
SHIFT = 11  # terms of the shift beyond the first
MAX_ORDER = 12
TOTAL = MAX_ORDER + 1 + SHIFT
WIDEN = 1 + 64 * U  # more than the roundings of any bound computed below
FACTORIAL = np.array([math.factorial(j) for j in range(TOTAL + 1)], dtype=float)


@dataclass(frozen=True, eq=False)
class Table:
    """Cells number first, first + 1, ...; cell i covers [i STEP, (i + 1) STEP].

    Attributes:
        first: number of the first cell.
        derivatives: (order + 1 + SHIFT, cells), f^(j) at the centers.
        errors: (2, cells), bounds on the error of a shifted a_0 and of any shifted a_k, k >= 1.
        extremes: (4, levels, cells), maxima over 2**level cells, starting with the cell, of
            |f'|, |f^(order+1)| / (order+1)!, f and -f.
    """

    first: int
    derivatives: Tensor
    errors: Tensor
    extremes: Tensor


def _top(x: arb) -> float:
    """A float64 >= every point of the ball x, inf if x is not finite."""
    if not x.is_finite():
        return math.inf
    top = float(x.upper())
    return top + abs(top) * 2 * U + 2.0**-1022


@functools.cache
def _block(function: Function, block: int) -> tuple[np.ndarray, ...]:
    """Of the cells of one block: derivatives at the centers (TOTAL, BLOCK), Arb's radii of
    them, bounds on the derivatives over the cells (TOTAL + 1, BLOCK), and max f, max -f."""
    centers, radii, bounds, ranges = [], [], [], []
    with flint.ctx.workprec(96):
        for i in range(block * BLOCK, (block + 1) * BLOCK):
            center = (i + 0.5) * STEP
            at = ball.series(function.expression, arb(center), TOTAL - 1)
            centers.append([float(c.mid()) for c in at])
            radii.append([_top(c.rad()) for c in at])
    with flint.ctx.workprec(53):
        for i in range(block * BLOCK, (block + 1) * BLOCK):
            over = ball.series(function.expression, arb((i + 0.5) * STEP, STEP / 2), TOTAL)
            bounds.append([max(_top(c), _top(-c)) for c in over])
            ranges.append((_top(over[0]), _top(-over[0])))
    return (
        np.array(centers).T * FACTORIAL[:TOTAL, None],
        np.array(radii).T * FACTORIAL[:TOTAL, None],
        np.array(bounds).T * FACTORIAL[:, None] * WIDEN,
        np.array(ranges).T,
    )


@functools.lru_cache(maxsize=64)
def table(function: Function, order: int, first: int, last: int) -> Table:
    """The table over blocks first ... last, for polynomials of degree order <= MAX_ORDER.

    The shifted coefficient is a_k = (1 / k!) sum over m <= SHIFT of d**m / m! f^(k+m)(center).
    Its error has three parts: the Taylor remainder of the shift, at most
    sup |f^(k+SHIFT+1)| h**(SHIFT+1) / (SHIFT+1)! with h = STEP / 2; rounding; and the radius of
    Arb's own center values. By Horner's rule, innermost m = SHIFT, term m is rounded twice in
    its table entry and five times a level on the way out (d, d / m, product, sum), and 1 / k!
    rounds once: at most gamma(5 m + 4) times its absolute value.
    """
    blocks = [_block(function, b) for b in range(first, last + 1)]
    derivatives, slack, bound, ranges = (
        np.concatenate(part, axis=1) for part in zip(*blocks, strict=True)
    )
    weight = (STEP / 2) ** np.arange(SHIFT + 2) / FACTORIAL[: SHIFT + 2]
    rounded = weight[:-1] * [gamma(5 * m + 4) for m in range(SHIFT + 1)]
    shifted = [
        rounded @ bound[k : k + SHIFT + 1] + weight[:-1] @ slack[k : k + SHIFT + 1]
        for k in range(order + 1)
    ]
    rest = [bound[k + SHIFT + 1] * weight[-1] for k in range(order + 1)]
    error = (np.stack(shifted) + np.stack(rest)) / FACTORIAL[: order + 1, None]
    known = np.isfinite(bound).all(0) & np.isfinite(derivatives).all(0) & np.isfinite(slack).all(0)
    errors = np.stack([error[0], error[1:].max(0, initial=0.0)]) * WIDEN
    slopes = np.stack([bound[1], bound[order + 1] / FACTORIAL[order + 1] * WIDEN])
    base = np.concatenate([slopes, ranges])
    levels = [np.where(np.isnan(base), np.inf, base)]
    cells = base.shape[1]
    for k in range(int(math.log2(cells))):
        wider = levels[-1].copy()
        wider[:, : cells - 2**k] = np.maximum(wider[:, : -(2**k)], levels[-1][:, 2**k :])
        levels.append(wider)
    return Table(
        first * BLOCK,
        torch.from_numpy(np.where(known, derivatives[: order + 1 + SHIFT], 0.0)),
        torch.from_numpy(np.where(known, errors, np.inf)),
        torch.from_numpy(np.stack(levels, axis=1)),
    )


def covering(function: Function, order: int, lo: Tensor, hi: Tensor) -> Table:
    """A table that covers the intervals [lo, hi] that are short and within reach."""
    limit = REACH * BLOCK * STEP
    useful = (hi - lo <= WIDEST) & (lo >= -limit) & (hi < limit)
    ends = (float(lo[useful].min()), float(hi[useful].max())) if bool(useful.any()) else (0.0, 0.0)
    first, last = (math.floor(end / (BLOCK * STEP)) for end in ends)
    return table(function, order, first, last)


def expand(table: Table, order: int, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Taylor coefficients of f at the points `at`.

    Returns:
        a, shape (order + 1, *at.shape), and errors of a[0] and of every other a[k]; the errors
        are inf outside the table.
    """
    cells = table.derivatives.shape[1]
    number = torch.floor(at / STEP) - table.first
    outside = ~((number >= 0) & (number < cells))
    index = number.nan_to_num(0.0).clamp(0, cells - 1).long()
    center = (index.double() + (table.first + 0.5)) * STEP
    d = (at - center).nan_to_num(0.0, 0.0, 0.0).clamp(-STEP, STEP)
    flat = index.reshape(-1)
    values = table.derivatives.index_select(1, flat).reshape(-1, *at.shape)
    a = values[SHIFT : SHIFT + order + 1]
    for m in range(SHIFT, 0, -1):
        a = torch.addcmul(values[m - 1 : m + order], a, d / m)
    for k in range(2, order + 1):
        a[k] /= math.factorial(k)
    errors = table.errors.index_select(1, flat).reshape(2, *at.shape)
    errors = errors.masked_fill(outside, math.inf)
    return a, errors[0], errors[1]


def extremes(table: Table, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bounds over [lo, hi]: (sup |f'|, sup |f^(order+1)| / (order+1)!, inf f, sup f).

    Entry by entry; inf (or -inf) where [lo, hi] leaves the table or is not an interval.
    """
    count = table.extremes.shape[2]
    ends = [torch.floor(end / STEP) - table.first for end in (lo, hi)]
    inside = (ends[0] >= 0) & (ends[1] < count) & (lo <= hi)
    first, last = (e.nan_to_num(0.0).clamp(0, count - 1).long() for e in ends)
    last = torch.maximum(first, last)
    level = torch.log2((last - first).double() + 1.25).long()
    flat = table.extremes.reshape(4, -1)
    picks = [level * count + first, level * count + last - 2**level + 1]
    parts = [flat.index_select(1, p.reshape(-1)).reshape(4, *lo.shape) for p in picks]
    best = torch.maximum(*parts).masked_fill(~inside, math.inf)
    return best[0], best[1], -best[3], best[2]


def beyond(
    function: Function, lo: Tensor, hi: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill in the ranges of f where the interval leaves the table: by Arb, over the interval
    widened to powers of two, so that a few evaluations serve all entries."""
    missing = ~(torch.isfinite(low) & torch.isfinite(high)) & (lo <= hi)
    if not bool(missing.any()):
        return low, high
    spans = torch.stack([_power_below(lo[missing]), -_power_below(-hi[missing])], 1)
    distinct, which = torch.unique(spans, dim=0, return_inverse=True)
    ranges = torch.tensor([_range(function, *span) for span in distinct.tolist()], dtype=lo.dtype)
    ranges = ranges.to(lo.device)[which]
    low, high = low.clone(), high.clone()
    low[missing], high[missing] = ranges[:, 0], ranges[:, 1]
    return low, high


def _power_below(x: Tensor) -> Tensor:
    """The largest number of the form 0, 2**k or -2**k that is <= x, entry by entry."""
    mantissa, exponent = torch.frexp(x)  # 1/2 <= |mantissa| < 1
    exponent = torch.where(x > 0, exponent - 1, exponent - (mantissa == -0.5).int())
    power = torch.ldexp(torch.sign(x), exponent)
    return torch.where((x == 0) | torch.isinf(x), x, power)


@functools.lru_cache(maxsize=65536)
def _range(function: Function, lo: float, hi: float) -> tuple[float, float]:
    """Range of f over a wide [lo, hi] by Arb, infinite where it cannot tell."""
    if math.isinf(lo) or math.isinf(hi):
        return -math.inf, math.inf
    with flint.ctx.workprec(96):
        low, high = ball.bounds(function.expression, arb(lo), arb(hi))
    finite = low.is_finite() and high.is_finite()
    return (-_top(-low), _top(high)) if finite else (-math.inf, math.inf)
