"""All outputs together: brackets against the textbook without tolerance, and against the parts."""

from __future__ import annotations

import itertools
import math
import pickle
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pairs
import pytest
import torch
from mpmath import mpf

import certify.together as together
from certify.checking import check
from certify.errors import BadRequest
from certify.far import far_pairs
from certify.frontend import load
from certify.graph import Builder
from certify.options import Options
from certify.report.data import as_data
from certify.report.text import render
from certify.run import Limits
from certify.search import assess
from certify.structure import Row, rows
from certify.verdict import Verdict
from theory.several import find_target_of
from theory.targets import TARGETS

LIMITS = Limits(20)
NORMS = pytest.mark.parametrize("norm", ["max", "2"])


def length(norm, entries):
    if norm == "max":
        return max(abs(e) for e in entries)
    return mpmath.sqrt(sum(e * e for e in entries))


def plain(known):
    """Brackets as lists, whose numbers mpmath compares exactly."""
    names = "cell_sup", "range", "variation", "target_variation"
    return SimpleNamespace(
        sup=known.sup, witness=known.witness, **{n: getattr(known, n).tolist() for n in names}
    )


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    """One input, two outputs, against exp(x)/2 and x^2."""
    module = pairs.Tanh(1)
    path = pairs.saved(module, 1, tmp_path_factory.mktemp("curve"))
    found = {
        norm: check(path, "exp(x)/2, x^2", Options(output="all", norm=norm, cells=4, limits=LIMITS))
        for norm in ("max", "2")
    }
    return module, path, found


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """Two inputs, two outputs, against sin(x1) and x2/4."""
    module = pairs.Tanh(2)
    path = pairs.saved(module, 2, tmp_path_factory.mktemp("plane"))
    options = Options(output="all", cells=4, limits=LIMITS)
    found = {n: check(path, "sin(x1),x2/4", replace(options, norm=n)) for n in ("max", "2")}
    return module, path, found


def wanted(x):
    if len(x) == 1:
        return [mpmath.exp(x[0]) / 2, x[0] ** 2]
    return [mpmath.sin(x[0]), x[1] / 4]


@NORMS
@pytest.mark.parametrize("which", ["curve", "plane"])
def test_the_norm_of_every_sample_lies_in_its_bracket(which, norm, request):
    """Errors, and distances of pairs in each cell, at 60 digits; the bracket is closed, too."""
    module, _, found = request.getfixturevalue(which)
    report = found[norm]
    known, variables = plain(report.known), report.target.variables
    side = [mpf(i) / 16 for i in range(-16, 17)] if variables == 1 else [
        mpf(i) / 4 for i in range(-4, 5)]  # fmt: skip
    with mpmath.workdps(60):
        values = {x: module.exact(list(x)) for x in itertools.product(side, repeat=variables)}
        errors = {
            x: length(norm, [a - b for a, b in zip(v, wanted(x), strict=True)])
            for x, v in values.items()
        }
        assert max(errors.values()) <= known.sup[1]
        at = [mpf(x) for x in known.witness]
        away = [a - b for a, b in zip(module.exact(at), wanted(at), strict=True)]
        assert length(norm, away) >= known.sup[0]
        for cell, box in enumerate(report.cells.tolist()):
            mine = [x for x in values if all(a <= v <= b for v, (a, b) in zip(x, box, strict=True))]
            assert len(mine) >= 9
            assert max(errors[x] for x in mine) <= known.cell_sup[1][cell]
            for of, bound in ((values.get, known.variation), (wanted, known.target_variation)):
                spread = max(
                    length(norm, [a - b for a, b in zip(of(x), of(y), strict=True)])
                    for x, y in itertools.combinations(mine, 2)
                )
                assert spread <= bound[1][cell]
            inside = [v for x in mine for v in values[x]]
            assert known.range[0][cell] <= min(inside) and max(inside) <= known.range[1][cell]
    assert report.closed and report.outcome.stopped_by == "closed"


@NORMS
def test_a_lower_bound_of_a_variation_is_reached(curve, norm):
    """On a curve by two of 257 points of each cell, to a part in a thousand."""
    module, _, found = curve
    known = plain(found[norm].known)
    for cell, ((lo, hi),) in enumerate(found[norm].cells.tolist()):
        with mpmath.workdps(30):
            x = [mpf(lo) + (mpf(hi) - lo) * i / 64 for i in range(65)]
            for of, bound in ((module.exact, known.variation), (wanted, known.target_variation)):
                v = [of([at]) for at in x]
                spread = max(
                    length(norm, [a - b for a, b in zip(p, q, strict=True)])
                    for p, q in itertools.combinations(v, 2)
                )
                assert bound[0][cell] <= spread * mpf("1.001")


def test_the_max_norm_is_the_largest_of_all_outputs(curve, plane):
    """To the bit, of each bracket; a report of one output is what `--output` gives."""
    for _, path, found in (curve, plane):
        known, parts = found["max"].known, found["max"].together.parts
        for number, part in enumerate(parts):
            alone = check(path, part.target, replace(part.options, limits=LIMITS))
            assert alone.known.sup == part.known.sup and part.options.output == number
        assert known.sup == tuple(max(p.known.sup[i] for p in parts) for i in (0, 1))
        for name in ("cell_sup", "variation", "target_variation", "target_total"):
            stacked = torch.stack([getattr(part.known, name) for part in parts])
            assert torch.equal(getattr(known, name), stacked.amax(0)), name


def test_the_two_norm_lies_between_its_entries_and_their_length(curve, plane):
    for _, _, found in (curve, plane):
        known, parts = found["2"].known, found["2"].together.parts
        for name in ("cell_sup", "variation", "target_variation"):
            for cell in range(len(found["2"].cells)):
                lo, hi = map(Fraction, getattr(known, name)[:, cell].tolist())
                own = [getattr(part.known, name)[:, cell].tolist() for part in parts]
                assert lo >= max(Fraction(low) for low, _ in own)
                assert hi <= Fraction(math.nextafter(
                    math.sqrt(sum(high**2 for _, high in own)), math.inf))  # fmt: skip


def test_errors_that_are_never_large_together_are_seen_to_be(tmp_path):
    """(x1 + x2, x1 - x2) against 0: the 2-norm is sqrt(2) |x|, at most 2, not sqrt(8)."""
    path = pairs.saved(pairs.Turn(), 2, tmp_path)
    report = check(path, "0*x1", Options(output="all", norm="2", cells=1, limits=LIMITS))
    lo, hi = report.known.sup
    assert lo <= 2 <= hi <= 1.01 * lo
    assert report.known.cell_sup[1, 0] == hi


def test_how_loose_a_variation_in_the_two_norm_may_be(tmp_path):
    """Its diameter is 2 on a square of side 1, and that is not known from above: both entries vary
    by 2, so the bound is sqrt(8). From below a pair of corners shows all of it."""
    path = pairs.saved(pairs.Turn(), 2, tmp_path)
    options = Options(output="all", norm="2", cells=4, domain=(0.0, 2.0), limits=LIMITS)
    lo, hi = check(path, "x1,x2", options).known.variation
    assert bool((lo <= 2).all() & (lo > 1.999999).all())
    assert bool((hi >= math.sqrt(8) - 1e-15).all() & (hi < 2.8285).all())


@NORMS
def test_claims_are_about_the_norm(curve, norm):
    _, path, found = curve
    lo, hi = found[norm].known.sup
    most = float(found[norm].known.variation[1].max())
    base = Options(output="all", norm=norm, cells=4, limits=LIMITS)

    def verdicts(**claims):
        report = check(path, "exp(x)/2,x^2", replace(base, **claims))
        return report.exit_code, [claim.verdict.value for claim in report.claims], report

    code, found_, report = verdicts(within=1.1 * hi, constant_up_to=1.1 * most, no_plateau=True)
    assert found_[:2] == ["PROVED", "PROVED"]
    assert f"||model - (exp(x)/2,x^2)||_{norm} <= " in render(report)
    code, found_, report = verdicts(within=0.9 * lo, constant_up_to=0.5 * most)
    assert (code, found_) == (1, ["REFUTED", "REFUTED"])
    assert report.claims[0].witness == report.known.witness[0]
    assert "in the " + ("2-norm" if norm == "2" else "max norm") in report.claims[1].says


def test_a_threshold_between_the_norms_tells_them_apart(curve):
    """Within some bound in the max norm, and not in the 2-norm."""
    _, path, found = curve
    between = (found["max"].known.sup[1] + found["2"].known.sup[0]) / 2
    options = Options(output="all", cells=4, within=between, limits=LIMITS)
    assert found["max"].known.sup[1] < between < found["2"].known.sup[0]
    for norm, verdict in (("max", Verdict.PROVED), ("2", Verdict.REFUTED)):
        (claim,) = check(path, "exp(x)/2,x^2", replace(options, norm=norm)).claims
        assert claim.verdict is verdict


def test_plateaus_are_those_of_the_whole_vector(tmp_path):
    """An output that is constant where its target varies is a plateau alone, and not together with
    one that follows a target of the same size."""

    class Half(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x, 0 * x], 1)

    path = pairs.saved(Half(), 1, tmp_path)
    for norm in ("max", "2"):
        options = Options(
            output="all", norm=norm, cells=4, no_plateau=True, abs_gap=1e-9, limits=LIMITS
        )
        report = check(path, "x", options)
        assert [p.plateaus.overall() for p in report.together.parts] == [
            Verdict.REFUTED, Verdict.PROVED]  # fmt: skip
        assert report.plateaus.overall() is Verdict.REFUTED and report.exit_code == 0


def test_targets_are_taken_in_every_form(curve):
    _, path, _ = curve
    options = Options(output="all", cells=1, limits=LIMITS)
    one = check(path, "exp", options)
    assert [part.target.name for part in one.together.parts] == ["exp", "exp"]
    assert one.target.name == "exp"
    two = check(path, (TARGETS["exp"], TARGETS["sin"]), options)
    assert two.target.name == "exp,sin" and two.target.text == "exp(x), sin(x)"
    same = check(path, TARGETS["exp"], options)
    assert same.known.sup == one.known.sup
    alone = check(path, "exp(x)/2, x^2", Options(output=1, cells=1, limits=LIMITS))
    assert alone.target.text == "x^2"
    with pytest.raises(BadRequest, match="3 expressions, the model 2 outputs"):
        check(path, "x,x,x", options)
    with pytest.raises(BadRequest, match="there are 1 targets"):
        check(path, (TARGETS["exp"],), options)
    with pytest.raises(BadRequest, match="different domains"):
        check(path, "exp,sqrt", options)
    with pytest.raises(BadRequest, match="different domains"):
        check(path, (TARGETS["exp"], TARGETS["sqrt"]), options)
    check(path, "exp,sqrt", replace(options, domain=(0.25, 1.0)))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"windows": 0.5}, "--windows"),
        ({"resolution": True}, "--resolution"),
        ({"monotone": True}, "--monotone"),
        ({"lipschitz": 1.0}, "--lipschitz"),
        ({"slopes": True}, "--slopes"),
        ({"semantics": "float32"}, "--semantics float32"),
    ],
)
def test_what_is_about_one_output_is_refused(curve, asked, says):
    with pytest.raises(BadRequest, match=f"{says} needs one output: --output INDEX"):
        check(curve[1], "x", Options(output="all", **asked))


def test_options_that_have_no_meaning():
    for wrong in ({"norm": "1", "output": "all"}, {"norm": "2"}, {"output": "some"}):
        with pytest.raises(BadRequest, match="must be"):
            Options(**wrong)


def test_the_report_has_every_output(curve):
    _, _, found = curve
    for norm, report in found.items():
        data = as_data(report)
        assert data["norm"] == norm and data["schema"] == "certify-report/1"
        assert data["target"]["expression"] == "exp(x)/2, x^2"
        assert [one["output"] for one in data["outputs"]] == [0, 1]
        for one, part in zip(data["outputs"], report.together.parts, strict=True):
            assert one["sup_error"]["lo_hex"] == part.known.sup[0].hex()
            assert len(one["cells"]) == len(data["cells"]) == 4
        assert data["sup_error"]["hi_hex"] == report.known.sup[1].hex()
        text = render(report)
        assert "output 0 against exp(x)/2: sup error in [" in text
        assert "This is about 2 outputs together" in text
    alone = as_data(found["max"].together.parts[0])
    assert alone["norm"] is None and alone["outputs"] is None


def test_an_interrupted_search_still_bounds_everything(curve):
    """Ctrl-C in the first search: the others only begin."""
    _, path, found = curve
    steps = []

    def watch(progress):
        steps.append(progress.seconds)
        if len(steps) == 2:
            raise KeyboardInterrupt

    options = Options(output="all", norm="2", cells=4, gap=1e-9, limits=Limits(60))
    report = check(path, "exp(x)/2,x^2", options, watch)
    assert report.outcome.stopped_by == "interrupt" and report.outcome.seconds < 20
    lo, hi = report.known.sup
    assert lo <= found["2"].known.sup[1] and hi >= found["2"].known.sup[0]
    assert steps == sorted(steps)


def test_what_does_not_get_measured_in_time_is_not_used(plane, monkeypatch):
    """Pairs of inputs beyond the first batch are dropped, and the bracket holds without them."""
    _, _, found = plane
    parts = found["2"].together.parts
    monkeypatch.setattr("certify.far.BATCH", 3)
    far = far_pairs(parts, -1.0)
    assert len(far.points[0].x) == 3
    assert all(max(pair) < 3 for pairs in far.pairs for pair in pairs.values())
    assert far.squares(0, 999) == 0
    less = together._brackets("2", [p.known for p in parts], found["2"].together.squares, far)
    assert bool((less.variation[0] <= found["2"].known.variation[0]).all())
    assert bool((less.variation[1] == found["2"].known.variation[1]).all())


def test_a_layer_norm_without_head_has_a_floor(tmp_path):
    """Theorem C2: targets x1 and x2 take the corners of a square of half width 1, so no weights
    bring the error below 1, in either norm; targets of one input have no such floor."""
    path = pairs.saved(pairs.Readout(), 2, tmp_path)
    (row,) = rows(load(path).graph)
    assert row == Row((0, 1), (Fraction(1, 2), Fraction(-2)), (Fraction(1, 4), Fraction(1)))
    for norm in ("max", "2"):
        options = Options(output="all", norm=norm, cells=1, gap=0.1, limits=Limits(3))
        report = check(path, "x1,x2", options)
        assert 0.999 < report.together.floor <= 1 <= report.known.sup[1]
        assert "C2" in {c.theorem for c in report.crosschecks}
        assert as_data(report)["structure"]["readout"]["theorem"] == "C2"
        assert "(theorem C2)" in render(report) and "(theorem C2-own)" in render(report)
        # 2 (x1 - 1/4) - (x2 - 1) / 2 = 2 x1 - x2 / 2, whose size is at most 5/2, at (1, -1)
        own = Fraction(report.together.own_floor)
        most = Fraction(1) if norm == "max" else Fraction(625, 425)  # its square
        assert 0.999999 * most < own**2 <= most
        assert "C2-own" in {c.theorem for c in report.crosschecks}
    report = check(path, "x1,2*x1", options)
    assert report.together.floor == 0 and "C2" not in {c.theorem for c in report.crosschecks}
    wide = check(path, "x1,x2/4", options)
    assert 0.249 < wide.together.floor <= 0.25


def test_rows_are_all_features_of_one_layer_norm():
    """A selection, a feature twice, or a head: theorem C2 does not speak of it."""

    def of(index, head=False):
        b = Builder((2,))
        x = b.affine(0, weight=np.array([[1.0, 2.0], [-3.0, 1.0], [0.5, 4.0]]))
        x = b.reshape(x, (1, 3))
        c = b.affine(x, weight=3 * np.eye(3) - np.ones((3, 3)), divisor=3.0)
        from theory.functions import FUNCTIONS

        square = b.apply(FUNCTIONS["square"], c)
        mean = b.affine(square, weight=np.ones((1, 3)), divisor=3.0, bias=np.full(1, 1e-5))
        z = b.scale_rows(c, b.apply(FUNCTIONS["rsqrt"], mean))
        z = b.affine(z, weight=np.eye(3)) if head else z
        return [row.numbers for row in rows(b.graph(model=b.gather(z, np.array(index))))]

    assert of([0, 1, 2]) == [(0, 1, 2)] and of([2, 0, 1]) == [(0, 1, 2)]
    assert of([0, 1]) == of([0, 1, 1]) == of([0, 1, 2, 2]) == of([0, 1, 2], head=True) == []


def test_a_scheme_has_an_entry_for_each_output():
    for number in range(2):
        found = find_target_of("scheme-one", 4, None, number)
        assert found.text.replace(" ", "") == f"(x{number + 1}+x{number + 3})"


def test_the_sum_of_squares_travels_to_other_processes(plane):
    """Pickled and read back, it encloses the same."""
    problem = plane[2]["2"].together.squares.problem
    box, cell = problem.cells, torch.arange(len(problem.cells))
    one = assess(problem, box, cell)
    other = assess(pickle.loads(pickle.dumps(problem)), box, cell)
    assert torch.equal(one.bounds, other.bounds) and torch.equal(one.rem, other.rem)
    assert bool((one.bounds[0] == one.bounds[2]).all() & (one.bounds[1] == 0).all())


def test_an_output_of_no_gain_is_its_offset(tmp_path):
    """Its error alone is a floor: |x1 - 1/4| is at most 5/4."""
    module = pairs.Readout()
    with torch.no_grad():
        module.norm.weight[0] = 0.0
    path = pairs.saved(module, 2, tmp_path)
    options = Options(output="all", cells=1, gap=0.5, limits=Limits(2))
    assert 1.249999 < check(path, "x1,x2", options).together.own_floor <= 1.25


def test_a_head_has_no_floor(curve):
    """Nor has a model without a LayerNorm."""
    _, _, found = curve
    for report in found.values():
        assert report.together.floor == report.together.own_floor == 0
        assert report.structure.readout is None
