"""Proven points for what a search found inside its leaves: lower bounds then rest on points."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from certify.search import MODEL, TARGET, Leaves, Points, Problem, State, measure

BATCH = 256
NEAR = 2.0**-16  # of a box: an extreme so close to its end is looked for at the end itself


def pin(problem: Problem, state: State, seconds: float = math.inf, *, edges: bool = False) -> State:
    """Prove values where the leaves seem to have their extremes, and forget what leaves knew.

    A leaf knows that some value in its box is at least so large, but not where. A certificate
    needs the place. On every cell the best leaves for the least and the greatest value of model
    and target are measured there; what is not measured in time is not known any more.

    Args:
        problem: the question.
        state: where a search ended.
        seconds: after which to stop; the first batch is always measured.
        edges: measure the ends of all leaves too, which windows need, in one variable.
    """
    began, leaves = time.perf_counter(), state.leaves
    found = {pair for which in (MODEL, TARGET) for side in (0, 1)
             for pair in _extremes(leaves, len(problem.cells), which, side)}  # fmt: skip
    if edges:
        cell = leaves.cell.tolist()
        for side in (0, 1):
            found |= set(zip(map(tuple, leaves.box[..., side].tolist()), cell, strict=True))
    pairs = sorted(found)
    points = state.points
    places = sorted({x for x, _ in pairs})
    numbers = {x: i for i, x in enumerate(places)}
    for first in range(0, len(places), BATCH):
        if first and time.perf_counter() - began > seconds:
            break
        batch = places[first : first + BATCH]
        x = torch.tensor(batch, dtype=torch.float64)
        cell = torch.zeros(len(x), dtype=torch.long)
        bounds = measure(problem, x, cell, deep=enough(leaves)).bounds
        mine = [(numbers[p] - first, c) for p, c in pairs if batch[0] <= p <= batch[-1]]
        which, cell = torch.tensor(mine, dtype=torch.long).T
        points = points.join(Points(x[which], cell, bounds[..., which]))
    nothing = torch.tensor([math.inf, -math.inf], dtype=torch.float64).reshape(1, 2, 1)
    inner = nothing.expand_as(leaves.inner)
    return State(replace(leaves, inner=inner), points, state.boxes)


def enough(leaves: Leaves) -> float:
    """How well points need to be known: no better than most leaves are."""
    return 4 * float(leaves.rem.sort().values[9 * (len(leaves) - 1) // 10])


def _extremes(leaves: Leaves, cells: int, which: int, side: int) -> list[tuple[tuple, int]]:
    """(x, cell) where an output seems least (side 0) or greatest (1) on every cell."""
    score = leaves.inner[which, side] * (1 - 2 * side)
    flat = leaves.bounds[which, 0] == leaves.bounds[which, 1]  # a constant needs no place
    score = score.masked_fill(flat, math.inf)
    least = torch.full((cells,), math.inf, dtype=torch.float64)
    least = least.scatter_reduce(0, leaves.cell, score, "amin")
    found = torch.nonzero(torch.isfinite(score) & (score == least[leaves.cell])).squeeze(1)
    first = {cell: i for cell, i in zip(leaves.cell[found].tolist(), found.tolist(), strict=True)}
    chosen = torch.tensor(list(first.values()), dtype=torch.long)
    x = _snapped(leaves.at[chosen, which, side], leaves.box[chosen])
    return list(zip(map(tuple, x.tolist()), leaves.cell[chosen].tolist(), strict=True))


def _snapped(x: Tensor, box: Tensor) -> Tensor:
    """x, or the ends of its box that are very near."""
    lo, hi = box.unbind(-1)
    near = (hi / 2 - lo / 2) * (2 * NEAR)
    return torch.where(x - lo <= near, lo, torch.where(hi - x <= near, hi, x))
