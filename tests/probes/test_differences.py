"""Finite differences: proved quotients are right, wrong enclosures are noticed, kinks are seen."""

import functools
import math
from fractions import Fraction

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_models import Exp, Relu, loaded
from mpmath import mp, mpf

from certify.derivative import derive
from certify.frontend.agree import InternalError
from certify.frontend.target import compare
from certify.options import Options, partition
from certify.run import Limits
from certify.search import Problem
from certify.slopes import slopes
from probes import differences as module
from probes.differences import differences, enclosures, quotient, steps

FINITE = st.floats(-1e3, 1e3)


def problems(model, cells=8):
    domain = partition(-1.0, 1.0, Options(cells=cells))
    value = compare(model, sp.Integer(0), None)
    return Problem(value, domain), Problem(derive(value), domain)


@functools.cache
def proved(model):
    problem, derived = problems(model)
    options = Options(domain=(-1.0, 1.0), cells=8, limits=Limits(budget=2))
    return problem, derived, slopes(model, sp.Integer(0), options, problem.cells)


def probed(model):
    problem, derived, found = proved(model)
    return differences(model, problem, found, derived, 0)


@pytest.fixture(scope="module")
def exp(tmp_path_factory):
    return loaded(Exp(), tmp_path_factory.mktemp("exp"))


@pytest.fixture(scope="module")
def relu(tmp_path_factory):
    return loaded(Relu(), tmp_path_factory.mktemp("relu"))


@pytest.fixture(scope="module")
def of_exp(exp):
    return probed(exp)


@given(FINITE, FINITE, FINITE, FINITE, st.floats(-1, 0.9), st.floats(1e-9, 0.1))
def test_quotients_of_brackets_hold_those_of_all_values_in_them(a, b, c, d, x, h):
    first, second, y = sorted((a, b)), sorted((c, d)), x + h
    lo, hi = quotient((x, y), first, second)
    ends = [(Fraction(v) - Fraction(u)) / (Fraction(y) - Fraction(x))
            for u in first for v in second]  # fmt: skip
    assert (lo, hi) == (min(ends), max(ends))


def test_quotients_of_what_is_unknown_are_unknown():
    assert quotient((0.0, 1.0), [-math.inf, 1.0], [0.0, 2.0]) == (-1, math.inf)
    assert quotient((0.0, 1.0), [0.0, 1.0], [0.0, math.inf]) == (-1, math.inf)


def test_every_probe_of_exp_agrees_with_the_textbook(of_exp):
    mp.prec = 200
    d = of_exp
    assert len(d.x) == 8 and bool(d.inside.all() & d.meets.all() & d.agrees.all())
    for i, x in enumerate(d.x.tolist()):
        true, h = mp.exp(mpf(x)), mpf(float(d.step[i]))
        assert abs(mpf(float(d.richardson[i])) - true) <= float(d.truncation[i] + d.rounding[i])
        # proved: the true slope, and the true quotients of both steps
        lo, hi = (mpf(v) for v in d.certified[:, i].tolist())
        assert lo <= true <= hi
        low, high = (mpf(v) for v in d.quotients[:, i].tolist())
        for s in (h, h / 2):
            assert low <= (mp.exp(x + s) - mp.exp(x - s)) / (2 * s) <= high
    assert [h.count for h in d.held] == [48, 8]


def test_rounding_is_bounded_by_what_it_is(of_exp):
    """The float64 quotient differs from that of the real values by no more."""
    mp.prec, d = 200, of_exp
    for i, x in enumerate(d.x.tolist()):
        ends = [(x - s, x + s) for s in (float(d.step[i]), float(d.step[i]) / 2)]
        wide, near = ((mp.exp(mpf(b)) - mp.exp(mpf(a))) / (mpf(b) - mpf(a)) for a, b in ends)
        assert abs(mpf(float(d.richardson[i])) - (4 * near - wide) / 3) <= float(d.rounding[i])


def test_every_value_s_rounding_counts(exp, of_exp, monkeypatch):
    true, e = module.proved_values, 1e-6

    def loose(problem, x):
        plain = true(problem, x)[1]
        return torch.stack([plain - e, plain + e / 2]), plain

    monkeypatch.setattr(module, "proved_values", loose)
    monkeypatch.setattr(module, "steps", lambda problem, x: of_exp.step)
    # |(4 D(h/2) - D(h)) / 3| is off by (4 * 2e / h + 2e / 2h) / 3 if every value is off by e
    least = (8 * e / of_exp.step + e / of_exp.step) / 3
    found = probed(exp).rounding
    assert bool(((found >= least * (1 - 1e-6)) & (found <= 1.001 * least)).all())


def test_steps_balance_rounding_and_truncation(exp):
    problem, _ = problems(exp)
    lo, hi = problem.cells[:, 0].T
    x = (lo + hi) / 2
    h = steps(problem, x)
    assert bool((torch.log2(h) % 1 == 0).all())
    bracket, plain = module.proved_values(problem, x)
    noise = float(torch.maximum(bracket[1] - plain, plain - bracket[0]).max())
    best = (3 * noise / torch.exp(x)) ** (1 / 3)
    assert bool(((h <= 1.1 * best) & (h >= best / 2.2)).all())
    assert bool((h * 8 <= hi - lo).all())


@pytest.mark.parametrize("shift", [-1e-3, 1e-3])
def test_a_wrong_enclosure_stops_with_the_place(exp, of_exp, monkeypatch, shift):
    def wrong(derived, slopes, lo, hi):
        true = enclosures(derived, slopes, lo, hi)
        true[:, 3] += shift + (true[1, 3] - true[0, 3]).copysign(torch.tensor(shift))
        return true

    monkeypatch.setattr(module, "enclosures", wrong)
    with pytest.raises(InternalError, match="quotients lie in the proved slopes") as caught:
        probed(exp)
    a = float(of_exp.x[3] - of_exp.step[3])
    assert f"x in [{a!r}, " in str(caught.value)


def test_a_wrong_tangent_stops_with_the_place(exp, monkeypatch):
    true = module.archive_slopes

    def wrong(model, x, output):
        return true(model, x, output) * torch.tensor([1, 1, 1.01, 1, 1, 1, 1, 1.0]).double()

    monkeypatch.setattr(module, "archive_slopes", wrong)
    with pytest.raises(InternalError, match="autograd.*farther from the proved"):
        probed(exp)


def test_at_a_kink_the_slopes_of_both_sides_are_proved_and_the_order_is_lost(relu):
    problem, derived, found = proved(relu)
    x = torch.tensor([-0.5, 0.1], dtype=torch.float64)
    h = torch.full_like(x, 2.0**-20)
    hull = enclosures(derived, found, x - h, x + h)
    assert hull[0, 0] <= 0 and hull[1, 0] >= 1
    assert 3 - 1e-12 < hull[0, 1] <= 3 <= hull[1, 1] < 3 + 1e-12
    # 2h and 4h stay on one side of -1/2, 8h does not
    for away in (5, 3.9, 3):
        near = torch.tensor([-0.5 + away * 2.0**-20, 0.1], dtype=torch.float64)
        orders = module._orders(problem, near, h, torch.full_like(h, 1e-9))
        assert orders == ("rough", "hidden")


def test_the_order_of_a_smooth_error_is_seen_where_it_is_large(exp):
    problem, _ = problems(exp)
    x = torch.tensor([0.0, 0.0], dtype=torch.float64)
    h = torch.tensor([2.0**-8, 2.0**-8], dtype=torch.float64)
    errors = torch.tensor([1e-12, 1.0], dtype=torch.float64)
    assert module._orders(problem, x, h, errors) == ("second", "hidden")


def test_models_with_kinks_hold_too(relu):
    found = probed(relu)
    assert bool(found.inside.all())
    assert set(found.autograd.tolist()) == {0.0, 1.0, 3.0, -1.0}
