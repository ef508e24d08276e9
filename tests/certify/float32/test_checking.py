"""`check` with float32 semantics: verdicts for every execution, replays, refusals, reports."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

import certify
from certify.checking import check
from certify.cli import app
from certify.errors import BadRequest
from certify.float32 import checking
from certify.float32.leaves import leaf_at
from certify.frontend.agree import InternalError
from certify.options import Options
from certify.report.data import as_data, as_text
from certify.report.text import render
from certify.run import Limits
from certify.search import MODEL
from certify.verdict import Verdict

OPTIONS = Options(domain=(-0.3, 0.7), cells=2, semantics="float32", within=2.0, limits=Limits(60.0))


@pytest.fixture(scope="module")
def report(exported):
    return check(exported, "sin", OPTIONS)


def test_float32_brackets_lie_around_the_real_ones(report):
    (lo, hi), (a, b) = report.known.sup, report.float32.real.known.sup
    assert 0 < lo < a <= b < hi < b + 2 * report.float32.deviation
    real = report.float32.real
    assert bool((report.known.variation[1] > real.known.variation[1]).all())
    assert bool((report.known.variation[0] < real.known.variation[1]).all())
    assert real.float32 is None and real.options.semantics == "real"
    (x,) = report.known.witness
    assert float(torch.tensor(x).float()) == x


def test_torch_stays_inside_at_many_inputs(report, exported, seeded):
    t = torch.rand(2000, generator=seeded, dtype=torch.float64)
    x = (-0.3 + t).float().double().clamp(-0.3, 0.7).float().double()
    x = x[(x >= -0.3) & (x <= 0.7)]
    leaves = report.outcome.state.leaves
    lo, hi = leaves.bounds[MODEL][:, leaf_at(leaves, x)]
    got = checking.run(exported, x, 0)
    assert bool(((lo <= got) & (got <= hi)).all())
    assert report.float32.observed <= report.float32.deviation
    assert report.float32.deviation < 1e-3


def asked(report, within):
    """The same brackets, with another claim."""
    real = replace(report.float32.real, options=replace(OPTIONS, within=within))
    return checking._report(real, report.outcome, report.float32)


def test_claims_are_about_every_execution(report):
    lo, hi = report.known.sup
    for bound, verdict, code in ((1.01 * hi, "PROVED", 0), (0.99 * lo, "REFUTED", 1)):
        again = asked(report, bound)
        assert again.claims[0].verdict is Verdict[verdict] and again.exit_code == code
    assert (again.claims[0].witness,) == report.known.witness


def test_what_only_some_executions_do_is_undecided(report):
    for bound in (report.float32.real.known.sup[1], (1 + 1e-7) * report.known.sup[0]):
        again = asked(report, bound)
        assert again.claims[0].verdict is Verdict.UNDECIDED and again.exit_code == 3


def test_a_run_outside_the_model_is_an_internal_error(report, exported, monkeypatch):
    plain = checking.run
    monkeypatch.setattr(checking, "run", lambda *a: plain(*a) + 0.01)
    with pytest.raises(InternalError, match="stated model of float32"):
        checking.replay(exported, report.float32.real, report.outcome.state)


def test_a_run_that_is_not_a_number_is_an_internal_error(report, exported, monkeypatch):
    plain = checking.run
    monkeypatch.setattr(checking, "run", lambda *a: plain(*a) * float("nan"))
    with pytest.raises(InternalError, match="nan"):
        checking.replay(exported, report.float32.real, report.outcome.state)


@pytest.mark.parametrize(
    "option",
    [{"windows": 0.2}, {"resolution": True}, {"monotone": True}, {"lipschitz": 3.0},
     {"slopes": True}],
)  # fmt: skip
def test_options_about_real_arithmetic_are_refused(exported, option):
    with pytest.raises(BadRequest, match="--semantics float32"):
        check(exported, "sin", replace(OPTIONS, **option))


def test_another_semantics_is_refused():
    with pytest.raises(BadRequest, match="--semantics must be real or float32"):
        Options(semantics="float16")


def test_both_brackets_are_reported(report):
    data = json.loads(as_text(as_data(report)))
    real = as_data(report.float32.real)
    assert data["semantics"] == "float32" and real["semantics"] == "real"
    assert real["float32"] is None
    inside = data["float32"]["real"]
    assert inside["sup_error"] == json.loads(as_text(real))["sup_error"]
    assert inside["cells"][0]["variation"]["hi"] < data["cells"][0]["variation"]["hi"]
    assert float.fromhex(data["float32"]["deviation_hex"]) == report.float32.deviation
    words = render(report)
    assert "for every execution in float32" in " ".join(words.split())
    assert "in real arithmetic" in words


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    path = tmp_path_factory.mktemp("small") / "m.pt"
    certify.export(module.eval(), torch.zeros(1, 1), path)
    return str(path)


def test_command_line(small, tmp_path):
    base = ["check", small, "--target", "sin", "--domain", "0", "0.2", "--cells", "2"]
    base += ["--semantics", "float32", "--within", "3"]
    done = CliRunner().invoke(app, [*base, "--json", str(tmp_path / "r.json")])
    assert done.exit_code == 0, done.output
    assert "float32" in done.output
    assert json.loads((tmp_path / "r.json").read_text())["semantics"] == "float32"
    for more in (["--certificate", str(tmp_path / "c.json")], ["--verify"]):
        done = CliRunner().invoke(app, [*base, *more])
        assert done.exit_code == 2 and "certificates hold real arithmetic only" in done.output


def test_curves_are_refused(small):
    line = ["check", small, "--target", "sin(x1)", "--curve", "t", "--semantics", "float32"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2 and "--segment and --curve" in done.output


def test_without_time_nothing_is_claimed(small):
    options = Options(domain=(-1.0, 1.0), semantics="float32", within=9.0, limits=Limits(1e-6))
    found = check(small, "sin", options)
    assert found.known.sup[1] == float("inf") and found.exit_code == 3
