"""What a certificate states, in words."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from certify.certificate.reading import read
from certify.certificate.words import Result
from certify.cli import app
from certify.frontend.export import export
from certify.frontend.network import mismatch
from certify.report.certified import stated
from certify.report.numbers import interval

ALL = Result(True, "", 1, 1, Counter(), 0.0)


def certify(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def file(tiny_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("certified") / "c.json"
    made = certify("check", tiny_file, "--target", "exp", "--cells", 2, "--within", 0.01,
                   "--certificate", path)  # fmt: skip
    assert made.exit_code == 1
    return path


def test_what_is_accepted_is_said(file, tiny_file):
    found = read(file)
    assert not mismatch(found, str(tiny_file))
    sha, error = found.header["model"]["sha256"], interval(*found.stated.sup_error)
    said = certify("verify", file, "--model", tiny_file)
    text = " ".join(said.stdout.split())
    assert said.exit_code == 0 and said.stdout.startswith("ACCEPTED")
    assert (
        f"certifies model {sha[:12]} against exp(x) on [-1.0, 1.0]: sup error in {error}; " in text
    )
    assert "within (bound 0.01) REFUTED; no-plateau (tau 0.1) " in text
    assert "infinite" not in text
    part = certify("verify", file, "--sample", 0.1).stdout
    assert f"states model {sha[:12]} (--model FILE compares) against" in " ".join(part.split())


def test_what_is_rejected_is_not(file, constant_file):
    said = certify("verify", file, "--model", constant_file).stdout
    assert said.startswith("REJECTED") and "certifies" not in said


def test_infinite_bounds_claim_nothing(tiny_file, tmp_path):
    """The leaves of slopes say nothing of target and difference."""
    path = tmp_path / "c.json"
    certify(
        "check", tiny_file, "--target", "exp", "--cells", 1, "--monotone", "--certificate", path
    )
    said = " ".join(certify("verify", path).stdout.split())
    assert "bounds are infinite, which claims nothing" in said and "monotone " in said


class Two(torch.nn.Module):
    def forward(self, x):
        return torch.cat([x[:, :1] * x[:, 1:], x[:, :1]], -1)


def test_several_inputs_and_outputs(tmp_path):
    model, path = tmp_path / "m.pt", tmp_path / "c.json"
    export(Two(), torch.zeros(1, 2), model)
    certify("check", model, "--target", "x1*x2/2,x1/2", "--output", "all",
            "--cells", 1, "--budget", 2, "--certificate", path)  # fmt: skip
    said = " ".join(stated(read(path), ALL, compared=True).split())
    assert "against x1*x2/2, x1/2 on [-1.0, 1.0]^2: sup error in the max-norm in [0.4" in said


def test_a_file_is_not_trusted_with_the_terminal(file):
    found = read(file)
    evil = replace(found, header={"model": {"sha256": "\x1b[2J"}},
                   target={"name": "e", "expression": "\x1b[2J" + "x" * 999})  # fmt: skip
    text = stated(evil, ALL, compared=False)
    assert text.startswith("certifies   a model (--model FILE compares) against")
    assert "\x1b" not in text and len(text) < 700
    assert stated(replace(found, header={"model": 3}), ALL, compared=True)


def test_no_engine_is_needed():
    code = "import sys, certify.report.certified; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
