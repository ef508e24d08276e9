"""`probes run` as a whole: what holds, how it is told, and that a faked violation ends it."""

import json
from dataclasses import replace

import pytest
from known_models import Line, Relu, Stairs, loaded
from typer.testing import CliRunner

from certify.checking import check
from certify.frontend.agree import InternalError
from certify.options import Options
from certify.report.data import as_text
from certify.run import Limits
from probes import cli, run_text, running
from probes.run_data import as_data
from probes.run_figures import figures
from probes.running import PER_CELL, probe
from probes.zoo.make import path

pytest.importorskip("ruptures")


def certified(model, target, cells):
    options = Options(cells=cells, slopes=True, limits=Limits(budget=2))
    return check(model, target, options)


@pytest.fixture(scope="module")
def report():
    return certified(str(path("exp")), "exp", 8)


@pytest.fixture(scope="module")
def found(report):
    return probe(report)


@pytest.fixture(scope="module")
def stairs(tmp_path_factory):
    return probe(certified(loaded(Stairs(), tmp_path_factory.mktemp("stairs")), "exp", 8))


def test_everything_sampled_holds(found, stairs):
    for one in (found, stairs):
        assert len(one.held) == 9
        assert len({h.says for h in one.held}) == 9
        for part in one.held[2:5]:
            assert part.count == 8 * (PER_CELL + 1)
    assert float(found.extremes.proved.max()) > 0.9999 * found.report.known.sup[0]
    assert bool(found.differences.inside.all() & found.differences.agrees.all())
    assert len(found.attention) == 2 and not stairs.attention


def test_the_words_begin_with_verdicts_and_name_what_was_done(found, stairs):
    words = run_text.render(found)
    heads = [line[:12].strip() for line in words.splitlines() if line[:12].strip()]
    assert heads[:3] == ["PROVED", "REFUTED", "sandwich"]
    for part in ("sup error", "intervals", "differences", "Lipschitz", "changes", "spectrum",
                 "attention", "checked", "time"):  # fmt: skip
        assert part in heads
    assert "violations: 0" in words and "nan" not in words
    assert max(map(len, words.splitlines())) <= 88
    told = run_text.render(stairs)
    assert "longest plateau: sampled 0.2" in told and "certified [0.2" in told


def test_the_json_holds_every_number_with_its_method(found):
    data = json.loads(as_text(as_data(found)))
    assert data["schema"] == "probes-run/1"
    assert data["certified"]["schema"] == "certify-report/1"
    assert data["sandwich"]["violations"] == 0
    for part in ("extremes", "cells", "differences", "changes", "spectrum"):
        assert data[part]["method"]
    assert all(c["method"] for c in data["sandwich"]["comparisons"])
    assert len(data["cells"]["oscillation"]) == 8
    lo, hi = (float.fromhex(v) for v in data["differences"]["certified"][0]["range_hex"])
    assert lo <= data["differences"]["central_half"][0] <= hi


def test_figures_are_svg_and_the_same_each_time(found, stairs):
    pytest.importorskip("matplotlib")
    made = figures(found)
    names = {"envelope", "error", "variation", "plateaus", "spectrum", "attention"}
    assert set(made) == {f"{name}.svg" for name in names}
    assert all(data.startswith(b"<?xml") and b"<svg" in data for data in made.values())
    assert b"witness" in made["error.svg"]
    other = figures(stairs)
    assert other == figures(stairs)
    assert b"longest proved plateau" in other["plateaus.svg"] and "attention.svg" not in other


def faked(report, **changed):
    """The report with one bracket too tight on cell 3."""
    (name,) = changed
    known = report.known
    bracket = getattr(known, name).clone()
    bracket[1, 3] -= changed[name]
    return replace(report, outcome=replace(report.outcome, known=replace(known, **{name: bracket})))


@pytest.mark.parametrize("name", ["variation", "range", "cell_sup"])
def test_a_faked_bound_stops_with_the_witness(report, name):
    lo, hi = report.cells[3, 0].tolist()
    with pytest.raises(InternalError, match="sandwich violated") as caught:
        probe(faked(report, **{name: 1e-5}))
    at = float(str(caught.value).split("at x = ")[1].split(":")[0])
    assert lo <= at <= hi


def test_a_faked_slope_stops_with_the_witness(report):
    state = report.slopes.outcome.state
    bounds = state.leaves.bounds.clone()
    bounds[0, 0] += 1e-3 * bounds[0, 0].abs().max()
    leaves = replace(state.leaves, bounds=bounds)
    outcome = replace(report.slopes.outcome, state=replace(state, leaves=leaves))
    with pytest.raises(InternalError, match="slopes"):
        probe(replace(report, slopes=replace(report.slopes, outcome=outcome)))


def run(*words):
    return CliRunner().invoke(cli.app, ["run", *map(str, words)])


def test_the_command_ends_with_5_at_a_violation(report, monkeypatch, tmp_path):
    monkeypatch.setattr(running, "check", lambda *_: faked(report, range=1e-5))
    result = run(path("exp"), "--target", "exp", "--json", tmp_path / "o.json")
    assert result.exit_code == 5
    assert result.stderr.startswith("internal error: sandwich violated: the model's samples lie")
    assert "at x = " in result.stderr and "Traceback" not in result.stderr
    assert result.stdout == "" and not list(tmp_path.iterdir())


def test_the_command_writes_what_it_is_told(tmp_path):
    model = loaded(Relu(), tmp_path)
    out = tmp_path / "new" / "figures"
    words = ("--target", "x^2", "--cells", 4, "--budget", 2, "--json", tmp_path / "o.json")
    result = run(model.path, *words, "--figures", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("PROVED")
    assert {f.name for f in out.iterdir()} >= {"envelope.svg", "error.svg"}
    assert json.loads((tmp_path / "o.json").read_text())["schema"] == "probes-run/1"


def test_json_to_stdout_is_nothing_but_json(tmp_path):
    model = loaded(Line(), tmp_path)
    result = run(model.path, "--target", "exp", "--cells", 2, "--budget", 1, "--json", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["schema"] == "probes-run/1"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("none.pt", "--target", "exp"), 2, "there is no such file"),
        ((path("exp"), "--target", "no_such"), 2, "no target is called"),
        ((path("exp"), "--target", "exp", "--cells", 0), 2, "--cells must be between"),
        ((path("exp"), "--target", "exp", "--budget", "nan"), 2, "--budget must be"),
        ((path("exp"), "--target", "exp", "--json", "no/o.json"), 2, "there is no folder"),
        ((path("exp"), "--target", "exp", "--figures", "/dev/null/x"), 2, "cannot write to"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, code, message):
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr and "Traceback" not in result.output


def test_a_bracket_that_is_not_closed_is_not_called_proved(report):
    wide = report.known.cell_sup.clone()
    wide[1] += 1.0
    known = replace(report.known, sup=(report.known.sup[0], 2.0), cell_sup=wide)
    loose = probe(replace(report, outcome=replace(report.outcome, known=known)))
    assert loose.exit_code == 3
    assert run_text.render(loose).startswith("UNDECIDED")
