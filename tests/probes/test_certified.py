"""Certification along data curves: proved, kept once, held against samples."""

import json
import math
from dataclasses import replace

import pytest
import torch

import certify.checking
from certify import export
from probes import certified
from probes.certified import Certified, as_json, certify_curve, from_json, not_above
from probes.curves import data_curve
from probes.family import TokenModel
from probes.metrics import Contradiction
from probes.recipes import setting

BUDGET = 2.0


class Step(torch.nn.Module):
    """A staircase: constant but for steep rises."""

    def forward(self, x):
        return torch.tanh(200 * x[:, 1:])


ONE = setting("fair", "scheme-one", 2, model={"layers": 1, "architecture": "encoder"})


def saved(store, module, one=ONE):
    inputs = torch.zeros(1, one.model.inputs, one.model.d)
    export(module.eval(), inputs, store.model(one.key))


def proved(store, module, number=0, budget=BUDGET):
    saved(store, module)
    path = data_curve("scheme-one", 2, number)
    return certify_curve(store.model(ONE.key), path, number, budget)


def test_a_known_error_is_bracketed_and_no_plateau_is_there(opened, shifted):
    found = proved(opened, shifted())
    assert found.sup[0] <= 0.25 <= found.sup[1] < 0.2501
    assert found.sampled == pytest.approx(0.25, abs=1e-12)
    assert (found.verdict, found.reason, found.readout) == ("REFUTED", "", "")
    a, b = (part[0] / 100 for part in (data_curve("scheme-one", 2, 0).offsets,
                                       data_curve("scheme-one", 2, 0).slopes))  # fmt: skip
    ends = sorted(s**3 + s for s in (a - b, a + b))
    assert found.target[0] <= ends[1] - ends[0] + 1e-12
    assert found.target[1] >= ends[1] - ends[0] - 1e-12


def test_a_staircase_is_called_one(opened):
    found = proved(opened, Step())
    assert found.verdict == "PROVED"
    assert found.longest[0] > 2 / certified.CELLS


def test_a_readout_without_head_is_named(opened):
    shape = setting("obstructed", "scheme-one", 4, model={"layers": 1, "architecture": "encoder"})
    saved(opened, TokenModel(shape.model), shape)
    found = certify_curve(opened.model(shape.key), data_curve("scheme-one", 4, 0), 0, BUDGET)
    assert found.readout.startswith("LayerNorm over 4 features without head")
    assert "stays in [-1.733, 1.733]" in found.readout
    assert found.sampled <= found.sup[1]


def test_a_sample_above_the_proof_stops_with_code_5(opened, monkeypatch, shifted):
    check = certify.checking.check

    def too_low(*arguments):
        report = check(*arguments)
        known = replace(report.known, sup=(0.1, 0.2))
        return replace(report, outcome=replace(report.outcome, known=known))

    monkeypatch.setattr(certify.checking, "check", too_low)
    with pytest.raises(
        Contradiction, match=r"is 0\.25.*above the proved largest one, 0\.2"
    ) as told:
        proved(opened, shifted())
    assert told.value.exit_code == 5
    not_above(1.0, 1.0, 3.0, "here")
    not_above(1.0, math.inf, 3.0, "here")
    for sampled in (1.00001, math.nan):
        with pytest.raises(Contradiction):
            not_above(sampled, 1.0, 3.0, "here")


def test_a_spent_budget_is_undecided_and_says_so(opened):
    found = proved(opened, TokenModel(ONE.model), budget=1e-6)
    assert found.verdict == "UNDECIDED"
    assert found.reason == "the budget of 1e-06 s is spent"
    assert found.sampled <= found.sup[1]


def test_json_holds_what_has_no_bound():
    one = Certified(0, "UNDECIDED", "r", (0.1, math.inf), (1.0, 2.0), (0.0, math.inf), 3, 0.1, "")
    assert from_json(json.loads(json.dumps(as_json(one), allow_nan=False))) == one
