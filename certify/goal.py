"""What is known of the question, read off a search state: brackets, and what is still open."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.rounding import above, below
from certify.search import MODEL, TARGET, Leaves, Points, State, sides
from theory.claims import FLAT

NEGLIGIBLE = 2.0**-900
STALE = 2  # generations without progress after which a leaf is not split again


@dataclass(frozen=True)
class Goal:
    """When the question is answered.

    Attributes:
        gap, abs_gap: a bracket is closed when hi <= (1 + gap) lo or hi - lo <= abs_gap.
        within: a threshold for the sup error, if one is claimed.
        constant: a threshold for the variation on every cell, if one is claimed.
        tau: the plateau ratio.
        sup: whether the sup error is asked for at all.
        cells: whether the model's variation on every cell is asked for.
        plateaus: whether the longest plateau is asked for, or those of one width.
        width: of the windows that are asked for, instead of the longest plateau.
        asked: whether these deserve the whole budget, or only what is left over.
    """

    gap: float = 0.01
    abs_gap: float = 0.0
    within: float | None = None
    constant: float | None = None
    tau: float = 0.1
    sup: bool = True
    cells: bool = True
    plateaus: bool = True
    width: float | None = None
    asked: bool = False

    def thresholds(self, known: Brackets) -> list[Tensor]:
        """For each cell the variations that matter: on which side the model's lies decides."""
        d_lo, d_hi = known.target_variation
        marks = [torch.full_like(d_lo, self.constant)] if self.constant is not None else []
        return [*marks, self.tau * d_lo, self.tau * d_hi]

    def closed(self, lo: Tensor, hi: Tensor) -> Tensor:
        """Entry by entry. 1 + gap and its product are rounded down, so True is exact."""
        factor = math.nextafter(1 + self.gap, 0)
        ends = torch.nextafter(factor * lo, torch.zeros_like(lo))
        return (hi <= ends) | (torch.nextafter(hi - lo, hi + math.inf) <= self.abs_gap)


@dataclass(frozen=True, eq=False)
class Brackets:
    """Proven two-sided bounds of everything that is asked.

    Attributes:
        sup: (lo, hi) of sup |model - target| over the domain.
        witness: the input where the lower bound is attained, one number for each variable;
            empty without points.
        cell_sup: (2, C), the same for every cell.
        range: (2, C), proven hull of the model's values on every cell.
        inner: (2, C), upper bound on the model's least value and lower bound on its greatest.
        variation: (2, C), lo and hi of max - min of the model on every cell.
        target_variation: (2, C), the same of the target.
        target_inner: (2, C), as inner, of the target.
        target_total: (2,), lo and hi of the target's variation over the domain.
    """

    sup: tuple[float, float]
    witness: tuple[float, ...]
    cell_sup: Tensor
    range: Tensor
    inner: Tensor
    variation: Tensor
    target_variation: Tensor
    target_inner: Tensor
    target_total: Tensor


def _per_cell(value: Tensor, cell: Tensor, cells: int, largest: bool) -> Tensor:
    """Largest (or least) value in every cell; -inf (or inf) in a cell without any."""
    empty = -math.inf if largest else math.inf
    out = torch.full((cells,), empty, dtype=torch.float64)
    return out.scatter_reduce(0, cell, value, "amax" if largest else "amin")


def _variation(leaves: Leaves, points: Points, cells: int, which: int) -> tuple[Tensor, ...]:
    """Outer range, inner range and variation bracket of one output on every cell."""
    lo, hi = leaves.bounds[which]
    least, most = points.bounds[which]
    outer = _per_cell(lo, leaves.cell, cells, False), _per_cell(hi, leaves.cell, cells, True)
    cell = torch.cat([leaves.cell, points.cell])
    low, high = (torch.cat([a, b]) for a, b in zip(leaves.inner[which], (most, least), strict=True))
    inner = _per_cell(low, cell, cells, False), _per_cell(high, cell, cells, True)
    low = below(inner[1] - inner[0]).clamp(min=0)
    high = above(outer[1] - outer[0])
    # A hull of one number varies by exactly 0, and no rounding is needed to say so.
    high = torch.where(outer[1] == outer[0], 0.0, high)
    return torch.stack(outer), torch.stack(inner), torch.stack([low, high])


def brackets(state: State, cells: int) -> Brackets:
    """Read the brackets off a state."""
    leaves, points = state.leaves, state.points
    lower, upper = points.error(), leaves.error()
    outer, inner, variation = _variation(leaves, points, cells, MODEL)
    target_outer, target_inner, target_variation = _variation(leaves, points, cells, TARGET)
    total = torch.stack(
        [
            below(target_inner[1].max() - target_inner[0].min()).clamp(min=0),
            above(target_outer[1].max() - target_outer[0].min()),
        ]
    )
    cell_sup = torch.stack(
        [
            _per_cell(lower, points.cell, cells, True).clamp(min=0),
            _per_cell(upper, leaves.cell, cells, True),
        ]
    )
    best = int(lower.argmax()) if len(lower) else None
    sup = (float(cell_sup[0].max()), float(cell_sup[1].max()))
    witness = () if best is None else tuple(points.x[best].tolist())
    ours, theirs = (outer, inner, variation), (target_variation, target_inner, total)
    return Brackets(sup, witness, cell_sup, *ours, *theirs)


def deciding(known: Brackets) -> tuple[Tensor, Tensor]:
    """Cells that certainly count for theorem D3, and cells that are not proven flat.

    What is between the two is not bracketed well enough yet: it cannot prove a plateau, and
    unless it is refuted too it keeps the whole from being refuted.
    """
    low, high = known.target_variation
    total_low, total_high = known.target_total
    certain = (low > 0) & (low >= above(FLAT * total_high))
    possible = (high > 0) & (high >= below(FLAT * total_low))
    return certain, possible


@dataclass(frozen=True, eq=False)
class Open:
    """Leaves worth splitting, best first, and how small their remainder should become."""

    which: Tensor
    tolerance: float
    about_sup: bool


def splittable(leaves: Leaves) -> Tensor:
    """Mask of the leaves that have inner points along their axis and have not stopped improving."""
    lo, hi = sides(leaves.box, leaves.axis).T
    mid = lo / 2 + hi / 2
    return (
        (leaves.stale < STALE * leaves.box.shape[1])
        & (lo < mid)
        & (mid < hi)
        & ((hi - lo) > 8e-16 * mid.abs())
    )


def open_leaves(state: State, goal: Goal, known: Brackets, cells: int) -> Open:
    """What to split next: first for the sup error, then for the cells.

    For the sup error: leaves whose bound exceeds what would close the bracket. For a cell whose
    variation bracket is open: leaves that reach beyond the values proven at points.
    """
    leaves = state.leaves
    can = splittable(leaves)
    error, lower = leaves.error(), known.sup[0]
    slack = max(goal.gap * lower, goal.abs_gap)
    limit = lower + slack
    within = goal.within
    sup_open = (error > limit) if goal.sup else torch.zeros_like(can)
    if within is not None and lower <= within:
        sup_open |= error > within
        limit = min(limit, max(within, lower))
        slack = min(slack, max(within - lower, 2.0**-40 * slack))
    which = torch.nonzero(sup_open & can).squeeze(1)
    if len(which):
        return Open(which[torch.argsort(error[which], descending=True)], slack / 4, True)
    if not goal.cells:
        return Open(which, 0.0, False)
    low, high = known.variation
    unsettled = ~goal.closed(low, high)
    room = torch.clamp(goal.gap * low, min=goal.abs_gap) * 0.45
    for bound in goal.thresholds(known):
        unclear = (low <= bound) & (bound < high)
        unsettled |= unclear
        room = torch.where(unclear, torch.minimum(room, (bound - low) * 0.45), room)
    # A variation of no size at all is left as it is: no relative gap can close it.
    unsettled &= high > NEGLIGIBLE
    lo, hi = leaves.bounds[MODEL]
    beyond = torch.maximum(hi - known.inner[1][leaves.cell], known.inner[0][leaves.cell] - lo)
    worth = unsettled[leaves.cell] & (beyond > room[leaves.cell])
    certain, possible = deciding(known)
    unclear = (possible & ~certain)[leaves.cell]
    target = leaves.bounds[TARGET]
    least = (0.25 * known.target_variation[1]).clamp(min=NEGLIGIBLE)
    spread = (target[1] - target[0]) > least[leaves.cell]
    which = torch.nonzero((worth | (unclear & spread)) & can).squeeze(1)
    # The cells first that promise to be settled for the fewest leaves, judged by how far they are
    # from it and how many they have taken: most are settled when time runs out.
    away = (high - low) / torch.maximum(low, room) * torch.bincount(leaves.cell, minlength=cells)
    away = away.nan_to_num(math.inf, math.inf)
    order = torch.argsort(beyond[which], descending=True)
    order = order[torch.argsort(away[leaves.cell[which[order]]], stable=True)]
    least = float(room[unsettled].min()) if bool(unsettled.any()) else 0.0
    return Open(which[order], least / 2, False)
