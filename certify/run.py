"""The search loop: budget, memory and interruption; sampling; progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from certify.domains.basis import Basis
from certify.evaluate import evaluate
from certify.goal import Brackets, Goal, brackets, open_leaves
from certify.graph import Graph
from certify.orders import TRIAL, Orders, candidates
from certify.search import (
    DIFFERENCE,
    FRESH,
    Leaves,
    Points,
    Problem,
    State,
    between,
    children,
    measure,
    start,
    step,
)
from certify.windows import harmless, open_windows
from certify.witnesses import pin
from certify.workers import Here, Workers

FIRST = 64  # boxes to begin with
BATCH = 256  # boxes enclosed together: large enough to amortize, small enough for the cache
FIRST_POINTS, MORE_POINTS = 8, 6  # proven values taken at the start and after every step
CAUTIOUS = 2**20  # entries times boxes of the first batch, whose pace is not known yet
UNASKED = 1 / 30  # of the budget, for the longest plateau where it was not asked for
GRID = 1024  # plain float64 samples that suggest where extremes are


@dataclass(frozen=True, eq=False)
class Loop:
    """All that the loop goes on from: the state, and its pace, on which no bound depends.

    orders: gains measured so far; batch: leaves split together, None if that is not known yet;
    before: seconds spent in earlier processes.
    """

    state: State
    orders: Orders
    batch: int | None = None
    before: float = 0.0


class Keeper(Protocol):
    """Where searches are kept, to go on from (`certify.resuming`)."""

    span: float

    def found(self, problem: Problem, goal: Goal) -> Loop | None:
        """Where the search for this problem was left, if it was begun."""

    def put(self, problem: Problem, goal: Goal, loop: Loop, last: bool = False) -> None:
        """Keep it: now and then, and at last for certain."""


@dataclass(frozen=True)
class Limits:
    """budget in seconds; memory in MiB for the search's own tensors; where it is kept; who encloses
    boxes."""

    budget: float = 60.0
    memory: float = 4096.0
    keeper: Keeper | None = None
    workers: Workers = field(default_factory=Here, compare=False)


@dataclass(frozen=True, eq=False)
class Progress:
    """One line's worth: seconds since the start, boxes so far, leaves, and the brackets."""

    seconds: float
    boxes: int
    leaves: int
    known: Brackets


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where the search ended.

    stopped_by: "closed" (every bracket), "budget", "memory", "interrupt", or "resolution" (no
    leaf that matters can be improved in float64). closed_after: seconds until the sup-error
    bracket closed, or None. before: seconds of earlier processes that it went on from. trace:
    (seconds, lo, hi), the sup-error bracket whenever it changed.
    """

    state: State
    known: Brackets
    seconds: float
    stopped_by: str
    closed_after: float | None
    before: float
    trace: tuple[tuple[float, float, float], ...]


def box_bytes(graph: Graph, order: int) -> int:
    """Rough memory of one box: the largest value, its coefficients, and the temporaries."""
    largest = max((_size(n.shape) for n in graph.nodes), default=1)
    return 8 * largest * Basis(_size(graph.input_shape), order).count() * 12


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def first_points(problem: Problem, goal: Goal) -> Points:
    """Proven values where plain float64 samples have the largest |difference|, cell by cell: on a
    grid in one variable, at random places and corners in several."""
    lo, hi = (ends.unsqueeze(1) for ends in problem.cells.unbind(-1))
    per = max(8, -(-GRID // len(lo)))
    t = torch.linspace(0, 1, per, dtype=torch.float64).reshape(1, per, 1)
    if problem.variables > 1:
        generator = torch.Generator().manual_seed(0)
        shape = len(lo), per, problem.variables
        t = torch.rand(shape, generator=generator, dtype=torch.float64)
        t[:, per // 2 :] = t[:, per // 2 :].round()
    x = torch.where(t == 1, hi, between(lo, hi, t).clamp(lo, hi))
    values = evaluate(problem.graph, x.reshape(-1, *problem.graph.input_shape))
    error = values["difference"].reshape(x.shape[:2]).abs().nan_to_num(0.0, 0.0, 0.0)
    best, place = error.max(1)
    chosen = torch.argsort(best, descending=True)[:FIRST_POINTS]
    enough = max(goal.gap * float(best.max()), goal.abs_gap) / 32
    return measure(problem, x[chosen, place[chosen]], chosen, enough)


def new_points(problem: Problem, new: Leaves, known: Brackets, goal: Goal) -> Points | None:
    """Proven values where new leaves seem to pass what is proven of the sup error."""
    error = new.error()
    side = new.bounds[DIFFERENCE].abs().argmax(0)
    reach = error - new.rem
    worth = torch.isfinite(error) & (reach > known.sup[0] * (1 + goal.gap / 10)) & goal.sup
    order = torch.argsort(torch.where(worth, reach, -math.inf), descending=True)
    order = order[: min(MORE_POINTS, int(worth.sum()))]
    if not len(order):
        return None
    enough = max(goal.gap * known.sup[0], goal.abs_gap) / 32
    return measure(problem, new.at[order, DIFFERENCE, side[order]], new.cell[order], enough)


def search(
    problem: Problem,
    goal: Goal,
    limits: Limits,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Split until every bracket is closed or a limit is reached; Ctrl-C is a limit too.

    Every state on the way is valid, and the last one is returned.
    """
    began, keeper = time.perf_counter(), limits.keeper
    found = keeper.found(problem, goal) if keeper else None
    before = found.before if found else 0.0
    latest = [found or Loop(start(problem, FIRST), Orders(candidates(problem.variables)))]
    closed_after: float | None = None
    trace: list[tuple[float, float, float]] = []
    stopped_by = "closed"
    try:
        for loop, known, about_sup in _states(problem, goal, limits, latest[0], began):
            latest[0], state = loop, loop.state
            seconds = time.perf_counter() - began
            if keeper:
                keeper.put(problem, goal, replace(loop, before=before + seconds))
            if closed_after is None and not about_sup:
                closed_after = seconds
            if not trace or trace[-1][1:] != known.sup:
                trace.append((seconds, *known.sup))
            watch(Progress(seconds, state.boxes, len(state.leaves), known))
            if seconds > limits.budget:
                stopped_by = "budget"
                break
    except KeyboardInterrupt:
        stopped_by = "interrupt"
    except MemoryError:
        stopped_by = "memory"
    if keeper:
        spent = before + time.perf_counter() - began
        keeper.put(problem, goal, replace(latest[0], before=spent), last=True)
    state = latest[0].state
    known = brackets(state, len(problem.cells))
    if stopped_by == "closed" and not settled(known, goal):
        stopped_by = "resolution"
    edges = goal.plateaus and problem.variables == 1 and not harmless(goal.tau, state, known)
    state = pin(problem, state, max(1.0, limits.budget / 10), edges=edges)
    known = brackets(state, len(problem.cells))
    if not bool(goal.closed(*torch.tensor(known.sup, dtype=torch.float64))):
        closed_after = None
    seconds = time.perf_counter() - began
    trace.append((seconds, *known.sup))
    return Outcome(state, known, seconds, stopped_by, closed_after, before, tuple(trace))


def settled(known: Brackets, goal: Goal) -> bool:
    """Whether the sup-error bracket, a claim about it, and every cell's variation bracket are
    closed, as far as they are asked for."""
    if goal.within is not None and known.sup[0] <= goal.within < known.sup[1]:
        return False
    sup = torch.tensor(known.sup, dtype=torch.float64)
    cells = not goal.cells or bool(goal.closed(*known.variation).all())
    return cells and (not goal.sup or bool(goal.closed(*sup)))


def affordable(
    problem: Problem, state: State, chosen: Tensor, tolerance: float, most: int
) -> Tensor:
    """The first of the chosen leaves whose children are no more than `most`; at least one."""
    origin = children(problem, state.leaves.take(chosen), tolerance)[1]
    return chosen if len(origin) <= most else chosen[: max(1, int(origin[most]))]


def _states(
    problem: Problem, goal: Goal, limits: Limits, loop: Loop, began: float
) -> Iterator[tuple[Loop, Brackets, bool]]:
    """Ever better states, each with its brackets and whether the sup error is still open."""
    cells, state, orders = len(problem.cells), loop.state, loop.orders
    if not len(state.points.x):
        state = State(state.leaves, first_points(problem, goal), state.boxes)
    fits = limits.memory * 2**20 / box_bytes(problem.graph, orders.candidates[0])
    entries = sum(_size(node.shape) for node in problem.graph.nodes)
    batch = max(1, min(BATCH, int(fits), loop.batch or CAUTIOUS // entries))
    left = limits.budget * (1 if goal.asked else UNASKED)  # for windows
    while True:
        tick, known = time.perf_counter(), brackets(state, cells)
        todo = open_leaves(state, goal, known, cells)
        windows = goal.plateaus and problem.variables == 1 and left > 0 and not len(todo.which)
        if windows:
            todo = open_windows(state, goal, known)
        yield Loop(state, orders, batch), known, todo.about_sup and len(todo.which) > 0
        if not len(todo.which):
            return
        if len(state.leaves) * 400 > limits.memory * 2**20:
            raise MemoryError
        fresh = bool((state.leaves.stale[todo.which] == FRESH).any())
        order, trial = orders.next(0 if fresh else len(todo.which))
        chosen = todo.which[: min(batch, TRIAL) if trial else batch]
        chosen = affordable(problem, state, chosen, todo.tolerance, batch)
        try:
            ordered, by = replace(problem, order=order), limits.workers
            after, new = step(ordered, state, chosen, todo.tolerance, by=by)
            more = new_points(problem, new, known, goal)
        except RuntimeError as error:  # torch's way to say that memory ran out
            if "allocate" not in str(error):
                raise
            if batch == 1:
                raise MemoryError from error
            batch = max(1, batch // 2)
            continue
        before = state
        state = State(after.leaves, state.points.join(more) if more else state.points, after.boxes)
        if trial:
            parents, spent = before.leaves.take(chosen), time.perf_counter() - tick
            orders = orders.measured(order, parents, new, spent, len(todo.which))
        # A batch should outlast neither a tenth of the budget nor what is left of it, nor what
        # may be lost when the process is killed.
        now = time.perf_counter()
        left -= now - tick if windows else 0
        span = min(limits.budget / 10, limits.budget - (now - began))
        span = min(span, limits.keeper.span) if limits.keeper else span
        pace = max((now - tick) / max(1, len(new)), 1e-9)
        batch = max(1, min(BATCH, int(fits), int(span / pace)))
