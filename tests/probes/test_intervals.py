"""Interval tests: oscillations as they are, and faked bounds noticed."""

from dataclasses import replace

import pytest
import sympy as sp
import torch
from known_models import Exp, Line, Relu, loaded

from certify.checking import check
from certify.derivative import derive
from certify.frontend.agree import InternalError
from certify.frontend.target import compare
from certify.options import Options
from certify.search import Problem
from probes.intervals import compared, has_kinks, intervals, ratios, target_problem
from probes.running import slope_hull
from probes.samples import sample
from theory.targets import find_target


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    model = loaded(Line(slope=2.0), tmp_path_factory.mktemp("line"))
    report = check(model, "exp", Options(cells=4, slopes=True))
    derived = Problem(derive(compare(model, sp.Integer(0), None)), report.cells)
    problem = report.outcome.problem
    samples = sample(problem.graph, report.cells, 16)
    slopes = derived, slope_hull(report, derived)
    return problem, report.target.expression, samples, report.known, slopes


def test_oscillations_of_a_line_and_of_exp(parts):
    found = intervals(*parts)
    assert found.model.tolist() == pytest.approx([1.0] * 4, abs=1e-14)
    ends = torch.exp(torch.tensor([-1, -0.5, 0, 0.5, 1], dtype=torch.float64))
    assert found.target.tolist() == pytest.approx(ends.diff().tolist(), abs=1e-14)
    assert found.slope.tolist() == [2.0] * 4
    assert bool((found.least <= found.model + 1e-15).all() and (found.least > 0.9999).all())
    assert ratios(found).tolist() == pytest.approx((1 / ends.diff()).tolist())
    assert bool((compared(parts[3], found) <= 1).all() and (compared(parts[3], found) > 0.99).all())
    assert [h.count for h in found.held] == [4, 4, 4 * 17, 4 * 17, 4 * 17]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("variation", "the model's sampled oscillation"),
        ("target_variation", "the target's sampled oscillation"),
        ("range", "the model's samples lie in its proved range"),
        ("cell_sup", "sampled errors are at most"),
    ],
)
def test_a_bound_that_is_too_tight_stops_with_the_witness(parts, name, says):
    true = getattr(parts[3], name)
    tight = true.clone()
    tight[1, 2] -= 1e-3 * tight[1, 2].abs()
    known = replace(parts[3], **{name: tight})
    with pytest.raises(InternalError, match=f"sandwich violated: {says}") as caught:
        intervals(*parts[:3], known, parts[4])
    at = float(str(caught.value).split("x = ")[1].split(":")[0])
    assert 0 <= at <= 0.5


def test_slopes_that_are_too_tight_stop_with_the_witness(parts):
    derived, hull = parts[4]
    with pytest.raises(InternalError, match="sampled slopes lie in the proved slopes"):
        intervals(*parts[:4], (derived, hull - 1e-9))


@pytest.mark.parametrize(("module", "kinked"), [(Relu(), True), (Line(), False), (Exp(), False)])
def test_kinks_are_those_of_the_functions_applied(module, kinked, tmp_path):
    model = loaded(module, tmp_path)
    # the target's kink is none of the model's
    assert has_kinks(compare(model, find_target("cbrt").expression, None)) is kinked


def test_the_target_is_proved_without_the_model(parts):
    target = find_target("sin3")
    alone = target_problem(target.expression, parts[0])
    from probes.differences import proof

    x = torch.tensor([0.3], dtype=torch.float64)
    lo, hi = proof(alone)(x).reshape(-1).tolist()
    assert lo <= 0.7833269096274834 <= hi and hi - lo < 1e-12


def test_a_sampled_oscillation_is_what_its_proofs_leave(parts, monkeypatch):
    """Greatest value's lower end less least value's upper end, whatever the float64 values say."""
    from probes import intervals as module

    def loose(problem, which=0):
        def prove(x):
            return torch.stack([2 * x - 0.125, 2 * x + 0.25])

        return prove

    monkeypatch.setattr(module, "proof", loose)
    samples, most = parts[2], torch.full((4,), 9.0, dtype=torch.float64)
    _, low = module._oscillation(parts[0], samples, samples.model, most, "model")
    assert low.tolist() == pytest.approx([1 - 0.375] * 4, abs=1e-12)
    assert bool((low <= 0.625).all())
