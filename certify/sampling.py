"""Samples against enclosures: what contradicts a proof is an error of this toolkit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.evaluate import evaluate
from certify.frontend.agree import InternalError
from certify.run import Outcome
from certify.search import OUTPUTS, Leaves, Problem, between, measure

SAMPLES = 128  # points of the sandwich test
AT_ONCE = 2**24  # comparisons of a point with a box


def sandwich(problem: Problem, outcome: Outcome) -> int:
    """Hold samples against the enclosures: every proven value must meet its leaf's bounds.

    Returns:
        how many points were compared.

    Raises:
        InternalError: a value lies outside; the witness is named.
    """
    known = outcome.known
    pairs = [
        known.cell_sup,
        known.variation,
        known.target_variation,
        known.range,
        known.target_total,
    ]
    inverted = any(bool((low > high).any()) for low, high in pairs)
    leaf_bounds = outcome.state.leaves.bounds
    if inverted or bool((leaf_bounds[:, 0] > leaf_bounds[:, 1]).any()):
        raise InternalError("a lower bound exceeds its upper bound; please report this model")
    generator = torch.Generator().manual_seed(0)
    cell = torch.randint(len(problem.cells), (SAMPLES,), generator=generator)
    lo, hi = problem.cells[cell].unbind(-1)
    t = torch.rand(lo.shape, generator=generator, dtype=torch.float64)
    x = between(lo, hi, t).clamp(lo, hi)
    fresh = measure(problem, x, cell, math.inf)
    points, leaves = fresh.join(outcome.state.points), outcome.state.leaves
    x = points.x
    leaf = leaf_of(leaves, x)
    values = evaluate(problem.graph, x.reshape(-1, *problem.graph.input_shape))
    for which, name in enumerate(OUTPUTS):
        low, high = leaves.bounds[which][:, leaf]
        least, most = points.bounds[which]
        plain = values[name].reshape(-1)
        # A plain float64 sample carries a rounding error; its proven bracket does not.
        outside = (most < low) | (least > high) | (plain.isnan() & torch.isfinite(high - low))
        if bool(outside.any()):
            i = int(torch.nonzero(outside)[0])
            at = ", ".join(map(repr, x[i].tolist()))
            raise InternalError(
                f"sandwich violated: {name} at x = {at} lies in "
                f"[{float(least[i])!r}, {float(most[i])!r}], outside the enclosure "
                f"[{float(low[i])!r}, {float(high[i])!r}] of its box; please report this model"
            )
    return len(x)


def leaf_of(leaves: Leaves, x: Tensor) -> Tensor:
    """The number of a leaf that contains each point (P, n)."""
    if x.shape[1] == 1:
        order = torch.argsort(leaves.box[:, 0, 0])
        edges = leaves.box[order, 0, 0].contiguous()
        place = torch.searchsorted(edges, x[:, 0].contiguous(), right=True) - 1
        return order[place.clamp(min=0)]
    lo, hi = leaves.box.unbind(-1)
    size = max(1, AT_ONCE // lo.numel())
    parts = [
        ((part >= lo) & (part <= hi)).all(-1).long().argmax(1) for part in x[:, None].split(size)
    ]
    return torch.cat(parts)
