"""The check from model file to verdicts, its options, and the command line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import mpmath
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from certify import checking
from certify.checking import check
from certify.cli import app
from certify.errors import BadRequest
from certify.frontend import load
from certify.frontend.agree import InternalError
from certify.options import Options, partition
from certify.ranges import ranges
from certify.run import Limits
from certify.sampling import sandwich
from certify.verdict import Verdict


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(1, 50))
def test_partition_into_equal_cells(lo, width, count):
    hi = lo + width
    assume(lo < hi and width > 1e-9 * abs(lo))
    cells = partition(lo, hi, Options(cells=count))
    cells = cells[:, 0]
    assert len(cells) == count and float(cells.min()) == lo and float(cells.max()) == hi
    assert cells[1:, 0].tolist() == cells[:-1, 1].tolist()
    assert bool((cells[:, 0] < cells[:, 1]).all())


@given(st.floats(-100, 100), st.floats(0.1, 100), st.floats(0.05, 3))
def test_partition_by_width(lo, size, width):
    cells = partition(lo, lo + size, Options(width=width))[:, 0]
    assert float(cells[0, 0]) == lo and float(cells[-1, 1]) == lo + size
    assert cells[1:, 0].tolist() == cells[:-1, 1].tolist()
    sizes = cells[:, 1] - cells[:, 0]
    assert bool((sizes <= width * (1 + 1e-8) + 1e-12).all())


def test_partition_refuses():
    with pytest.raises(BadRequest, match="too narrow"):
        partition(1.0, 1.0 + 2**-50, Options(cells=32))
    with pytest.raises(BadRequest, match="--width"):
        partition(0.0, 1.0, Options(width=1e-9))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cells": 0}, {"cells": 10**9}, {"width": 0.0}, {"width": math.nan}, {"tau": 1.0},
        {"tau": -0.1}, {"tau": math.nan}, {"gap": 0.0}, {"gap": math.inf}, {"abs_gap": -1.0},
        {"within": -1.0}, {"within": math.nan}, {"constant_up_to": math.inf},
        {"limits": Limits(0.0)}, {"limits": Limits(1.0, 1.0)},
    ],
)  # fmt: skip
def test_options_out_of_range(wrong):
    with pytest.raises(BadRequest, match="must be"):
        Options(**wrong)


def reference(x, weights):
    (w1, b1), (w2, b2) = weights
    hidden = [mpmath.tanh(mpmath.mpf(w) * x + mpmath.mpf(b)) for w, b in zip(w1, b1, strict=True)]
    return sum(mpmath.mpf(w) * h for w, h in zip(w2, hidden, strict=True)) + mpmath.mpf(b2)


def test_check_against_mpmath(ref, tiny_file, tiny_weights):
    report = check(str(tiny_file), "exp", Options(cells=4, within=0.5, limits=Limits(20)))
    known = report.known
    assert report.outcome.stopped_by == "closed" and report.closed
    errors = []
    for k in range(129):
        x = mpmath.mpf(k) / 64 - 1
        value = reference(x, tiny_weights)
        errors.append(abs(value - mpmath.exp(x)))
        cell = min(k // 32, 3)
        lo, hi = known.range[:, cell].tolist()
        assert lo <= value <= hi
    assert max(errors) <= known.sup[1] and known.sup[0] <= 1.02 * max(errors)
    x = mpmath.mpf(known.witness[0])
    assert abs(reference(x, tiny_weights) - mpmath.exp(x)) >= known.sup[0]
    assert report.exit_code == (0 if known.sup[1] <= 0.5 else 1)


def test_exit_codes_follow_the_claims(tiny_file):
    def code(**options):
        return check(str(tiny_file), "exp", Options(cells=2, limits=Limits(10), **options))

    assert code().exit_code == 0
    assert code(within=1e6).exit_code == 0
    assert code(within=1e-6).exit_code == 1
    assert code(within=1e6, constant_up_to=1e-9).exit_code == 1
    stopped = check(str(tiny_file), "exp", Options(gap=1e-12, limits=Limits(1e-6)))
    assert stopped.exit_code == 3 and stopped.outcome.stopped_by == "budget"


def test_constants_against_constants(constant_file):
    report = check(str(constant_file), "0.25", Options(domain=(0.0, 1.0), limits=Limits(2)))
    assert not bool(report.plateaus.deciding.any())
    assert report.plateaus.overall() is Verdict.UNDECIDED
    against = check(str(constant_file), "exp", Options(limits=Limits(10)))
    assert against.plateaus.overall() is Verdict.PROVED


def test_the_sandwich_sees_a_wrong_enclosure(tiny_file):
    """Leaves whose bounds are shifted are caught."""
    options = Options(cells=2, domain=(-1.0, 1.0), limits=Limits(5))
    report = check(str(tiny_file), "exp", options)
    leaves = report.outcome.state.leaves
    wrong = replace(leaves, bounds=leaves.bounds + 1.0)
    outcome = replace(report.outcome, state=replace(report.outcome.state, leaves=wrong))
    graph = checking.compare(report.model, report.target.expression, None)
    with pytest.raises(InternalError, match="sandwich violated"):
        sandwich(checking.Problem(graph, report.cells), outcome)


def test_ranges_hold_the_model(ref, tiny_file, tiny_weights):
    found = ranges(load(tiny_file), Options(domain=(-1.0, 1.0), cells=1, limits=Limits(10)))
    known = found.outputs[0]
    values = [reference(mpmath.mpf(k) / 64 - 1, tiny_weights) for k in range(129)]
    (lo,), (hi,) = known.range.tolist()
    (most,), (least,) = known.inner.tolist()
    assert found.closed and lo <= min(values) and max(values) <= hi
    assert most <= min(values) + 0.02 * (hi - lo) and least >= max(values) - 0.02 * (hi - lo)


# The command line.


def certify(*args):
    runner = CliRunner()
    return runner.invoke(app, [str(a) for a in args])


def test_json_to_stdout_is_only_json(tiny_file):
    out = certify("check", tiny_file, "--target", "exp", "--cells", 2, "--json", "-")
    assert out.exit_code == 0 and json.loads(out.stdout)["schema"] == "certify-report/1"
    out = certify("enclose", tiny_file, "--box", -1, 1, "--json", "-")
    assert out.exit_code == 0 and json.loads(out.stdout)["schema"] == "certify-enclosure/1"


def test_the_domain_given_is_the_domain_taken(tiny_file):
    out = certify("check", tiny_file, "--target", "exp", "--domain", 0, 0.5, "--json", "-")
    assert json.loads(out.stdout)["target"]["domain"] == [0.0, 0.5]


def test_an_output_that_is_not_there(tiny_file):
    out = certify("check", tiny_file, "--target", "exp", "--output", 1)
    assert out.exit_code == 2 and f"--output 1: {tiny_file} has one output, 0\n" == out.stderr


def test_verdicts_set_the_exit_code(tiny_file, tmp_path):
    base = ("check", tiny_file, "--target", "exp", "--cells", 2)
    assert certify(*base, "--within", 1e6).exit_code == 0
    out = certify(*base, "--within", 1e-9)
    assert out.exit_code == 1 and out.stdout.startswith("REFUTED")
    assert certify(*base, "--gap", 1e-14, "--budget", 1e-6).exit_code == 3
    path = tmp_path / "report.json"
    assert certify(*base, "--json", path).exit_code == 0
    assert json.loads(path.read_text())["search"]["stopped_by"] == "closed"


def test_certificates_are_written_and_verified(tiny_file, constant_file, tmp_path):
    """Exit codes 0, 1 and 2 of verify; check --verify chains both."""
    path = tmp_path / "model.cert.json"
    base = ("check", tiny_file, "--target", "exp", "--cells", 2)
    out = certify(*base, "--certificate", path, "--json", tmp_path / "report.json")
    assert out.exit_code == 0 and f"certify verify {path}" in " ".join(out.stdout.split())
    said = json.loads((tmp_path / "report.json").read_text())["certificate"]
    assert said["path"] == str(path) and said["checked"] is False
    assert said["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    out = certify("verify", path, "--model", tiny_file)
    assert out.exit_code == 0 and out.stdout.startswith("ACCEPTED"), out.output
    out = certify("verify", path, "--model", constant_file)
    assert out.exit_code == 1 and out.stdout.startswith("REJECTED")
    out = certify("verify", path, "--sample", 0.1, "--jobs", 1)
    assert out.exit_code == 0 and "checked 10.9 % of leaves" in out.stdout
    out = certify("verify", tiny_file)
    assert out.exit_code == 2 and "not a certificate" in out.stderr
    for wrong in (("--jobs", 0), ("--sample", 0), ("--sample", 1.5), ("--model", tmp_path / "no")):
        assert certify("verify", path, *wrong).exit_code == 2
    assert certify(*base, "--certificate", tmp_path / "no" / "x.json").exit_code == 2


def test_check_and_verify_in_one(tiny_file, tmp_path):
    packed = tmp_path / "c.json.gz"
    base = ("check", tiny_file, "--target", "exp", "--cells", 2, "--verify")
    out = certify(*base, "--certificate", packed)
    assert out.exit_code == 0 and re.search(r"ACCEPTED    (\d+) of \1 ", out.stdout), out.output
    assert packed.read_bytes()[:2] == b"\x1f\x8b"
    out = certify(*base, "--json", "-")
    assert json.loads(out.stdout)["certificate"] == {
        "path": None, "sha256": None, "checked": True}  # fmt: skip


def test_a_certificate_that_the_checker_rejects_is_an_internal_error(tiny_file, monkeypatch):
    monkeypatch.setattr("certify.report.proof._checked", lambda path: (False, "REJECTED    no"))
    out = certify("check", tiny_file, "--target", "exp", "--cells", 2, "--verify")
    assert out.exit_code == 5 and "REJECTED" in out.stdout and "internal error" in out.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--target", "nonsense"), ("--target", "__import__('os')"), ("--target", "1/0"),
        ("--target", "x y"), ("--target", ""), ("--target", "log(x)"),
        ("--target", "exp", "--domain", 1, 0), ("--target", "exp", "--domain", 0, 0),
        ("--target", "exp", "--domain", 0, "inf"), ("--target", "exp", "--domain", "nan", "nan"),
        ("--target", "exp", "--domain", 0), ("--target", "exp", "--cells", 0),
        ("--target", "exp", "--cells", "many"), ("--target", "exp", "--tau", 2),
        ("--target", "exp", "--gap", 0), ("--target", "exp", "--budget", -1),
        ("--target", "exp", "--budget", "nan"), ("--target", "exp", "--within", "nan"),
        ("--target", "exp", "--jobs", 0), ("--target", "exp", "--output", 7),
        ("--target", "exp", "--json", "/"), ("--target", "exp", "--json", "/no/such/folder/x"),
        ("--target", "exp", "--unknown", 1), (),
    ],
)  # fmt: skip
def test_bad_requests_are_one_message(tiny_file, wrong):
    out = certify("check", tiny_file, *wrong)
    assert out.exit_code == 2, out.output
    assert not out.stdout and out.stderr.strip() and "Traceback" not in out.output


def test_unreadable_and_unsupported_models(tmp_path, unsupported_file):
    missing = certify("check", tmp_path / "none.pt", "--target", "exp")
    assert missing.exit_code == 2 and "no such file" in missing.stderr
    out = certify("check", unsupported_file, "--target", "exp")
    assert out.exit_code == 4 and "Traceback" not in out.output


def python(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )


@pytest.mark.parametrize("words", [["--help"], ["targets"], ["check", "--help"], ["--nonsense"]])
def test_help_needs_no_torch(words):
    out = python(
        f"import sys\nsys.argv = ['certify', *{words!r}]\nfrom certify.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    assert out.stderr.strip().endswith("False"), out.stderr


def test_threads_are_left_alone():
    assert torch.get_num_threads() == 1
