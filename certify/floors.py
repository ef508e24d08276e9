"""What a LayerNorm without head costs all outputs together, whatever is trained before it.

Theorem C2 holds for any gains and offsets, where the targets of a row take the corners of a box;
theorem C2-own for those of the model, at any input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from flint import arb, ctx, fmpq
from torch import Tensor

from certify.checking import Report
from certify.evaluate import evaluate
from certify.far import candidates
from certify.structure import Row, rows
from theory.functions import evaluate as walk
from theory.intervals import BOUNDS

MOST = 2**14  # inputs at which plain samples are taken
TRIED = 8  # inputs at which a floor is computed, those that promise most
PRECISION = 128


def any_gains(parts: Sequence[Report]) -> float:
    """Theorem C2, in the max norm and so in the 2-norm: where the outputs are all features of a
    LayerNorm and their targets depend on different inputs, so that they take the corners of a
    box, the error is at least the least half of the targets' variations. 0 where it says nothing.
    """
    best = 0.0
    for row in rows(parts[0].model.graph):
        free = [parts[i].target.expression.free_symbols for i in row.numbers]
        if sum(map(len, free)) == len(set().union(*free)):
            least = min(float(parts[i].known.target_total[0]) for i in row.numbers)
            best = max(best, math.nextafter(least / 2, 0.0))
    return best


def own_gains(parts: Sequence[Report], norm: str) -> float:
    """Theorem C2-own: what the model's own gains and offsets leave of the error in the norm. 0
    where it says nothing."""
    found = rows(parts[0].model.graph)
    if not found:
        return 0.0
    x = candidates(parts, parts[0].cells)[0].unique(dim=0)
    x = x[:: -(-len(x) // MOST)]
    return max(_floor(row, parts, norm, x) for row in found)


def _floor(row: Row, parts: Sequence[Report], norm: str, x: Tensor) -> float:
    """For one row, from the inputs x (P, n)."""
    fixed = [i for i, gain in enumerate(row.gains) if gain == 0]
    weights = [Fraction(i == fixed[0]) if fixed else 1 / g for i, g in enumerate(row.gains)]
    total = torch.zeros(len(x), dtype=torch.float64)
    for number, weight, offset in zip(row.numbers, weights, row.offsets, strict=True):
        graph = parts[number].outcome.problem.graph
        values = evaluate(graph, x.reshape(-1, *graph.input_shape))["target"].reshape(-1)
        total += float(weight) * (values - float(offset))
    order = total.abs().nan_to_num(0.0, 0.0, 0.0).argsort(descending=True)[:TRIED]
    with ctx.workprec(PRECISION):
        own = [arb(fmpq(w.numerator, w.denominator)) for w in weights]
        scale = sum(map(abs, own), arb(0))
        if norm == "2":
            scale = sum((w * w for w in own), arb(0)).sqrt()
        best = 0.0
        for place in x[order].tolist():
            size = abs(_sum(row, parts, own, place)) / scale
            low = size.lower()
            if size.is_finite() and low > best:
                best = _down(low)
    return best


def _sum(row: Row, parts: Sequence[Report], weights: list[arb], x: list[float]) -> arb:
    """The sum of weight (target - offset), at an input."""
    total, places = arb(0), [(arb(v), arb(v)) for v in x]
    for number, weight, offset in zip(row.numbers, weights, row.offsets, strict=True):
        lo, hi = walk(parts[number].target.expression, BOUNDS, *places)
        value = lo.union(hi) - arb(fmpq(offset.numerator, offset.denominator))
        total += weight * value
    return total


def _down(x: arb) -> float:
    """A double that is at most x, which is exact."""
    found = float(x.mid())
    while not arb(found) <= x:
        found = math.nextafter(found, -math.inf)
    return found
