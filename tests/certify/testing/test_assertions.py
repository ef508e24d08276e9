"""Assertions on models: proved, refuted with a witness, undecided with a message of its own."""

from __future__ import annotations

import math

import pytest
import torch
from known_models import Exp, Line

import certify
from certify.errors import BadRequest, UnreadableFile
from certify.testing import (
    NotProved,
    Refuted,
    Undecided,
    as_model,
    assert_lipschitz,
    assert_monotone,
    assert_no_plateau,
    assert_within,
)


@pytest.fixture
def line():
    return Line(2.0, 0.1).double()


def test_proved(line):
    report = assert_within(line, "2*x", 0.11, budget=6)
    assert report.known.sup[0] <= 0.1000001 and report.known.sup[1] <= 0.11
    assert assert_no_plateau(line, "x", width=0.1, budget=6).claims[0].label == "no-plateau-window"
    assert assert_monotone(line, budget=6).claims[0].label == "monotone"
    assert assert_lipschitz(line, 2.001, budget=6).claims[0].label == "lipschitz"


def test_refuted_with_numbers_and_witness(line):
    with pytest.raises(Refuted) as caught:
        assert_within(line, "2*x", 0.05, budget=6)
    text, error = str(caught.value), caught.value
    assert text.startswith("REFUTED     |model - (2*x)| <= 0.05, for every x in [-1.0, 1.0]\n")
    assert "sup error in [0.0999" in text or "sup error in [0.1" in text
    (x,) = error.report.known.witness
    assert f"witness: x = {x:.17g}" in text
    assert error.claim.verdict.value == "REFUTED" and isinstance(error, AssertionError)
    assert abs(line(torch.tensor([[x]], dtype=torch.float64)).item() - 2 * x) > 0.05


def test_a_plateau_is_a_witness():
    class Constant(torch.nn.Module):
        def forward(self, x):
            return 0.0 * x + 0.25

    with pytest.raises(Refuted, match=r"REFUTED .*window of width 0\.05") as caught:
        assert_no_plateau(Constant(), "x", width=0.05, domain=(0.0, 1.0), budget=6)
    assert f"witness: {caught.value.claim.witness!r}" in str(caught.value)


@pytest.mark.parametrize(("call", "says"), [
    (lambda model: assert_monotone(model, budget=6), "it falls by"),
    (lambda model: assert_lipschitz(model, 0.5, budget=6), "times their distance"),
])  # fmt: skip
def test_slopes_are_refuted_by_pairs(call, says):
    class Parabola(torch.nn.Module):
        def forward(self, x):
            return x * x

    with pytest.raises(Refuted, match=says) as caught:
        call(Parabola())
    assert "witness: " in str(caught.value)


def test_undecided_is_a_failure_of_its_own():
    """A bound inside the bracket that float64 can reach is neither proved nor refuted."""
    with pytest.raises(Undecided) as caught:
        assert_within(Exp().double(), "exp", 0.0, budget=1.0)
    text = str(caught.value)
    assert text.startswith("UNDECIDED   |model - exp| <= 0.0")
    assert "neither proved nor refuted, so this is no guarantee" in text
    assert 'the search ended by "' in text and "sup error in [" in text and "claim less" in text
    assert issubclass(Undecided, NotProved) and not issubclass(Undecided, Refuted)


def test_a_path_and_a_loaded_model(line, tmp_path):
    path = tmp_path / "line.pt"
    certify.export(line.eval(), torch.zeros(1, 1, dtype=torch.float64), path)
    by_path, loaded = assert_within(path, "2*x", 0.11), certify.load(path)
    assert assert_within(loaded, "2*x", 0.11).known.sup == by_path.known.sup
    assert assert_within(line, "2*x", 0.11, budget=6).known.sup == by_path.known.sup
    assert as_model(loaded) is loaded
    with pytest.raises(UnreadableFile, match="there is no such file"):
        assert_within(tmp_path / "none.pt", "x", 1.0)


def test_a_module_is_certified_in_eval_mode_and_left_as_it_was():
    module = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Dropout(0.5), torch.nn.Tanh(),
                                 torch.nn.Linear(4, 1)).train()  # fmt: skip
    model = as_model(module)
    assert module.training and model.path == "Sequential" and model.inputs == (1, 1)
    report = assert_within(module, "0", 100.0, domain=(0.0, 0.5), budget=6)
    assert report.options.domain == (0.0, 0.5) and math.isfinite(report.known.sup[1])


def test_another_example():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.sum(-1)

    assert as_model(Flat(), torch.zeros(1, 1, 1)).inputs == (1, 1, 1)
    assert assert_within(Flat(), "x", 1e-9, example=torch.zeros(1, 1, 1), budget=3)


@pytest.mark.parametrize(("more", "says"), [
    ({"epsilon": 1}, "epsilon cannot be given here; what can: budget, example, "),
    ({"within": 1}, "within cannot be given here"),
    ({"domain": (1.0, 0.0)}, "reversed"),
    ({"budget": -1.0}, "--budget must be a positive number"),
])  # fmt: skip
def test_what_has_no_meaning(line, more, says):
    with pytest.raises(BadRequest, match=says):
        assert_within(line, "exp", 1.0, **more)
