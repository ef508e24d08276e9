"""All outputs of a model together: the error, and the variations, measured in a norm.

The max norm takes nothing but one search for every output. The 2-norm takes one more, of the sum of
the squares of all errors, which keeps what they have in common; variations in it are bounded by
those of the outputs (theorem A1-norm), and from below by pairs of inputs at which all outputs are
measured.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial, reduce

import torch
from torch import Tensor

from certify.checking import AT_ONCE, Checked, Report, check, searched
from certify.claiming import claims_of
from certify.crosschecks import Evidence, cross_check
from certify.errors import BadRequest
from certify.far import Far, far_pairs
from certify.floors import any_gains, own_gains
from certify.frontend import Model
from certify.frontend.target import squared_error
from certify.goal import Brackets
from certify.options import Options, partition
from certify.resuming import StateFile, question
from certify.run import Progress
from certify.search import MODEL, TARGET, Points, State
from certify.squares import SquaredError
from certify.structure import joined
from certify.verdict import plateaus
from theory.norms import ANYTHING, Exact, bracket, exact
from theory.several import find_target_of, together, vector
from theory.targets import Target

STOPPED = "interrupt", "memory", "budget", "resolution", "closed"


@dataclass(frozen=True, eq=False)
class Together:
    """What a report about all outputs rests on.

    Attributes:
        parts: the report of every output alone.
        squares: the search for the square of the 2-norm, or None in the max norm.
        far: what else bounds variations in the 2-norm, or None.
        floor: an error in the norm that no weights undercut, those of a final LayerNorm included
            (theorem C2); 0 where nothing is known.
        own_floor: one that no weights before the model's own final LayerNorm undercut (C2-own).
    """

    parts: tuple[Report, ...]
    squares: Checked | None
    far: Far | None
    floor: float
    own_floor: float


def check_together(
    model: Model,
    target: str | Target | Sequence[Target],
    options: Options,
    watch: Callable[[Progress], None],
    *,
    resume: str | os.PathLike[str] | None = None,
) -> Report:
    """Bracket sup ||model - target|| and the variation of the vector of outputs on every cell.

    Args:
        model: any number of inputs and outputs.
        target: one for every output, or text that says so, or one for all.
        options: with output "all"; each search gets its share of the budget.
        watch, resume: see `certify.checking.check`.

    Raises:
        BadRequest, InternalError: see `certify.checking.check`.
    """
    _refuse(options)
    targets = _targets(model, target, options)
    whole = together(target if isinstance(target, str) else _name(targets), targets)
    options = replace(options, domain=whole.domain)
    if resume is not None:
        cells = partition(*options.domain, options, whole.variables)
        keeper = StateFile(resume, question(model, whole.expression, options, cells))
        options = replace(options, limits=replace(options.limits, keeper=keeper))
    clock = _Clock(options, len(targets) + (options.norm == "2"), watch)
    parts = []
    for number, one in enumerate(targets):
        limits, told = clock.share()
        parts.append(check(model, one, replace(_alone(options, number), limits=limits), told))
        clock.ended(parts[-1].outcome.stopped_by)
    squares = far = None
    if options.norm == "2":
        squares = _squares(model, parts, clock)
        far = far_pairs(parts, max(1.0, options.limits.budget / 10))
    known = _brackets(options.norm, [part.known for part in parts], squares, far)
    outcome = _outcome(parts, squares, known)
    shape = joined(model.graph, [part.structure for part in parts])
    floors = any_gains(parts), own_gains(parts, options.norm)
    base = Together(tuple(parts), squares, far, *floors)
    found = plateaus(known, options.tau)
    evidence = Evidence(known, outcome.state.points, shape, whole, None, floors)
    checks = cross_check(evidence)
    claims = tuple(claims_of(options, whole, outcome, found, None, None))
    rest = outcome, found, None, None, None, None, claims, checks
    return Report(model, whole, options, shape, *rest, together=base)


def _refuse(options: Options) -> None:
    """What speaks of one function's intervals, slopes or executions says nothing of a norm.

    Raises:
        BadRequest: it was asked for.
    """
    names = options.of_one_variable
    if options.semantics != "real":
        names = [*names, f"--semantics {options.semantics}"]
    if names:
        raise BadRequest(f"{', '.join(names)} needs one output: --output INDEX, not --output all")


def _targets(
    model: Model, target: str | Target | Sequence[Target], options: Options
) -> tuple[Target, ...]:
    """One for every output.

    Raises:
        BadRequest: they are not as many, or not of the model's inputs.
    """
    variables, outputs = math.prod(model.inputs), math.prod(model.outputs)
    if isinstance(target, str):
        read = partial(_read, variables=variables, domain=options.domain)
        return vector(target, outputs, read)
    targets = (target,) * outputs if isinstance(target, Target) else tuple(target)
    if len(targets) != outputs or any(one.variables != variables for one in targets):
        raise BadRequest(
            f"{model.path} has {outputs} outputs and {variables} inputs; there are {len(targets)} "
            f"targets, of {', '.join(sorted({str(one.variables) for one in targets}))} variables"
        )
    if len({one.domain for one in targets}) > 1:
        raise BadRequest("the targets have different domains; give them one")
    return targets


def _read(text: str, number: int, *, variables: int, domain: tuple | None) -> Target:
    return find_target_of(text, variables, domain, number)


def _name(targets: Sequence[Target]) -> str:
    names = [target.name for target in targets]
    return names[0] if len(set(names)) == 1 else ",".join(names)


def _alone(options: Options, number: int) -> Options:
    """The question about one output. In the max norm a threshold for all is one for each."""
    claims = {} if options.norm == "max" else {"within": None, "constant_up_to": None}
    return replace(options, output=number, norm="max", no_plateau=False, **claims)


class _Clock:
    """Shares a budget among searches; what one leaves is for the next ones."""

    def __init__(self, options: Options, searches: int, watch: Callable[[Progress], None]) -> None:
        self.options, self.left, self.watch = options, searches, watch
        self.began, self.interrupted = time.perf_counter(), False

    def share(self) -> tuple:
        """The limits of the next search, and whom it tells."""
        spent = time.perf_counter() - self.began
        budget = max(AT_ONCE, (self.options.limits.budget - spent) / self.left)
        self.left -= 1
        limits = replace(self.options.limits, budget=AT_ONCE if self.interrupted else budget)

        def told(progress: Progress) -> None:
            self.watch(replace(progress, seconds=spent + progress.seconds))

        return limits, told

    def ended(self, stopped_by: str) -> None:
        self.interrupted |= stopped_by == "interrupt"


def _squares(model: Model, parts: Sequence[Report], clock: _Clock) -> Checked:
    """Search for the square of the error's 2-norm, to a gap that is the one asked for of the norm.

    (1 + g)**2 - 1 >= 2 g, and the roots of two numbers differ by at most that of the difference;
    roots are rounded, so the absolute gap is taken a little smaller.
    """
    like, (limits, told) = parts[0].outcome, clock.share()
    goal = clock.options.goal
    within = None if goal.within is None else goal.within**2
    goal = replace(
        goal, gap=2 * goal.gap, abs_gap=0.99 * goal.abs_gap**2, within=within, constant=None
    )
    goal = replace(goal, cells=False, plateaus=False)
    graph = squared_error(model, [part.target.expression for part in parts])
    alone = tuple(part.outcome.problem.graph for part in parts)
    problem = SquaredError(graph, like.cells, room=limits.memory * 2**20, parts=alone)
    found = searched(problem, goal, limits, like.agreement, told)
    clock.ended(found.stopped_by)
    return found


def _brackets(
    norm: str, parts: Sequence[Brackets], squares: Checked | None, far: Far | None
) -> Brackets:
    """Brackets of the norm; ranges are hulls of all outputs' values."""

    def on_cells(name: str, also: Callable[[int], tuple[Exact, Exact]]) -> Tensor:
        columns = torch.stack([getattr(part, name) for part in parts]).permute(2, 0, 1).tolist()
        found = [bracket(norm, pairs, also(cell)) for cell, pairs in enumerate(columns)]
        return torch.tensor(found, dtype=torch.float64).T

    def apart_on(which: int) -> Callable[[int], tuple[Exact, Exact]]:
        return lambda cell: (far.squares(which, cell) if far else Fraction(0), math.inf)

    def hull(name: str) -> Tensor:
        lo, hi = torch.stack([getattr(part, name) for part in parts]).unbind(1)
        return torch.stack([lo.amin(0), hi.amax(0)])

    square = exact(squares.known.sup) if squares else ANYTHING
    sup = bracket(norm, [part.sup for part in parts], square)
    best = max(parts, key=lambda part: part.sup[0])
    witness = best.witness
    if squares and square[0] >= Fraction(best.sup[0]) ** 2:
        witness = squares.known.witness
    totals = [tuple(part.target_total.tolist()) for part in parts]
    per_cell = squares.known.cell_sup.T.tolist() if squares else None
    return Brackets(
        sup,
        witness,
        on_cells("cell_sup", lambda cell: exact(per_cell[cell]) if per_cell else ANYTHING),
        hull("range"),
        hull("inner"),
        on_cells("variation", apart_on(MODEL)),
        on_cells("target_variation", apart_on(TARGET)),
        hull("target_inner"),
        torch.tensor(bracket(norm, totals), dtype=torch.float64),
    )


def _outcome(parts: Sequence[Report], squares: Checked | None, known: Brackets) -> Checked:
    """All searches as one: their leaves and points together, their seconds in a row."""
    every = [part.outcome for part in parts] + ([squares] if squares else [])
    states = [outcome.state for outcome in every]
    leaves = reduce(lambda a, b: a.join(b), (state.leaves for state in states))
    points = reduce(Points.join, (state.points for state in states))
    closed = [outcome.closed_after for outcome in every]
    return Checked(
        state=State(leaves, points, sum(state.boxes for state in states)),
        known=known,
        seconds=sum(outcome.seconds for outcome in every),
        stopped_by=min((outcome.stopped_by for outcome in every), key=STOPPED.index),
        closed_after=None if None in closed else sum(closed),
        before=sum(outcome.before for outcome in every),
        trace=(),
        problem=None,
        cells=every[0].cells,
        samples=sum(outcome.samples for outcome in every),
        agreement=max(outcome.agreement for outcome in every),
    )
