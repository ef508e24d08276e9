"""Change points: stairs are cut where they step, smooth curves have no plateaus."""

from dataclasses import replace

import pytest
import torch
from known_models import Exp, Stairs, loaded

from certify.checking import check
from certify.frontend.agree import InternalError
from certify.options import Options
from certify.run import Limits
from probes.changes import Segment, against_longest, changes, is_plateau, segments
from probes.samples import sample

pytest.importorskip("ruptures")


@pytest.fixture(scope="module")
def stairs(tmp_path_factory):
    model = loaded(Stairs(), tmp_path_factory.mktemp("stairs"))
    return check(model, "exp", Options(cells=8, resolution=True, limits=Limits(budget=3)))


@pytest.fixture(scope="module")
def samples(stairs):
    return sample(stairs.outcome.problem.graph, stairs.cells, 128)


def test_stairs_are_cut_at_their_steps(stairs, samples):
    found = changes(samples, 0.1, 0.1)
    cuts = [s.hi for s in found.values[:-1]]
    assert len(cuts) == 7
    assert cuts == pytest.approx([-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75], abs=0.005)
    assert sum(s.plateau for s in found.values) >= 6
    assert 0.23 < found.plateaus[0].width <= stairs.longest[1]
    assert found.values[0].lo == -1 and found.values[-1].hi == 1


def test_a_smooth_model_has_segments_and_no_plateaus(tmp_path):
    report = check(loaded(Exp(), tmp_path), "exp", Options(cells=8))
    smooth = sample(report.outcome.problem.graph, report.cells, 64)
    found = changes(smooth, 1e-2, 0.1)
    assert len(found.values) > 20 and not found.plateaus
    assert found.scales == (1e-2, 2e-2 / 0.25)


@pytest.mark.parametrize("scale", [0.0, float("inf"), float("nan")])
def test_without_a_scale_nothing_is_cut(samples, scale):
    (one,) = segments(samples, samples.model.numpy(), scale, 0.1)
    assert (one.lo, one.hi) == (-1, 1)


def test_the_proof_of_a_plateau(stairs):
    problem, known = stairs.outcome.problem, stairs.known
    step = Segment(0.01, 0.24, 0.0, 0.0, True)
    assert is_plateau(problem, step, 0.1, known)
    assert not is_plateau(problem, replace(step, hi=0.26), 0.1, known)
    flat = replace(step, lo=0.1, hi=0.1005)  # exp varies too little there to decide
    assert not is_plateau(problem, flat, 0.1, known)
    total = torch.full_like(known.target_total, torch.inf)
    assert not is_plateau(problem, step, 0.1, replace(known, target_total=total))


def test_a_plateau_longer_than_the_longest_stops_with_its_ends(stairs):
    problem, known = stairs.outcome.problem, stairs.known
    step = Segment(0.01, 0.24, 0.0, 0.0, True)
    assert against_longest(problem, [step], stairs.longest[:2], 0.1, known).rounding == 0
    with pytest.raises(InternalError, match=r"x in \[0.01, 0.24\]"):
        against_longest(problem, [step], (0.0, 0.2299), 0.1, known)


def test_a_longer_one_that_is_not_proved_contradicts_nothing(stairs):
    problem, known = stairs.outcome.problem, stairs.known
    wide = Segment(0.01, 0.4, 0.0, 0.1, True)
    held = against_longest(problem, [wide], (0.0, 0.3), 0.1, known)
    assert (held.count, held.rounding) == (1, 1)
