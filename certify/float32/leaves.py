"""Leaves and points of a search in real arithmetic, with what executions in float32 add.

On a leaf an execution's value is the real one within the leaf's bounds and a deviation. Leaves on
which the deviation is large are split further: it falls with the width, to what single inputs
have.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from certify.float32.backward import deviation
from certify.goal import splittable
from certify.graph import Graph
from certify.rounding import above, below
from certify.sampling import leaf_of
from certify.search import (
    DIFFERENCE,
    MODEL,
    Leaves,
    Points,
    Problem,
    State,
    children,
    measure,
    split,
)

BATCH = 8  # boxes of one pass
WITNESSES = 8  # points whose deviation is found at the point itself
STUCK = 0.8  # a leaf whose half is no better than this is not split again


@dataclass(frozen=True, eq=False)
class Executed:
    """Leaves in real arithmetic and a bound on the deviation (L,) on each; inf: not known."""

    leaves: Leaves
    deviation: Tensor
    stuck: Tensor

    def widened(self) -> Leaves:
        """The leaves with bounds for every execution, and without inner values, which belong
        to real inputs."""
        bounds = self.leaves.bounds.clone()
        for which in (MODEL, DIFFERENCE):
            bounds[which, 0] = below(bounds[which, 0] - self.deviation)
            bounds[which, 1] = above(bounds[which, 1] + self.deviation)
        nothing = torch.tensor([math.inf, -math.inf], dtype=torch.float64).reshape(1, 2, 1)
        return replace(self.leaves, bounds=bounds, inner=nothing.expand_as(self.leaves.inner))

    def error(self) -> Tensor:
        """(L,), a bound on the error of every execution."""
        return self.widened().error()


def execute(
    problem: Problem, graph: Graph, leaves: Leaves, limit: float, seconds: float
) -> Executed:
    """Bound the deviation on all leaves, then split those whose error is above `limit`.

    Args:
        problem: in real arithmetic.
        graph: the model with the rounding of its operators.
        leaves: where its search ended.
        limit: errors below it are good enough.
        seconds: after which to stop; what is not reached is not known.
    """
    clock = Clock(seconds)
    order = torch.argsort(leaves.error(), descending=True)
    found = torch.full((len(leaves),), math.inf, dtype=torch.float64)
    state = Executed(leaves, found, torch.zeros(len(leaves), dtype=torch.bool))
    try:
        while len(order) and (size := clock.batch()):
            which, order = order[:size], order[size:]
            found[which] = deviation(graph, leaves.box[which])
            clock.done(size)
        while size := clock.batch():
            todo = (state.error() > limit) & ~state.stuck & splittable(state.leaves)
            which = torch.nonzero(todo).squeeze(1)
            if not len(which):
                break
            worst = torch.argsort(state.error()[which], descending=True)
            state = refined(problem, graph, state, which[worst[: max(1, size // 2)]])
    except KeyboardInterrupt:
        pass  # what was found is valid
    return state


class Clock:
    """How many boxes the next pass may take: few at first, while the pace is not known."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter() + seconds
        self.size, self.mark = 1, time.perf_counter()

    def batch(self) -> int:
        """0 when time is up."""
        self.mark = time.perf_counter()
        return self.size if self.mark < self.end else 0

    def done(self, count: int) -> None:
        """After a pass of so many boxes."""
        now = time.perf_counter()
        pace = (now - self.mark) / count
        self.size = max(1, min(BATCH, 2 * count, int((self.end - now) / max(pace, 1e-9))))


def refined(problem: Problem, graph: Graph, state: Executed, which: Tensor) -> Executed:
    """Some leaves replaced by their halves."""
    keep = torch.ones(len(state.leaves), dtype=torch.bool)
    keep[which] = False
    parents = replace(state.leaves.take(which), stale=torch.zeros(len(which), dtype=torch.long))
    origin = children(problem, parents, 0.0)[1]
    new = split(problem, parents, 0.0)
    old = state.deviation[which][origin]
    found = torch.fmin(deviation(graph, new.box), old)
    return Executed(
        state.leaves.take(keep).join(new),
        torch.cat([state.deviation[keep], found]),
        torch.cat([state.stuck[keep], (found > STUCK * old) & torch.isfinite(found)]),
    )


def snapped(x: Tensor, ends: Tensor) -> Tensor:
    """The float32 numbers next to x inside [lo, hi], ends (P, 2); nan where there is none."""
    single = x.numpy().astype(np.float32)
    lo, hi = ends.T.numpy()
    up = np.nextafter(single, np.float32(np.inf))
    down = np.nextafter(single, np.float32(-np.inf))
    best = np.full(len(single), np.nan)
    for choice in (down, up, single):
        value = choice.astype(np.float64)
        best = np.where((lo <= value) & (value <= hi), value, best)
    return torch.from_numpy(best)


def executed_points(problem: Problem, graph: Graph, state: Executed, points: Points) -> Points:
    """Values of every execution at float32 numbers near the points of a real search.

    The deviation is that of a leaf around the number, and for the largest errors its own.
    """
    x = snapped(points.x[:, 0], problem.cells[points.cell, 0])
    keep = torch.nonzero(~x.isnan()).squeeze(1)
    pairs = sorted(set(zip(x[keep].tolist(), points.cell[keep].tolist(), strict=True)))
    if not pairs:
        return points.take([])
    x = torch.tensor([p[0] for p in pairs], dtype=torch.float64)
    cell = torch.tensor([p[1] for p in pairs], dtype=torch.long)
    real = measure(problem, x, cell)
    error = at(state, x)
    best = torch.argsort(real.error(), descending=True)[:WITNESSES]
    own = deviation(graph, torch.stack([x[best], x[best]], 1), order=0, back=0)
    error[best] = torch.fmin(error[best], own)
    bounds = real.bounds.clone()
    for which in (MODEL, DIFFERENCE):
        bounds[which, 0] = below(bounds[which, 0] - error)
        bounds[which, 1] = above(bounds[which, 1] + error)
    return Points(x.unsqueeze(1), cell, bounds)


def leaf_at(leaves: Leaves, x: Tensor) -> Tensor:
    """The number of a leaf that contains each x."""
    return leaf_of(leaves, x.unsqueeze(1))


def at(state: Executed, x: Tensor) -> Tensor:
    """The deviation on the leaf around each x."""
    return state.deviation[leaf_at(state.leaves, x)].clone()


def as_state(problem: Problem, graph: Graph, state: Executed, real: State) -> State:
    """The search state that speaks of every execution."""
    points = executed_points(problem, graph, state, real.points)
    return State(state.widened(), points, real.boxes)
