"""Each cross-check passes on a true report and stops on a false one."""

from dataclasses import replace

import pytest
import torch

from certify.checking import check
from certify.crosschecks import Evidence, cross_check
from certify.frontend.agree import InternalError
from certify.options import Options
from certify.run import Limits
from certify.structure import Readout, Structure


@pytest.fixture(scope="module")
def evidence(tiny_file):
    report = check(str(tiny_file), "exp", Options(cells=4, slopes=True, limits=Limits(10)))
    points = report.outcome.state.points
    return Evidence(report.known, points, report.structure, report.target, report.slopes)


def test_the_truth_passes(evidence):
    found = cross_check(evidence)
    assert [check.theorem for check in found] == ["A1'", "A1-dual", "B1", "D4"]
    assert all(check.count > 0 for check in found)


def changed(tensor, factor):
    return torch.stack([tensor[0], tensor[1] * factor])


def lies(e):
    """Evidence that is false, by the theorem that shows it."""
    known, slopes = e.known, e.slopes
    yield "A1'", replace(e, known=replace(known, cell_sup=changed(known.cell_sup, 0.01)))
    yield (
        "A1-dual",
        replace(
            e,
            known=replace(
                known,
                variation=changed(known.variation, 0.0),
                cell_sup=known.cell_sup * 0.0 + 1e-3,
                range=known.range * 0.0 + known.target_inner,
            ),
        ),
    )
    yield "B1", replace(e, known=replace(known, sup=(0.0, 1e-6)))
    leaves = slopes.outcome.state.leaves
    steep = replace(leaves, bounds=leaves.bounds + 1.0)
    state = replace(slopes.outcome.state, leaves=steep)
    yield "D4", replace(e, slopes=replace(slopes, outcome=replace(slopes.outcome, state=state)))
    yield "C1", replace(e, structure=Structure("analytic", Readout(2, False, (5.0, 6.0))))
    nan = torch.full_like(known.cell_sup, float("nan"))
    yield "A1'", replace(e, known=replace(known, cell_sup=nan))


def test_a_lie_stops_the_run(evidence):
    for theorem, lie in lies(evidence):
        with pytest.raises(InternalError, match="cross-check violated") as stopped:
            cross_check(lie)
        assert f"({theorem})" in str(stopped.value)
