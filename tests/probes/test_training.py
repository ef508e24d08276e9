"""Training: deterministic, keeps the best, gets better, serves any domain."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
import torch

from probes.encoder import EncoderConfig
from probes.training import Options, sup_error, train
from theory.errors import BadRequest
from theory.functions import x

TINY = EncoderConfig(layers=1, width=4, heads=2, tokens=2)
BRIEF = Options(steps=60, polish=10, points=24)


def target(expression, domain=(-1.0, 1.0)):
    return SimpleNamespace(name=str(expression), expression=expression, domain=domain)


EXP = target(sp.exp(x))


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_equal_seeds_give_equal_weights():
    first, _ = train(TINY, EXP, options=BRIEF)
    torch.manual_seed(99)
    second, _ = train(TINY, EXP, options=BRIEF)
    assert torch.equal(weights(first), weights(second))


def test_another_seed_gives_other_weights():
    first, _ = train(TINY, EXP, options=BRIEF)
    second, _ = train(TINY, EXP, options=Options(steps=60, polish=10, points=24, seed=1))
    assert not torch.equal(weights(first), weights(second))


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(TINY, EXP, options=BRIEF)
    assert torch.equal(torch.rand(3), wanted)


def test_best_weights_are_returned_even_if_training_ends_badly():
    # At this rate Adam overshoots, so the last weights are not the best ones.
    module, report = train(TINY, EXP, options=Options(steps=60, polish=0, points=24, rate=2.0))
    errors = [error for _, error in report.history]
    assert report.sup_error == min(errors) < errors[-1]
    points = torch.linspace(-1, 1, 4001, dtype=torch.float64)[:, None]
    found, where = sup_error(module, points, points.exp())
    assert (found, where) == pytest.approx((report.sup_error, report.witness))


def test_report_is_of_the_module_returned():
    module, report = train(TINY, EXP, options=BRIEF)
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
    assert not module.training
    at = torch.tensor([[report.witness]], dtype=torch.float64)
    with torch.no_grad():
        error = float((module.double()(at) - at.exp()).abs())
    assert error == pytest.approx(report.sup_error)
    assert report.parameters == len(weights(module))
    assert report.seconds > 0


def test_error_decreases_and_polish_helps():
    _, report = train(TINY, EXP, options=Options(steps=200, polish=40, points=32))
    history = dict(report.history)
    assert history[200] < 0.5 * history[0]
    assert history[240] < history[200]


def test_progress_hears_every_validation():
    heard = []
    _, report = train(TINY, EXP, options=BRIEF, progress=lambda *news: heard.append(news))
    assert [done for done, _, _ in heard] == [step for step, _ in report.history[1:]]
    assert heard[-1] == (70, 70, report.sup_error)
    best = [error for _, _, error in heard]
    assert best == sorted(best, reverse=True)


@pytest.mark.parametrize(
    ("expression", "domain"),
    [(x**2, (0.0, 30.0)), (1000 * sp.sin(x) + 5000, (100.0, 102.0)), (sp.Integer(7), (-1.0, 1.0))],
)
def test_any_domain_and_height_is_served(expression, domain):
    found = target(expression, domain)
    _, report = train(TINY, found, options=Options(steps=300, polish=60, points=32))
    heights = sp.lambdify(x, expression, "numpy")(np.linspace(*domain, 200))
    assert report.sup_error < 0.05 * max(np.ptp(heights), 1.0)
    assert domain[0] <= report.witness <= domain[1]


@pytest.mark.parametrize(
    ("expression", "domain"), [(sp.exp(x), (0.0, 700.0)), (x, (0.0, 1e-60)), (x, (0.0, 1e60))]
)
def test_targets_beyond_float32_are_refused(expression, domain):
    with pytest.raises(BadRequest, match="out of reach of float32 weights"):
        train(TINY, target(expression, domain), options=BRIEF)


def test_a_large_constant_is_no_trouble():
    _, report = train(TINY, target(sp.Integer(10**17)), options=BRIEF)
    assert report.sup_error < 0.1 * 10**17


def test_domain_given_replaces_the_targets():
    _, report = train(TINY, EXP, domain=(2.0, 3.0), options=BRIEF)
    assert 2 <= report.witness <= 3


@pytest.mark.parametrize("domain", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_domains_that_mean_nothing_are_refused(domain):
    with pytest.raises(BadRequest, match="a domain needs finite LO < HI"):
        train(TINY, EXP, domain=domain)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"polish": -1}, {"points": 1}, {"seed": -1}, {"rate": 0.0}]
)
def test_options_out_of_range_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(BadRequest, match=f"{name} must be"):
        Options(**wrong)


def test_sup_error_is_infinite_where_the_module_is_not_finite():
    class Pole(torch.nn.Module):
        def forward(self, x):
            return x / x

    points = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    assert sup_error(Pole(), points, torch.ones_like(points)) == (math.inf, 0.0)
