"""The command line on a model of two inputs: what is written, refused, and proved again."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from certify.cli import app
from certify.frontend.export import export


class Bilinear(nn.Module):
    """x1 x2 + (x1 + x2) / 4."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, :1] * x[:, 1:] + x.sum(-1, keepdim=True) / 4).reshape(-1, 1)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "two.pt"
    export(Bilinear().double().eval(), torch.zeros(1, 2, dtype=torch.float64), path)
    return str(path)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_check_writes_all_and_verifies(file, tmp_path):
    """The error is (x1 + x2) / 4: at most 1/2, at the corners (1, 1) and (-1, -1)."""
    out = tmp_path / "out.json"
    cert = tmp_path / "cert.json"
    result = run("check", file, "--target", "x1*x2", "--cells", 5, "--within", 0.51,
                 "--json", out, "--certificate", cert, "--verify")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "PROVED" in result.output and "ACCEPTED" in result.output
    data = json.loads(out.read_text())
    assert data["target"]["expression"] == "x1*x2"
    lo, hi = data["sup_error"]["lo"], data["sup_error"]["hi"]
    assert lo <= 0.5 <= hi <= 1.01 * lo
    witness = data["sup_error"]["witness"]
    assert len(witness) == 2 and math.isclose(abs(sum(witness)), 2, rel_tol=1e-3)
    assert len(data["cells"]) == 4
    assert sorted(map(str, (cell["box"] for cell in data["cells"]))) == sorted(
        str([x, y]) for x in ([-1.0, 0.0], [0.0, 1.0]) for y in ([-1.0, 0.0], [0.0, 1.0])
    )
    for cell in data["cells"]:
        corners = [a * b for a in cell["box"][0] for b in cell["box"][1]]
        spread = max(corners) - min(corners)
        assert cell["target_variation"]["lo"] <= spread <= cell["target_variation"]["hi"]
    (claim,) = data["claims"]
    assert claim["verdict"] == "PROVED" and data["certificate"]["checked"] is True
    assert data["sandwich"]["violations"] == 0
    again = run("verify", cert, "--model", file, "--jobs", 1)
    assert again.exit_code == 0 and again.output.startswith("ACCEPTED")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cells", 30), "cells       25 cells (5 x 5, of at most 30)"),
        (("--width", 0.5), "cells       16 cells (4 x 4, 0.5 wide)"),
    ],
)
def test_the_grid_of_cells_is_named(file, options, says):
    result = run("check", file, "--target", "x1*x2", "--budget", 1, *options)
    assert says in result.output.splitlines()


def test_a_refuted_claim_names_both_inputs(file):
    result = run("check", file, "--target", "x1*x2", "--cells", 1, "--within", 0.25, "--json", "-")
    assert result.exit_code == 1
    (claim,) = json.loads(result.output)["claims"]
    assert claim["verdict"] == "REFUTED" and len(claim["witness"]) == 2
    assert abs(sum(claim["witness"])) / 4 > 0.25


@pytest.mark.parametrize(
    "option",
    [("--slopes",), ("--monotone",), ("--lipschitz", 3), ("--windows", 0.5), ("--resolution",)],
)
def test_what_needs_one_variable_is_refused(file, option):
    result = run("check", file, "--target", "x1*x2", *option)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert f"{option[0]} needs one input variable" in result.output
    assert "has 2. Go along a line or a curve" in result.output


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("exp", "write the target in x1 ... x2"),
        ("x", '"x" is not known'),
        ("x3", '"x3" is not known'),
        ("mixed", "takes 4 tokens"),
        ("1/x1", "not defined at"),
        ("cbrt(x1*x2)", "roots of odd degree"),
    ],
)
def test_targets_that_do_not_fit(file, target, says):
    result = run("check", file, "--target", target)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert says in result.output


def test_a_scheme_by_name(file):
    result = run("check", file, "--target", "scheme-one", "--cells", 1, "--json", "-")
    data = json.loads(result.output)  # |x1 x2 - 3/4 (x1 + x2)|: 5/2 at (-1, -1)
    assert data["sup_error"]["lo"] <= 2.5 <= data["sup_error"]["hi"]


def test_enclose(file):
    """From -1 at (1, -1) to 3/2 at (1, 1)."""
    result = run("enclose", file, "--box", -1, 1, "--json", "-")
    assert result.exit_code == 0, result.output
    (output,) = json.loads(result.output)["outputs"]
    lo, hi = output["range"]
    assert -1.026 <= lo <= -1 and 1.5 <= hi <= 1.526
    least, most = output["reached"]
    assert -1 <= least < -0.97 and 1.47 < most <= 1.5


def test_enclose_has_no_derivative_of_several(file):
    result = run("enclose", file, "--box", -1, 1, "--derivative", 1)
    assert result.exit_code == 2 and "needs one input variable" in result.output
