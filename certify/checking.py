"""The main job: a model, a target, and everything that can be proved of their distance."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

import sympy as sp
import torch
from torch import Tensor

from certify.errors import BadRequest
from certify.evaluate import evaluate
from certify.frontend import Model, load
from certify.frontend.agree import InternalError, check_agreement
from certify.frontend.target import compare
from certify.goal import Brackets, Goal
from certify.report.numbers import interval
from certify.run import Limits, Outcome, Progress, cell_of, search
from certify.search import OUTPUTS, Problem, measure
from certify.verdict import Claim, Plateaus, Verdict, facts, plateaus
from theory.claims import OPPOSITE, decide
from theory.targets import Target, find_target

SAMPLES = 128  # points of the sandwich test
MOST_CELLS = 100_000


@dataclass(frozen=True)
class Options:
    """What to ask of a model.

    Attributes:
        domain: (lo, hi), or None for the target's own.
        cells: number of equal cells.
        width: width of a cell, instead of their number.
        tau: plateau ratio, 0 <= tau < 1.
        within: claim sup |model - target| <= within.
        constant_up_to: claim that the model varies by at most this on every cell.
        no_plateau: claim that no cell is a tau-plateau.
        gap, abs_gap: when a bracket counts as closed.
        output: which of several outputs.
        limits: budget and memory.

    Raises:
        BadRequest: a number is out of range.
    """

    domain: tuple[float, float] | None = None
    cells: int = 32
    width: float | None = None
    tau: float = 0.1
    within: float | None = None
    constant_up_to: float | None = None
    no_plateau: bool = False
    gap: float = 0.01
    abs_gap: float = 0.0
    output: int | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        def need(name: str, good: bool, what: str, value: object) -> None:
            if not good:
                raise BadRequest(f"{name} must be {what}, not {value}")

        inf = float("inf")
        need("--cells", 1 <= self.cells <= MOST_CELLS, f"between 1 and {MOST_CELLS}", self.cells)
        if self.width is not None:
            need("--width", 0 < self.width < inf, "a positive number", self.width)
        need("--tau", 0 <= self.tau < 1, "at least 0 and below 1", self.tau)
        need("--gap", 0 < self.gap < inf, "a positive number", self.gap)
        need("--abs-gap", 0 <= self.abs_gap < inf, "0 or a positive number", self.abs_gap)
        for name, value in (("--within", self.within), ("--constant-up-to", self.constant_up_to)):
            if value is not None:
                need(name, 0 <= value < inf, "0 or a positive number", value)
        need("--budget", 0 < self.limits.budget < inf, "a positive number", self.limits.budget)
        need("--memory", 16 <= self.limits.memory < inf, "at least 16 (MiB)", self.limits.memory)

    @property
    def goal(self) -> Goal:
        """When the search may stop."""
        return Goal(self.gap, self.abs_gap, self.within, self.constant_up_to, self.tau)


@dataclass(frozen=True, eq=False)
class Checked(Outcome):
    """A search and the tests it passed.

    Attributes:
        cells: (C, 2), their ends.
        samples: points of the sandwich test.
        agreement: largest relative difference between graph and archive.
    """

    cells: Tensor
    samples: int
    agreement: float


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that was found.

    Attributes:
        model, target, options: the question, options.domain filled in.
        outcome: the search, with its brackets.
        plateaus: the verdict of theorem D3 on every cell.
        claims: one for every claim that was asked for, in order.
    """

    model: Model
    target: Target
    options: Options
    outcome: Checked
    plateaus: Plateaus
    claims: tuple[Claim, ...]

    @property
    def cells(self) -> Tensor:
        """(C, 2), the ends of the cells."""
        return self.outcome.cells

    @property
    def known(self) -> Brackets:
        """The brackets the search ended with."""
        return self.outcome.known

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


def partition(lo: float, hi: float, options: Options) -> Tensor:
    """The cells, (C, 2): equal ones, or of the given width with a shorter last one."""
    count = options.cells
    if options.width is not None:
        exact = (hi - lo) / options.width
        if exact > MOST_CELLS:
            raise BadRequest(
                f"--width {options.width:g} makes {exact:.3g} cells of [{lo:g}, {hi:g}]; at most "
                f"{MOST_CELLS} are possible"
            )
        count = max(1, round(exact) if abs(exact - round(exact)) < 1e-9 else int(exact) + 1)
    step = (hi - lo) / count if options.width is None else options.width
    ends = sorted({lo, hi, *(e for k in range(1, count) if lo < (e := lo + k * step) < hi)})
    if options.width is None and len(ends) != count + 1:
        raise BadRequest(f"[{lo!r}, {hi!r}] is too narrow for {count} cells; ask for fewer")
    edges = torch.tensor(ends, dtype=torch.float64)
    return torch.stack([edges[:-1], edges[1:]], 1)


def check(
    model: Model | str | os.PathLike[str],
    target: Target | str,
    options: Options | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Bracket sup |model - target| and the variation on every cell, and decide the claims.

    Args:
        model: a loaded model or the path of a model file; one input variable.
        target: a target, a name, or an expression in x.
        options: what to ask.
        watch: told after every step of the search.

    Returns:
        the report; its numbers hold whether the search finished or was stopped.

    Raises:
        UnreadableFile, Unsupported: see `certify.load`.
        BadRequest: target, domain or options make no sense.
        InternalError: the toolkit contradicts itself.
    """
    options = options or Options()
    if isinstance(target, str):
        target = find_target(target, options.domain)
    model = model if isinstance(model, Model) else load(model)
    options = replace(options, domain=options.domain or target.domain)
    outcome = check_graph(model, target.expression, options, watch)
    found = plateaus(outcome.known, options.tau)
    claims = tuple(_claims(options, target, outcome, found))
    return Report(model, target, options, outcome, found, claims)


def check_graph(
    model: Model,
    expression: sp.Expr,
    options: Options,
    watch: Callable[[Progress], None],
    *,
    sup: bool = True,
) -> Checked:
    """Search, then hold the result against samples and the graph against the archive.

    Args:
        model: one input variable.
        expression: the target, in `theory.functions.x`.
        options: with the domain filled in.
        watch: told after every step of the search.
        sup: whether the sup error matters, or only the model's variation.

    Raises:
        BadRequest, InternalError: see `check`.
    """
    graph = compare(model, expression, options.output)
    lo, hi = options.domain
    cells = partition(lo, hi, options)
    points = torch.linspace(lo, hi, 17, dtype=torch.float64).reshape(-1, *model.inputs)
    agreement = check_agreement(model, points)
    problem = Problem(graph, cells)
    goal = options.goal if sup else replace(options.goal, sup=False)
    outcome = search(problem, goal, options.limits, watch)
    samples = sandwich(problem, outcome)
    parts = {f.name: getattr(outcome, f.name) for f in fields(outcome)}
    return Checked(**parts, cells=cells, samples=samples, agreement=agreement)


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
    lo, hi = problem.cells[0, 0], problem.cells[-1, 1]
    generator = torch.Generator().manual_seed(0)
    t = torch.rand(SAMPLES, generator=generator, dtype=torch.float64)
    x = torch.cat([(lo + (hi - lo) * t).clamp(lo, hi), outcome.state.points.x])
    points = measure(problem, x, cell_of(problem.cells, x), math.inf)
    leaves = outcome.state.leaves
    order = torch.argsort(leaves.box[:, 0])
    place = torch.searchsorted(leaves.box[order, 0].contiguous(), x, right=True) - 1
    leaf = order[place.clamp(min=0)]
    values = evaluate(problem.graph, x.reshape(-1, *problem.graph.input_shape))
    for which, name in enumerate(OUTPUTS):
        low, high = leaves.bounds[which][:, leaf]
        least, most = points.bounds[which]
        plain = values[name].reshape(-1)
        # A plain float64 sample carries a rounding error; its proven bracket does not.
        outside = (most < low) | (least > high) | (plain.isnan() & torch.isfinite(high - low))
        if bool(outside.any()):
            i = int(torch.nonzero(outside)[0])
            raise InternalError(
                f"sandwich violated: {name} at x = {float(x[i])!r} lies in "
                f"[{float(least[i])!r}, {float(most[i])!r}], outside the enclosure "
                f"[{float(low[i])!r}, {float(high[i])!r}] of its box; please report this model"
            )
    return len(x)


def _claims(options: Options, target: Target, outcome: Checked, found: Plateaus) -> Iterator[Claim]:
    """The claims asked for, decided by the judge that the checker uses too."""
    known, cells, proven = outcome.known, outcome.cells, facts(outcome.known)
    if options.within is not None:
        numbers = {"bound": options.within}
        verdict = decide("within", numbers, proven)
        yield Claim(
            "within",
            numbers,
            f"|model - {target.term}| <= {options.within!r}",
            verdict,
            f"sup error in {interval(*known.sup)}",
            known.witness if verdict is Verdict.REFUTED else None,
        )
    if options.constant_up_to is not None:
        low, high = known.variation
        numbers = {"bound": options.constant_up_to}
        verdict = decide("constant-up-to", numbers, proven)
        shown = int(low.argmax() if verdict is Verdict.REFUTED else high.argmax())
        yield Claim(
            "constant-up-to",
            numbers,
            f"output varies by at most {options.constant_up_to!r} on each of {len(cells)} cells",
            verdict,
            f"most on cell {shown}, [{float(cells[shown, 0])!r}, {float(cells[shown, 1])!r}]: "
            f"variation in {interval(float(low[shown]), float(high[shown]), most=7)}",
            shown if verdict is Verdict.REFUTED else None,
        )
    if options.no_plateau:
        overall = found.overall()
        plateau = int(found.proved.int().argmax()) if overall is Verdict.PROVED else None
        count = int(found.deciding.sum())
        none = int((found.refuted & found.deciding).sum())
        yield Claim(
            "no-plateau",
            {"tau": options.tau},
            f"no deciding cell is a {options.tau!r}-plateau",
            OPPOSITE[overall],
            f"plateau on {int(found.proved.sum())}, none on {none} of {count} deciding cells",
            plateau,
            "D3",
        )
