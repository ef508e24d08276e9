"""The paper's claim decided: stairs, two values, constants, lines, the trained zoo."""

import math
import re

import known_models as models
import pytest

from certify.checking import check
from certify.options import Options
from certify.report.text import render
from certify.report.words import paragraph
from certify.run import Limits
from certify.verdict import Verdict
from probes.witnesses.plateaus import longest_sampled

LIMITS = Limits(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plateaus")


@pytest.fixture(scope="module")
def stairs(folder):
    return models.loaded(models.Stairs(), folder)


def test_extents_of_stairs(stairs):
    """Each of the eight steps is a plateau, known to 1 %."""
    report = check(stairs, "exp", Options(no_plateau=True, limits=LIMITS))
    lo, hi, window = report.longest
    true = longest_sampled(models.Stairs().double().eval(), 0.1)
    assert lo <= true + 2 / 2000 and true <= hi and hi <= 1.01 * lo
    assert window is not None and window[1] - window[0] >= lo
    assert report.exit_code == 1 and report.claims[0].verdict is Verdict.REFUTED
    assert "has plateaus" in paragraph(report) and "longest 0.1-plateau" in paragraph(report)


def test_extent_of_two_values(folder):
    module = models.TwoValues()
    report = check(models.loaded(module, folder), "exp", Options(limits=LIMITS))
    lo, hi, _ = report.longest
    true = longest_sampled(module, 0.1)
    assert lo <= true + 2 / 2000 and true <= hi and hi <= 1.01 * lo
    assert report.plateaus.overall() is Verdict.PROVED
    assert "LayerNorm over 2 features without a linear head" in paragraph(report)
    floor = math.e - 1
    assert report.known.sup[0] >= floor and "at least 1.718 (theorem A1')" in paragraph(report)


def test_sliding_windows(stairs):
    """A window of width 0.2 fits on a step, one of 0.3 does not."""
    for width, verdict in ((0.2, Verdict.REFUTED), (0.3, Verdict.PROVED)):
        report = check(stairs, "exp", Options(windows=width, no_plateau=True, limits=LIMITS))
        (claim,) = report.claims
        assert (claim.label, claim.verdict) == ("no-plateau-window", verdict)
        assert claim.numbers == {"tau": 0.1, "width": width}
        if verdict is Verdict.REFUTED:
            ours, theirs = numbers(claim, "the window", "exp")
            a, b = claim.witness
            assert claim.reason.startswith(f"[{a!r}, {b!r}] is one: ")
            assert ours <= 0.1 * theirs and 0 < theirs <= math.exp(b) - math.exp(a)


def numbers(claim, where, name):
    """What a reason says of the model's variation and of the target's."""
    found = re.search(rf"by at (?:most|least) (\S+) where {name} varies by at \w+ ([^;\s]+)",
                      claim.reason)  # fmt: skip
    assert found, f"{claim.reason} of {where}"
    return [float(number) for number in found.groups()]


def test_a_claim_about_cells_names_one_and_both_variations(stairs):
    """Of 128 cells some contain a jump of the stairs, the others do not; the last one does not."""
    for count, verdict in ((128, Verdict.REFUTED), (4, Verdict.PROVED)):
        report = check(stairs, "exp", Options(cells=count, no_plateau=True, limits=LIMITS))
        (claim,), known = report.claims, report.known
        assert claim.verdict is verdict
        cell = int(re.search(r"on cell (\d+), ", claim.reason).group(1))
        lo, hi = report.cells[cell, 0].tolist()
        assert f"on cell {cell}, [{lo!r}, {hi!r}]: varies by at " in claim.reason
        ours, theirs = numbers(claim, "the cell", "exp")
        if verdict is Verdict.REFUTED:
            assert claim.witness == cell == 127
            assert float(known.variation[1, cell]) <= ours <= 0.1 * theirs
            assert theirs <= float(known.target_variation[0, cell])
            none = int(report.plateaus.refuted.sum())
            assert claim.reason.endswith(f"; none on the other {none} deciding cells")
        else:
            assert claim.witness is None and claim.reason.startswith("plateau on 0, none on 4 of 4")
            assert 0.1 * theirs < ours <= float(known.variation[0, cell])
            assert theirs >= float(known.target_variation[1, cell])


@pytest.mark.parametrize(
    ("name", "target", "overall", "says"),
    [
        ("Constant", "exp", Verdict.PROVED, "It is constant: nothing leads"),
        ("Constant", "1/3", Verdict.UNDECIDED, "Plateaus are not an issue here"),
        ("Line", "exp", Verdict.REFUTED, "it is non-decreasing"),
        ("Line", "1/3", Verdict.UNDECIDED, "Plateaus are not an issue here"),
        ("Exp", "exp", Verdict.REFUTED, "at no width"),
        ("Line", "2*x+1/8", Verdict.REFUTED, "at no width"),
        ("Relu", "x", Verdict.PROVED, "continuous and piecewise analytic"),
    ],
)
def test_special_cases(folder, name, target, overall, says):
    """No division by zero, no plateau where nothing decides, and words that fit."""
    module = models.Line(0.0, 0.7) if name == "Constant" else getattr(models, name)()
    options = Options(cells=8, slopes=True, limits=Limits(60))
    report = check(models.loaded(module, folder), target, options)
    assert report.plateaus.overall() is overall
    assert says in paragraph(report) and "nan" not in render(report)
    assert all(lo <= hi for lo, hi, _ in [report.longest])


def test_the_trained_encoder_is_no_staircase():
    report = check("probes/zoo/exp.pt", "exp", Options(width=1 / 16, no_plateau=True))
    assert report.claims[0].verdict is Verdict.PROVED
    assert bool((report.plateaus.deciding & report.plateaus.refuted).all())
    assert report.longest == (0.0, 0.0, None)
    assert "not piecewise constant at resolution 0.0625: on all 32 cells" in paragraph(report)
