"""Slopes against dense sampling, and the claims that rest on them."""

import math
import re

import known_models as models
import pytest
import torch

from certify.checking import check
from certify.errors import BadRequest, Unsupported
from certify.options import Options
from certify.ranges import ranges
from certify.run import Limits
from certify.slopes import Slopes, covering
from certify.verdict import Verdict
from theory.expressions import parse


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("slopes")


@pytest.fixture(scope="module")
def relu(folder):
    options = Options(slopes=True, monotone=True, lipschitz=2.9, cells=8, limits=Limits(10))
    return check(models.loaded(models.Relu(), folder), "x^2", options)


def test_kinks_end_the_pieces(relu):
    """Slopes 0, 1, 3, -1 from kink to kink; each is bracketed to rounding."""
    found = relu.slopes
    assert found.least[0] <= -1 <= found.least[1] and found.least[1] - found.least[0] < 1e-9
    assert found.greatest[0] <= 3 <= found.greatest[1] < 3 + 1e-9
    (falling,) = [run for run in found.falling if run[0] > 0]
    assert 0.25 <= falling[0] < 0.2505 and falling[1] == 1.0
    (rising,) = [run for run in found.rising if run[1] > 0]
    assert rising[0] <= -0.4995 and 0.2495 < rising[1] <= 0.25
    low, high = covering(found, 0.01, 0.2)
    assert low <= 3 <= high and high - low < 1e-9


def test_refuted_claims_say_where_and_by_how_much(relu):
    module, (monotone, lipschitz) = models.Relu().double().eval(), relu.claims
    every = [monotone, monotone, lipschitz]
    changes = []
    for claim, word in zip(every, ("falls", "rises", "rises"), strict=True):
        said = re.search(rf"it {word} by (\S+) or more from x = (\S+) to (\S+?)[;:]", claim.reason)
        least, *ends = map(float, said.groups())
        with torch.no_grad():
            low, high = (float(module(torch.tensor([[x]]).double())) for x in ends)
        change = low - high if word == "falls" else high - low
        assert 0.999 * change < least <= change
        changes.append(change / (ends[1] - ends[0]))
    steep = float(re.search(r": (\S+) times their distance", lipschitz.reason).group(1))
    assert 2.9 < 0.999 * changes[-1] < steep <= changes[-1] + 1e-12
    assert "least slope in [-1" in monotone.reason and ", greatest in [" in monotone.reason


@pytest.mark.parametrize("least", [(-5.0, -4.0), (-1.0, 0.5), (2.0, 2.5)])
@pytest.mark.parametrize("greatest", [(-3.0, -2.0), (-0.5, 1.0), (3.0, 7.0)])
def test_the_lipschitz_constant_is_that_of_falls_and_rises(least, greatest):
    """Whatever slopes the brackets hold, the larger magnitude lies in the bracket; tightly."""
    if least[0] > greatest[0] or least[1] > greatest[1]:
        least, greatest = greatest, least
    found = Slopes(None, None, least, greatest, [], [], [], [], False).lipschitz
    pairs = [(s, t) for s in least for t in greatest if s <= t]
    sizes = [max(abs(s), abs(t)) for s, t in pairs]
    assert found[0] <= min(sizes) and max(sizes) <= found[1]
    assert found[1] == max(-least[0], greatest[1])


def test_claims_are_refuted_by_pairs(relu):
    module = models.Relu()

    def value(x):
        return float(module(torch.tensor(x, dtype=torch.float64)))

    monotone, lipschitz = relu.claims
    assert monotone.verdict is lipschitz.verdict is Verdict.REFUTED
    (a, b), (c, d) = monotone.witness
    assert a < b and value(a) > value(b) and c < d and value(c) < value(d)
    a, b = lipschitz.witness
    assert value(b) - value(a) > 2.9 * (b - a)


def test_slow_stretches_of_a_line(folder):
    """|0.25| <= 0.5 |2 x| where |x| >= 1/4."""
    options = Options(slopes=True, tau=0.5, cells=4, limits=Limits(10))
    found = check(models.loaded(models.Line(0.25), folder), "x^2", options).slopes
    (first, second), ((lo, hi),) = found.slow, found.unclear[:1]
    assert first[0] == -1 and -0.2505 < first[1] <= -0.25
    assert 0.25 <= second[0] < 0.2505 and second[1] == 1
    assert lo <= -0.25 <= hi and hi - lo < 1e-3


def test_the_zoo_is_monotone_and_bounded():
    """The trained exp model rises everywhere; sup |model' - exp'| is bracketed."""
    options = Options(monotone=True, lipschitz=2.7, cells=8)
    report = check("probes/zoo/exp.pt", "exp", options)
    assert [claim.verdict for claim in report.claims] == [Verdict.PROVED] * 2
    assert "non-decreasing" in report.claims[0].reason
    lo, hi = report.slopes.known.sup
    assert 0 < lo <= hi <= 1.01 * lo
    assert {check.theorem for check in report.crosschecks} >= {"A1'", "A1-dual", "B1", "D4"}


@pytest.mark.parametrize("order", [0, 1, 2])
def test_ranges_of_derivatives(folder, order):
    """exp and all its derivatives lie in [1, e] on [0, 1]; relu has no second one."""
    model = models.loaded(models.Exp(), folder)
    options = Options(domain=(0.0, 1.0), cells=1, limits=Limits(5))
    (known,) = ranges(model, options, derivative=order).outputs.values()
    (low,), (high,) = known.range.tolist()
    assert 0.99 < low <= 1 and math.e <= high < 2.75
    if order == 2:
        with pytest.raises(Unsupported, match="no slopes"):
            ranges(models.loaded(models.Relu(), folder), options, derivative=order)


def test_a_target_that_jumps_has_no_slopes(folder):
    options = Options(slopes=True, cells=2, limits=Limits(5))
    report = check(models.loaded(models.Line(), folder), "sign(x+0.3)*1", options)
    assert not report.slopes.target and report.slopes.least[0] > 1.99
    assert parse("sign(x+0.3)") is not None


def test_windows_wider_than_the_domain_are_refused(tiny_file):
    with pytest.raises(BadRequest, match="wider than the domain"):
        check(str(tiny_file), "exp", Options(windows=2.5))
    with pytest.raises(BadRequest, match="--lipschitz"):
        Options(lipschitz=float("nan"))
    with pytest.raises(BadRequest, match="--windows"):
        Options(windows=0.0)
