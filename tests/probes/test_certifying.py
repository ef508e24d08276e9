"""The loop of certifications: kept once by content, resumable, and its command."""

from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import certify.checking
from certify import export
from certify.frontend.agree import InternalError
from probes import certifying, cli, failure, paper
from probes.certified import Certified
from probes.certifying import certify_all
from probes.metrics import Contradiction
from probes.paper import Outcome
from probes.recipes import setting

BUDGET = 2.0


ONE = setting("fair", "scheme-one", 2, model={"layers": 1, "architecture": "encoder"})


def saved(store, module, one=ONE):
    inputs = torch.zeros(1, one.model.inputs, one.model.d)
    export(module.eval(), inputs, store.model(one.key))
    return Outcome(one, {"model": store.model(one.key).name, "measured": {}})


def test_results_are_kept_by_content(opened, monkeypatch, shifted):
    outcomes = [saved(opened, shifted())]
    first = certify_all(outcomes, opened, budget=BUDGET, curves=2)
    assert [c.curve for c in first[0].certified] == [0, 1]
    asked = []
    monkeypatch.setattr(
        certifying, "certify_curve", lambda *a: asked.append(a[2:]) or Certified(a[2], "PROVED")
    )
    assert certify_all(outcomes, opened, budget=BUDGET, curves=2) == first
    assert asked == []
    certify_all(outcomes, opened, budget=BUDGET, curves=3)
    certify_all(outcomes, opened, budget=2 * BUDGET)
    assert asked == [(2, BUDGET), (0, 2 * BUDGET)]
    certify_all([saved(opened, shifted(0.5))], opened, budget=BUDGET)
    assert asked[2:] == [(0, BUDGET)]


def test_an_interrupt_keeps_what_is_finished_and_nothing_else(opened, monkeypatch, shifted):
    check = certify.checking.check

    def interrupted(*arguments):
        report = check(*arguments)
        return replace(report, outcome=replace(report.outcome, stopped_by="interrupt"))

    outcomes = [saved(opened, shifted())]
    certify_all(outcomes, opened, budget=BUDGET)
    monkeypatch.setattr(certify.checking, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        certify_all(outcomes, opened, budget=BUDGET, curves=2)
    assert len(list(opened.folder.glob("results/*"))) == 1
    assert not list(opened.folder.glob("results/*.tmp"))


def test_what_is_not_certified_says_why(opened):
    large = setting("fair", "scheme-one", certifying.LARGEST_D + 2, model={"layers": 1})
    labels = setting("fair", "scheme-one", 2, model={"layers": 1, "classes": 3})
    trained = {"model": "x.pt", "measured": {}}
    outcomes = [
        Outcome(large, trained),
        Outcome(ONE, {"model": None, "measured": {}}),
        Outcome(ONE, trained),
        Outcome(labels, trained),
        Outcome(ONE, None),
    ]
    found = [o.certified for o in certify_all(outcomes, opened, budget=BUDGET)]
    reasons = ["not tried for d > 16", "too large to be written", "No such file"]
    for (one,), reason in zip(found[:3], reasons, strict=True):
        assert one.verdict == "UNDECIDED" and reason in one.reason and one.sup is None
    assert found[3:] == [(), ()]
    opened.model(ONE.key).write_bytes(b"PK\x03\x04 damaged")
    ((one,),) = [o.certified for o in certify_all(outcomes[2:3], opened, budget=BUDGET)]
    assert one.verdict == "UNDECIDED" and one.reason
    assert not list(opened.folder.glob("results/*"))


@pytest.fixture
def small(monkeypatch):
    """A grid of one model, written; and short failure curves."""
    grid = [replace(setting("obstructed", "scheme-one", 2, training={"steps": 5, "batch": 8},
                            model={"layers": 1, "architecture": "encoder"}), tests=50)]  # fmt: skip
    monkeypatch.setattr(paper.Grid, "settings", lambda _: grid)
    monkeypatch.setattr(failure, "SIZES", (10, 100))
    monkeypatch.setattr(failure, "ANSWERS", 20)
    return grid


def run_paper(folder, *words):
    return CliRunner().invoke(cli.app, ["paper", "-o", str(folder), *words])


def test_the_command_fills_the_columns_or_says_why_not(tmp_path, small):
    result = run_paper(tmp_path, "--certify-budget", "0")
    assert result.exit_code == 0, result.output
    assert "certification was not asked for" in (tmp_path / "findings.md").read_text()
    result = run_paper(tmp_path, "--certify-budget", "2")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "findings.md").read_text()
    assert "LayerNorm over 2 features" in page
    assert "Sup error in [" in page
    assert "LayerNorm" in (tmp_path / "results.csv").read_text()
    assert "LayerNorm" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("error", [Contradiction("x"), InternalError("x")])
def test_a_contradiction_is_exit_code_5(tmp_path, small, monkeypatch, error):
    def stop(*_):
        raise error

    monkeypatch.setattr(certifying, "certify_curve", stop)
    result = run_paper(tmp_path)
    assert result.exit_code == 5
    assert "internal error: x" in result.stderr


@pytest.mark.parametrize("words", [("--certify-budget", "-1"), ("--certify-budget", "inf"),
                                   ("--certify-curves", "0")])  # fmt: skip
def test_options_that_mean_nothing(tmp_path, words):
    result = run_paper(tmp_path / "f", *words)
    assert result.exit_code == 2
    assert f"{words[0][2:]} must be" in result.stderr
    assert not (tmp_path / "f").exists()
