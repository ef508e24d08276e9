"""The search loop: budget, memory and interruption; sampling; progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.evaluate import evaluate
from certify.goal import Brackets, Goal, brackets, open_leaves
from certify.graph import Graph
from certify.search import DIFFERENCE, MODEL, Leaves, Points, Problem, State, measure, start, step

FIRST = 64  # boxes to begin with
BATCH = 96  # boxes enclosed together: large enough to amortize, small enough for the cache
GRID = 1024  # plain float64 samples that suggest where extremes are


@dataclass(frozen=True)
class Limits:
    """budget in seconds; memory in MiB for the search's own tensors."""

    budget: float = 60.0
    memory: float = 4096.0


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
    bracket closed, or None.
    """

    state: State
    known: Brackets
    seconds: float
    stopped_by: str
    closed_after: float | None


def cell_of(cells: Tensor, x: Tensor) -> Tensor:
    """Number of a cell that contains each x (cells ordered, sharing their ends)."""
    return (torch.searchsorted(cells[:, 0].contiguous(), x, right=True) - 1).clamp(min=0)


def box_bytes(graph: Graph, order: int) -> int:
    """Rough memory of one box: the largest value, its coefficients, and the temporaries."""
    largest = max((_size(n.shape) for n in graph.nodes), default=1)
    return 8 * largest * (order + 1) * 12


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def first_points(problem: Problem) -> Points:
    """Proven values where a plain float64 grid has its extremes: of |difference| on the domain,
    of model and target on every cell, and at the cells' ends."""
    cells = problem.cells
    per = max(8, -(-GRID // len(cells)))
    t = torch.linspace(0, 1, per, dtype=torch.float64)
    x = (cells[:, :1] + (cells[:, 1:] - cells[:, :1]) * t).clamp(cells[:, :1], cells[:, 1:])
    x[:, -1] = cells[:, 1]
    shape = problem.graph.input_shape
    values = evaluate(problem.graph, x.reshape(-1, *shape))
    model, difference = (values[n].reshape(x.shape) for n in ("model", "difference"))
    picks = [model.argmax(1), model.argmin(1), difference.abs().argmax(1)]
    picks += [torch.zeros_like(picks[0]), torch.full_like(picks[0], per - 1)]
    rows = torch.arange(len(cells))
    chosen = torch.cat([x[rows, p] for p in picks])
    return measure(problem, chosen, rows.repeat(len(picks)))


def new_points(problem: Problem, new: Leaves, known: Brackets, about_sup: bool) -> Points | None:
    """Proven values where the polynomials of new leaves reach farthest."""
    if about_sup:
        error = new.error()
        reach = error - new.rem
        order = torch.argsort(reach, descending=True)[:6]
        order = order[torch.isfinite(error[order]) & (error[order] > known.sup[0])]
        side = new.bounds[DIFFERENCE].abs().argmax(0)[order]
        x, cell = new.at[DIFFERENCE, side, order], new.cell[order]
    else:
        x = new.at[MODEL].reshape(-1)
        cell = new.cell.repeat(2)
    x, cell = x[: 2 * BATCH], cell[: 2 * BATCH]
    return measure(problem, x, cell) if len(x) else None


def search(
    problem: Problem,
    goal: Goal,
    limits: Limits,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Split until every bracket is closed or a limit is reached; Ctrl-C is a limit too.

    Every state on the way is valid, and the last one is returned.
    """
    began = time.perf_counter()
    latest: list[State] = [start(problem, FIRST)]
    closed_after: float | None = None
    stopped_by = "closed"
    try:
        for state, known, about_sup in _states(problem, goal, limits, latest[0], began):
            latest[0] = state
            seconds = time.perf_counter() - began
            if closed_after is None and not about_sup:
                closed_after = seconds
            watch(Progress(seconds, state.boxes, len(state.leaves), known))
            if seconds > limits.budget:
                stopped_by = "budget"
                break
    except KeyboardInterrupt:
        stopped_by = "interrupt"
    except MemoryError:
        stopped_by = "memory"
    state = latest[0]
    known = brackets(state, len(problem.cells))
    if stopped_by == "closed" and not settled(known, goal):
        stopped_by = "resolution"
    if not bool(goal.closed(*torch.tensor(known.sup, dtype=torch.float64))):
        closed_after = None
    return Outcome(state, known, time.perf_counter() - began, stopped_by, closed_after)


def settled(known: Brackets, goal: Goal) -> bool:
    """Whether the sup-error bracket and every cell's variation bracket are closed."""
    sup = torch.tensor(known.sup, dtype=torch.float64)
    return (not goal.sup or bool(goal.closed(*sup))) and bool(goal.closed(*known.variation).all())


def _states(
    problem: Problem, goal: Goal, limits: Limits, state: State, began: float
) -> Iterator[tuple[State, Brackets, bool]]:
    """Ever better states, each with its brackets and whether the sup error is still open."""
    cells = len(problem.cells)
    state = State(state.leaves, first_points(problem), state.boxes)
    fits = limits.memory * 2**20 / box_bytes(problem.graph, problem.order)
    batch = max(1, min(BATCH, int(fits)))
    while True:
        known = brackets(state, cells)
        todo = open_leaves(state, goal, known, cells)
        yield state, known, todo.about_sup and len(todo.which) > 0
        if not len(todo.which):
            return
        if len(state.leaves) * 400 > limits.memory * 2**20:
            raise MemoryError
        tick = time.perf_counter()
        try:
            after, new = step(problem, state, todo.which[:batch], todo.tolerance)
            more = new_points(problem, new, known, todo.about_sup)
        except RuntimeError as error:  # torch's way to say that memory ran out
            if "allocate" not in str(error) or batch == 1:
                raise MemoryError from error
            batch = max(1, batch // 2)
            continue
        state = State(after.leaves, state.points.join(more) if more else state.points, after.boxes)
        # A batch should not outlast a tenth of the budget.
        each = (time.perf_counter() - tick) / max(1, len(new))
        batch = max(1, min(batch, int(limits.budget / 10 / max(each, 1e-9))))
