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
REACH = 512  # blocks on either side of 0: beyond |x| = 1024 nothing is tabulated
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
    sup |f^(k+SHIFT+1)| h**(SHIFT+1) / (SHIFT+1)! with h = STEP / 2; rounding, at most
    gamma(4 SHIFT + 16) times the sum of absolute terms (3 m roundings make d**m / m!, one makes
    the product, SHIFT + 1 the sum, and four round the table entry and 1 / k!); and the radius
    of Arb's own center values.
    """
    blocks = [_block(function, b) for b in range(first, last + 1)]
    derivatives, slack, bound, ranges = (
        np.concatenate(part, axis=1) for part in zip(*blocks, strict=True)
    )
    weight = (STEP / 2) ** np.arange(SHIFT + 2) / FACTORIAL[: SHIFT + 2]
    terms = bound[:TOTAL] * gamma(4 * SHIFT + 16) + slack
    shifted = [weight[:-1] @ terms[k : k + SHIFT + 1] for k in range(order + 1)]
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


def covering(function: Function, order: int, lo: float, hi: float) -> Table:
    """A table that covers [lo, hi] as far as tables reach."""
    width = BLOCK * STEP
    ends = [min(max(end, -REACH * width), REACH * width - STEP) for end in (lo, hi)]
    first, last = (math.floor(end / width) for end in ends)
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
    a, weight = values[: order + 1].clone(), d
    for m in range(1, SHIFT + 1):
        a.addcmul_(weight, values[m : m + order + 1])
        weight = weight * d / (m + 1)
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
    """Ranges of f for the few entries whose interval leaves the tables, from Arb one by one."""
    missing = torch.nonzero(~(torch.isfinite(low) & torch.isfinite(high)) & (lo <= hi))
    if not len(missing):
        return low, high
    low, high = low.clone(), high.clone()
    spans: dict[tuple[float, float], tuple[float, float]] = {}
    for where in map(tuple, missing.tolist()):
        # Outward to powers of two: few distinct spans, each evaluated once.
        span = (_power_below(float(lo[where])), -_power_below(-float(hi[where])))
        if span not in spans:
            spans[span] = _range(function, *span)
        low[where], high[where] = spans[span]
    return low, high


def _power_below(x: float) -> float:
    """The largest number of the form 0, 2**k or -2**k that is <= x."""
    if x == 0 or not math.isfinite(x):
        return x
    mantissa, exponent = math.frexp(x)  # 1/2 <= |mantissa| < 1
    if x > 0:
        return math.ldexp(1.0, exponent - 1)
    return -math.ldexp(1.0, exponent - (mantissa == -0.5))


def _range(function: Function, lo: float, hi: float) -> tuple[float, float]:
    """Range of f over a wide [lo, hi] by Arb, infinite where it cannot tell."""
    with flint.ctx.workprec(96):
        low, high = ball.bounds(function.expression, arb(lo), arb(hi))
    finite = low.is_finite() and high.is_finite()
    return (-_top(-low), _top(high)) if finite else (-math.inf, math.inf)
