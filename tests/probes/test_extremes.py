"""Multistart refinement: known maxima found, thin peaks found, false bounds noticed."""

import math
from dataclasses import replace

import pytest
import torch
from known_models import Line, loaded

from certify.checking import check
from certify.frontend.agree import InternalError
from certify.options import Options
from probes.extremes import extremes, maxima
from probes.samples import sample


def found_in(report, known=None):
    problem = report.outcome.problem
    grid = sample(problem.graph, report.cells, 512)
    return extremes(problem, report.target, known or report.known, grid)


@pytest.fixture(scope="module")
def zero(tmp_path_factory):
    return loaded(Line(0.0, 0.0), tmp_path_factory.mktemp("zero"))


def test_the_maxima_of_a_sine_are_found_to_the_last_digits(zero):
    report = check(zero, "sin(3*x)", Options(cells=4))
    grid = torch.linspace(-1, 1, 30, dtype=torch.float64)  # without +-pi/6
    x = maxima(report.outcome.problem, grid, torch.sin(3 * grid).abs())
    for place in (math.pi / 6, -math.pi / 6):
        assert float((x - place).abs().min()) < 1e-7
    found = found_in(report)
    assert 1 - 1e-12 <= float(found.proved.max()) <= report.known.sup[1]
    assert bool((found.plain.diff() <= 0).all())


def test_ends_of_the_domain_are_candidates(zero):
    report = check(zero, "exp", Options(cells=4))
    found = found_in(report)
    assert float(found.x[0]) == 1.0


def test_a_peak_between_grid_points_is_found(zero):
    """Near 0 this moves within one step of a uniform grid; finer steps see it."""
    report = check(zero, "cbrt(x) - 2*tanh(3000*x)", Options(cells=4))
    found = found_in(report)
    lo, hi = report.known.sup
    assert 0.999 * lo <= float(found.proved.max()) <= hi


def test_a_false_bound_is_noticed(zero):
    report = check(zero, "sin(3*x)", Options(cells=4))
    cells = report.known.cell_sup.clone()
    cells[1, 3] = 1 - 1e-9
    with pytest.raises(InternalError, match=r"sup error of their cells does not hold at x = 0\.52"):
        found_in(report, replace(report.known, cell_sup=cells))
