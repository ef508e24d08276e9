"""Pairs of inputs at which several outputs together are far apart.

What the outputs' own variations say of the 2-norm from below is only the largest of them. Two
inputs at which all outputs are measured say more, and nearly all there is where outputs are
extreme at the same inputs, as on small cells of a curve.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

import torch
from torch import Tensor

from certify.checking import Report
from certify.evaluate import evaluate
from certify.search import MODEL, OUTPUTS, TARGET, Points, measure
from certify.witnesses import BATCH, enough
from theory.norms import Exact, apart

MOST_SIDES = 4  # of a cell, of which all corners are looked at
MOST_ROWS = 512  # values compared with each other


@dataclass(frozen=True, eq=False)
class Far:
    """Pairs of inputs far from each other, at which all outputs were measured.

    Attributes:
        points: for every output the same inputs.
        pairs: for the model and for the target, by cell: the numbers of two of them.
    """

    points: tuple[Points, ...]
    pairs: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]]

    def squares(self, which: int, cell: int) -> Exact:
        """What the pair of a cell shows of the square of the 2-norm variation there."""
        if cell not in self.pairs[which]:
            return Fraction(0)
        one, other = (
            [tuple(points.bounds[which][:, i].tolist()) for points in self.points]
            for i in self.pairs[which][cell]
        )
        return apart(one, other)


def far_pairs(parts: Sequence[Report], seconds: float) -> Far:
    """On every cell the two inputs that are farthest apart in the model's values, and in the
    target's, by plain samples, and all outputs' proven values there, as many as are measured in
    time."""
    began, cells = time.perf_counter(), parts[0].cells
    x, cell = candidates(parts, cells)
    graphs = [part.outcome.problem.graph for part in parts]
    samples = [evaluate(graph, x.reshape(-1, *graph.input_shape)) for graph in graphs]
    numbers: dict[int, int] = {}
    chosen: tuple[dict, dict] = ({}, {})
    sizes = torch.bincount(cell, minlength=len(cells)).tolist()
    for which in (MODEL, TARGET):
        name = OUTPUTS[which]
        values = torch.stack([sample[name].reshape(-1) for sample in samples], 1)
        first = 0
        for number, mine in enumerate(torch.split(values, sizes)):
            ends = [first + i for i in _farthest(mine)]
            chosen[which][number] = tuple(numbers.setdefault(i, len(numbers)) for i in ends)
            first += len(mine)
    x, cell = x[list(numbers)], cell[list(numbers)]
    count, batches = 0, [[] for _ in parts]
    for first in range(0, len(x), BATCH):
        if first and time.perf_counter() - began > seconds:
            break
        batch = slice(first, first + BATCH)
        for part, mine in zip(parts, batches, strict=True):
            deep = enough(part.outcome.state.leaves)
            mine.append(measure(part.outcome.problem, x[batch], cell[batch], deep=deep))
        count = min(len(x), first + BATCH)
    known = ({c: p for c, p in pairs.items() if max(p) < count} for pairs in chosen)
    return Far(tuple(reduce(Points.join, mine) for mine in batches), tuple(known))


def candidates(parts: Sequence[Report], cells: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs (P, n) where some output was proved, and corners, sorted by their cells (P,)."""
    numbers, variables = torch.arange(len(cells)), cells.shape[1]
    corners = list(itertools.product((0, 1), repeat=min(variables, MOST_SIDES)))
    places, owners = [], []
    for corner in corners:
        side = torch.tensor(corner + (corner[-1],) * (variables - len(corner)))
        places.append(cells[:, torch.arange(variables), side])
        owners.append(numbers)
    for part in parts:
        places.append(part.outcome.state.points.x)
        owners.append(part.outcome.state.points.cell)
    x, cell = torch.cat(places), torch.cat(owners)
    cell, order = cell.sort(stable=True)
    return x[order], cell


def _farthest(values: Tensor) -> tuple[int, int]:
    """Numbers of two rows that seem farthest apart; of many rows only the extreme ones count."""
    few = torch.arange(len(values))
    if len(values) > MOST_ROWS:
        few = torch.cat([values.argmin(0), values.argmax(0)])[:MOST_ROWS]
    away = torch.cdist(values[few], values[few]).nan_to_num(0.0, 0.0, 0.0)
    one, other = divmod(int(away.argmax()), len(few))
    return int(few[one]), int(few[other])
