"""The model's derivative, bracketed: its extremes, where it is monotone, and where it is slow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy as sp
import torch
from torch import Tensor

from certify.derivative import derive
from certify.errors import Unsupported
from certify.frontend import Model
from certify.frontend.target import compare
from certify.goal import NEGLIGIBLE, Brackets, Goal, brackets
from certify.options import Options
from certify.orders import Orders, candidates
from certify.rounding import below
from certify.run import Loop, Outcome, Progress, search
from certify.search import MODEL, TARGET, Leaves, Problem, State, step
from certify.witnesses import pin
from theory.windows import Pair

MARGIN = 2.0**-24  # of a box: how far from a kink it is cut
FINE = 2.0**-12  # of the domain: leaves with a change of sign are not split below this
BATCH = 64


@dataclass(frozen=True, eq=False)
class Slopes:
    """What is proved of the derivative, and so of all difference quotients.

    Attributes:
        problem: the derivatives of model, target and difference, as a graph.
        outcome: the search; its `known.sup` brackets sup |model' - target'|.
        least, greatest: brackets of the model's least and greatest slope.
        rising, falling: maximal unions of leaves where no slope is below, or above, 0.
        slow: maximal unions of leaves where |model'| <= tau |target'|.
        unclear: unions of leaves of which that is neither proved nor refuted.
        target: whether the target has slopes too.
    """

    problem: Problem
    outcome: Outcome
    least: Pair
    greatest: Pair
    rising: list[Pair]
    falling: list[Pair]
    slow: list[Pair]
    unclear: list[Pair]
    target: bool

    @property
    def known(self) -> Brackets:
        """Brackets of the derivatives, cell by cell."""
        return self.outcome.known

    @property
    def lipschitz(self) -> Pair:
        """Bracket of the least Lipschitz constant, sup |model'|."""
        lower = max(-self.least[1], self.greatest[0], 0.0)
        return lower, max(-self.least[0], self.greatest[1])


def slopes(
    model: Model,
    expression: sp.Expr,
    options: Options,
    cells: Tensor,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Slopes:
    """Bracket the derivative of one output.

    Args:
        model: one input variable.
        expression: the target; where it jumps, nothing is said of its slopes.
        options: gap, tau, output and limits.
        cells: (C, 1, 2).
        watch: told after every step of the search.

    Raises:
        Unsupported: the model applies a function that jumps.
    """
    began, both = time.perf_counter(), True
    try:
        graph = derive(compare(model, expression, options.output))
    except Unsupported:
        both = False
        graph = derive(compare(model, sp.Integer(0), options.output))
    # A box beside a kink is cut off once; narrower than this it is not cut at the kink again.
    floor = 4 * MARGIN * float((cells[..., 1] - cells[..., 0]).min())
    problem = Problem(graph, cells, margin=MARGIN, floor=floor)
    goal = Goal(options.gap, options.abs_gap, tau=options.tau, sup=False, plateaus=False)
    outcome = search(problem, goal, options.limits, watch)
    state = _signs(problem, goal, outcome, options, both)
    state = pin(problem, state, options.limits.budget / 10)
    known, leaves = brackets(state, len(cells)), state.leaves
    outcome = replace(outcome, state=state, known=known, seconds=time.perf_counter() - began)
    order = torch.argsort(leaves.box[:, 0, 0])
    leaves = leaves.take(order)
    lo, hi = leaves.bounds[MODEL]
    slow, fast = _ratio(leaves, options.tau) if both else (lo != lo, lo == lo)
    return Slopes(
        problem,
        outcome,
        (float(known.range[0].min()), float(known.inner[0].min())),
        (float(known.inner[1].max()), float(known.range[1].max())),
        _runs(leaves, lo >= 0),
        _runs(leaves, hi <= 0),
        _runs(leaves, slow),
        _runs(leaves, ~slow & ~fast),
        both,
    )


def _signs(problem: Problem, goal: Goal, outcome: Outcome, options: Options, both: bool) -> State:
    """The outcome's state with leaves split where a sign or the ratio is not decided, for what is
    left of the budget; Ctrl-C ends it."""
    orders = Orders(candidates(problem.variables))
    began, state, limits = time.perf_counter() - outcome.seconds, outcome.state, options.limits
    try:
        while outcome.stopped_by != "interrupt" and time.perf_counter() - began < limits.budget:
            which = _undecided(state.leaves, options.tau if both else None)
            if not len(which):
                break
            state, _ = step(problem, state, which, 0.0, by=limits.workers)
            if limits.keeper:
                before = outcome.before + time.perf_counter() - began
                limits.keeper.put(problem, goal, Loop(state, orders, before=before))
    except KeyboardInterrupt:
        pass
    return state


def _ratio(leaves: Leaves, tau: float) -> tuple[Tensor, Tensor]:
    """Leaves where |model'| <= tau |target'| everywhere, and where that is so nowhere."""
    (lo, hi), (low, high) = leaves.bounds[MODEL], leaves.bounds[TARGET]
    most, least = torch.maximum(-lo, hi), torch.maximum(lo, -hi).clamp(min=0)
    theirs = torch.maximum(low, -high).clamp(min=0), torch.maximum(-low, high)
    return most <= below(tau * theirs[0]).clamp(min=0), below(least) > tau * theirs[1]


def _undecided(leaves: Leaves, tau: float | None) -> Tensor:
    """Numbers of leaves where a sign or the ratio is not decided, and which are not tiny."""
    lo, hi = leaves.bounds[MODEL]
    mixed = (lo < -NEGLIGIBLE) & (hi > NEGLIGIBLE)  # 0 itself is not met in float64
    if tau is not None:
        slow, fast = _ratio(leaves, tau)
        mixed |= ~slow & ~fast
    width = (leaves.box[..., 1] - leaves.box[..., 0]).squeeze(1)
    whole = leaves.box.max() - leaves.box.min()
    which = torch.nonzero(mixed & (width > FINE * whole)).squeeze(1)
    return which[torch.argsort(width[which], descending=True)][:BATCH]


def _runs(leaves: Leaves, mask: Tensor) -> list[Pair]:
    """Ends of the maximal runs of neighboring leaves in a mask."""
    out: list[Pair] = []
    for (lo, hi), inside in zip(leaves.box[:, 0].tolist(), mask.tolist(), strict=True):
        if inside and out and out[-1][1] == lo:
            out[-1] = (out[-1][0], hi)
        elif inside:
            out.append((lo, hi))
    return out


def covering(found: Slopes, lo: float, hi: float) -> Pair:
    """Bounds on all difference quotients between points of [lo, hi]."""
    leaves = found.outcome.state.leaves
    near = (leaves.box[:, 0, 0] <= hi) & (leaves.box[:, 0, 1] >= lo)
    least, most = leaves.bounds[MODEL][:, near]
    if not len(least):
        return -math.inf, math.inf
    return float(least.min()), float(most.max())
