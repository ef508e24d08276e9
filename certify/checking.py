"""The main job: a model, a target, and everything that can be proved of their distance."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import sympy as sp
import torch
from torch import Tensor

from certify.claiming import claims_of, no_plateau_window
from certify.crosschecks import CrossCheck, Evidence, cross_check
from certify.derivative import derive
from certify.errors import BadRequest
from certify.frontend import Model, load
from certify.frontend.agree import check_agreement
from certify.frontend.curve import points
from certify.frontend.target import compare, model_graph
from certify.goal import Brackets, Goal
from certify.options import ALL, Options, partition
from certify.resuming import StateFile, question
from certify.run import Limits, Outcome, Progress, search
from certify.sampling import sandwich
from certify.search import Problem
from certify.slopes import MARGIN, Slopes, slopes
from certify.structure import Structure, structure
from certify.verdict import Claim, Plateaus, Verdict, plateaus
from certify.windows import as_windows
from theory.several import entry, find_target_of
from theory.targets import Target
from theory.windows import Pair, Windows

AT_ONCE = 1e-3  # seconds for the slopes once the search before them was interrupted

if TYPE_CHECKING:
    from certify.float32.checking import Float32
    from certify.together import Together


@dataclass(frozen=True, eq=False)
class Checked(Outcome):
    """A search and the tests it passed.

    Attributes:
        problem: what was searched; None for several outputs together.
        cells: (C, n, 2), their ends.
        samples: points of the sandwich test.
        agreement: largest relative difference between graph and archive.
    """

    problem: Problem | None
    cells: Tensor
    samples: int
    agreement: float


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was found.

    Attributes:
        model, target, options: the question, options.domain filled in.
        structure: what the graph says by itself.
        outcome: the search, with its brackets.
        plateaus: the verdict of theorem D3 on every cell.
        windows: what is known of windows of any place and width; None for several inputs.
        longest: (lo, hi, window), bracket of the width of the longest tau-plateau, or None.
        sliding: D5 on all windows of the width `options.windows`, where one was asked for.
        slopes: of the derivative, where it was asked for.
        claims: one for every claim that was asked for, in order.
        crosschecks: the theorems that the numbers were held against.
        float32: where all this is about executions in float32: what it rests on; else None.
        together: where all this is about all outputs in a norm: what it rests on; else None.
    """

    model: Model
    target: Target
    options: Options
    structure: Structure
    outcome: Checked
    plateaus: Plateaus
    windows: Windows | None
    longest: tuple[float, float, Pair | None] | None
    sliding: Claim | None
    slopes: Slopes | None
    claims: tuple[Claim, ...]
    crosschecks: tuple[CrossCheck, ...]
    float32: Float32 | None = None
    together: Together | None = None

    @property
    def cells(self) -> Tensor:
        """(C, n, 2), the ends of the cells."""
        return self.outcome.cells

    @property
    def known(self) -> Brackets:
        """The brackets the search ended with."""
        return self.outcome.known

    @property
    def attained(self) -> tuple[Pair, Pair] | None:
        """Bounds of the model and of the target at the witness; None without one, and of several
        outputs together."""
        points = self.outcome.state.points
        if self.together is not None or not self.known.witness:
            return None
        ours, theirs = points.bounds[:2, :, int(points.error().argmax())].tolist()
        return tuple(ours), tuple(theirs)

    @property
    def closed(self) -> bool:
        """Whether the sup-error bracket is closed to the gap."""
        sup = torch.tensor(self.known.sup, dtype=torch.float64)
        return bool(self.options.goal.closed(*sup))

    @property
    def exit_code(self) -> int:
        """0 proved, 1 refuted, 3 undecided; without claims the bracket's closing decides."""
        verdicts = {claim.verdict for claim in self.claims}
        if Verdict.REFUTED in verdicts:
            return 1
        if Verdict.UNDECIDED in verdicts or (not verdicts and not self.closed):
            return 3
        return 0


def check(
    model: Model | str | os.PathLike[str],
    target: Target | str | Sequence[Target],
    options: Options | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    *,
    resume: str | os.PathLike[str] | None = None,
) -> Report:
    """Bracket sup |model - target| and the variation on every cell, and decide the claims.

    Args:
        model: a loaded model or the path of a model file.
        target: a target, a name, or an expression in x; for several inputs in x1, x2, ...; for
            several outputs one for each, in text between commas, or one for all.
        options: what to ask; with output "all" the report is about all of them in a norm.
        watch: told after every step of the search.
        resume: a file that the search is kept in and goes on from (`certify.resuming`).

    Returns:
        the report; its numbers hold whether the search finished or was stopped.

    Raises:
        UnreadableFile, Unsupported: see `certify.load`.
        BadRequest: target, domain or options make no sense.
        InternalError: the toolkit contradicts itself.
    """
    options = options or Options()
    model = model if isinstance(model, Model) else load(model)
    variables, number = math.prod(model.inputs), options.output or 0
    if options.output == ALL:
        from certify.together import check_together

        return check_together(model, target, options, watch, resume=resume)
    if isinstance(target, str):
        own = entry(target, number, math.prod(model.outputs))
        target = find_target_of(own, variables, options.domain, number)
    if target.variables != variables:
        raise BadRequest(
            f"the target has {target.variables} variables, {model.path} has {variables} inputs"
        )
    if variables > 1:
        _need_one_variable(model, options)
    options = replace(options, domain=options.domain or target.domain)
    if options.semantics == "float32":
        from certify.float32.checking import check_float32

        return check_float32(model, target, options, watch)
    whole = options.domain[1] - options.domain[0]
    if options.windows is not None and options.windows > whole:
        raise BadRequest(f"--windows {options.windows:g} is wider than the domain, {whole:g}")
    if resume is not None:
        cells = partition(*options.domain, options)
        keeper = StateFile(resume, question(model, target.expression, options, cells))
        options = replace(options, limits=replace(options.limits, keeper=keeper))
    shape = structure(model_graph(model, options.output))
    outcome = check_graph(model, target.expression, options, watch)
    steep = None
    if options.wants_slopes:
        hurry = replace(options, limits=replace(options.limits, budget=AT_ONCE))
        left = hurry if outcome.stopped_by == "interrupt" else options
        steep = slopes(model, target.expression, left, outcome.cells, watch)
    found = plateaus(outcome.known, options.tau)
    windows = as_windows(outcome.state, outcome.known) if variables == 1 else None
    evidence = Evidence(outcome.known, outcome.state.points, shape, target, steep)
    checks = cross_check(evidence)
    longest = windows.longest(options.tau) if windows else None
    width = options.windows
    sliding = None if width is None else no_plateau_window(options, target, windows)
    claims = tuple(claims_of(options, target, outcome, found, sliding, steep))
    parts = outcome, found, windows, longest, sliding, steep, claims, checks
    return Report(model, target, options, shape, *parts)


def _need_one_variable(model: Model, options: Options) -> None:
    """What speaks of intervals and slopes is known of one input variable.

    Raises:
        BadRequest: it was asked for.
    """
    names = options.of_one_variable
    if names:
        raise BadRequest(
            f"{', '.join(names)} needs one input variable; {model.path} has "
            f"{math.prod(model.inputs)}. Go along a line or a curve through them: "
            "--segment A.json B.json or --curve EXPR,EXPR,..."
        )


def check_graph(
    model: Model,
    expression: sp.Expr,
    options: Options,
    watch: Callable[[Progress], None],
    *,
    sup: bool = True,
    derivative: int = 0,
) -> Checked:
    """Search, then hold the result against samples and the graph against the archive.

    Args:
        model: any number of inputs.
        expression: the target, in `theory.functions.inputs`.
        options: with the domain filled in.
        watch: told after every step of the search.
        sup: whether the sup error and plateaus matter, or only the model's variation.
        derivative: how often model and target are derived first.

    Raises:
        BadRequest, InternalError: see `check`.
    """
    graph = compare(model, expression, options.output)
    (lo, hi), variables = options.domain, math.prod(model.inputs)
    cells = partition(lo, hi, options, variables)
    places = torch.linspace(lo, hi, 17, dtype=torch.float64)
    if variables > 1:
        mixed = torch.rand((17, variables), generator=torch.Generator().manual_seed(0)).argsort(0)
        places = places[mixed]
    places = places.reshape(-1, *model.inputs)
    if model.whole is None:
        agreement = check_agreement(model, places)
    else:
        agreement = check_agreement(model.whole, points(model, places))
    for _ in range(derivative):
        graph = derive(graph)
    room = options.limits.memory * 2**20
    problem = Problem(graph, cells, margin=MARGIN if derivative else 0.0, room=room)
    goal = options.goal if sup else replace(options.goal, sup=False, plateaus=False)
    return searched(problem, goal, options.limits, agreement, watch)


def searched(
    problem: Problem,
    goal: Goal,
    limits: Limits,
    agreement: float,
    watch: Callable[[Progress], None],
) -> Checked:
    """Search, then hold the result against samples; `agreement` is that of graph and archive."""
    outcome = search(problem, goal, limits, watch)
    samples = sandwich(problem, outcome)
    parts = {f.name: getattr(outcome, f.name) for f in fields(outcome)}
    cells = problem.cells
    return Checked(**parts, problem=problem, cells=cells, samples=samples, agreement=agreement)
