"""`probes run`: everything sampled of one model, beside and against everything proved of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import sympy as sp
import torch
from torch import Tensor

from certify.checking import Report, check
from certify.derivative import derive
from certify.frontend import Model, load
from certify.frontend.target import compare
from certify.options import Options
from certify.report.words import step_width
from certify.search import MODEL, Problem
from probes.attention import Attention, attention
from probes.changes import Changes, against_longest, changes
from probes.differences import Differences, differences
from probes.extremes import Extremes, extremes
from probes.intervals import Intervals, intervals
from probes.samples import Samples, sample
from probes.sandwich import Held
from probes.spectrum import Spectrum, spectrum
from theory.targets import Target

PER_CELL = 64
ROWS = 257  # places at which attention is looked at


@dataclass(frozen=True, eq=False)
class Probing:
    """What was found.

    Attributes:
        report: the certified side.
        samples: the grid that the rest is sampled on.
        intervals, differences, extremes, changes, spectrum, attention: see their modules.
        step: delta* at the proved accuracy, the width of the paper's steps; None where the
            theory has no closed form or one step covers the domain.
        held: every comparison of something sampled with something proved.
        seconds: wall-clock time of the sampling and of what it was held against.
    """

    report: Report
    samples: Samples
    intervals: Intervals
    differences: Differences
    extremes: Extremes
    changes: Changes
    spectrum: Spectrum
    attention: tuple[Attention, ...]
    step: float | None
    held: tuple[Held, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 if the certified bracket of the sup error is closed, else 3."""
        return 0 if self.report.closed else 3


def run(model: Model | str, target: Target, options: Options, watch=lambda _: None) -> Probing:
    """Certify a model, probe it, and hold the one against the other.

    Args:
        model: a loaded model or the path of a model file; one input variable.
        target: what it is compared with.
        options: of the certification; slopes are always bracketed.
        watch: told after every step of the search.

    Raises:
        InternalError: something sampled is proved to lie outside something proved.
        UnreadableFile, Unsupported, BadRequest: see `certify.checking.check`.
        Missing: a library of the extra `probes` is not installed.
    """
    model = model if isinstance(model, Model) else load(model)
    return probe(check(model, target, replace(options, slopes=True), watch))


def probe(report: Report) -> Probing:
    """Probe a model that is certified already, slopes included.

    Raises:
        InternalError, Missing: see `run`.
    """
    began = time.perf_counter()
    known, tau, output = report.known, report.options.tau, report.options.output
    problem = report.outcome.problem
    derived = Problem(derive(compare(report.model, sp.Integer(0), output)), report.cells)
    samples = sample(problem.graph, report.cells, PER_CELL)
    hull = slope_hull(report, derived)
    cells = intervals(problem, report.target.expression, samples, known, (derived, hull))
    probes = differences(report.model, problem, report.slopes, derived, output or 0)
    target = replace(report.target, domain=report.options.domain)
    largest = extremes(problem, target, known, samples)
    cut = changes(samples, float(largest.plain.max()), tau)
    against = against_longest(problem, cut.plateaus, report.longest[:2], tau, known)
    x = torch.linspace(*report.options.domain, ROWS, dtype=torch.float64)
    rows = attention(report.model.graph, x)
    held = (*cells.held, *probes.held, largest.held, against)
    parts = cells, probes, largest, cut, spectrum(samples), rows, _step(report), held
    return Probing(report, samples, *parts, time.perf_counter() - began)


def _step(report: Report) -> float | None:
    """delta*, unless one step would cover the domain."""
    step, (lo, hi) = step_width(report), report.options.domain
    return step if step is not None and step < hi - lo else None


def slope_hull(report: Report, derived: Problem) -> Tensor:
    """(2, C), proved hull of the model's slopes on every cell, from the search's leaves."""
    leaves = report.slopes.outcome.state.leaves
    lo, hi = leaves.bounds[MODEL]
    empty = torch.full((len(report.cells),), torch.inf, dtype=torch.float64)
    least = empty.scatter_reduce(0, leaves.cell, lo, "amin")
    return torch.stack([least, (-empty).scatter_reduce(0, leaves.cell, hi, "amax")])
