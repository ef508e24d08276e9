"""The command line with --output all: what is written, refused, kept, and proved again."""

from __future__ import annotations

import json

import pairs
import pytest
from typer.testing import CliRunner

from certify.cli import app


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return pairs.saved(pairs.Tanh(2), 2, tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    return pairs.saved(pairs.Tanh(1), 1, tmp_path_factory.mktemp("line"))


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("norm", ["max", "2"])
def test_check_writes_all_and_verifies(file, tmp_path, norm):
    out, cert, page = tmp_path / "out.json", tmp_path / "cert.json.gz", tmp_path / "out.html"
    result = run("check", file, "--target", "sin(x1),x2/4", "--output", "all", "--norm", norm,
                 "--cells", 4, "--gap", 0.1, "--within", 3, "--json", out, "--report", page,
                 "--certificate", cert, "--verify")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"||model - (sin(x1),x2/4)||_{norm} <= 3.0" in result.output
    assert "ACCEPTED" in result.output and "output 1 against x2/4" in result.output
    data = json.loads(out.read_text())
    assert data["norm"] == norm and len(data["outputs"]) == 2 and data["certificate"]["checked"]
    html = page.read_text()
    assert "Outputs one by one" in html and "They are about one output: --output INDEX." in html
    assert f"--output all --norm {norm}" in html or (norm == "max" and "--output all" in html)
    assert "A1-norm" in html and f"in the {norm}-norm" in html
    again = run("verify", cert, "--model", file, "--jobs", 1)
    assert again.exit_code == 0 and again.output.startswith("ACCEPTED")


def test_the_command_of_the_page_says_the_same(file, tmp_path):
    import html
    import re
    import shlex

    page = tmp_path / "out.html"
    base = ("--output", "all", "--norm", "2", "--cells", 1, "--gap", 0.5)
    assert run("check", file, "--target", "sin(x1),x2/4", *base, "--report", page).exit_code == 0
    (found,) = re.findall(r"<pre>(certify check .*?)</pre>", page.read_text(), re.S)
    words = shlex.split(html.unescape(found))
    result = run(*words[1:])
    assert result.exit_code == 0 and "||model - (sin(x1),x2/4)||_2" in result.output


def test_exit_codes(file):
    base = ("check", file, "--target", "sin(x1),x2/4", "--output", "all", "--cells", 1)
    assert run(*base, "--gap", 0.5).exit_code == 0
    assert run(*base, "--within", 0.25).exit_code == 1
    assert run(*base, "--gap", 1e-15, "--budget", 0.2).exit_code == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--target", "x1"), "or all together with --output all"),
        (("--target", "x1", "--output", "both"), '--output must be a number or "all", not "both"'),
        (("--target", "x1", "--output", 2), "has outputs 0 ... 1"),
        (("--target", "x1", "--norm", 2), "add --output all"),
        (("--target", "x1", "--output", 0, "--norm", "max"), "add --output all"),
        (("--target", "x1", "--output", "all", "--norm", 1), "--norm must be max or 2, not 1"),
        (("--target", "x1,x2,x1", "--output", "all"), "3 expressions, the model 2 outputs"),
        (("--target", "x1,", "--output", "all"), "cannot read the target expression"),
        (("--target", "x1", "--output", "all", "--semantics", "float32"), "needs one output"),
        (("--target", "scheme-one", "--output", "all"), "takes 2 tokens"),
        (("--target", "1/x1,x2", "--output", "all"), "not defined at"),
    ],
)  # fmt: skip
def test_what_has_no_meaning(file, options, says):
    result = run("check", file, *options)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), result.output
    assert says in " ".join(result.output.split())


def test_slopes_and_windows_are_about_one_output(line):
    for option in (("--slopes",), ("--windows", 0.5), ("--monotone",)):
        result = run("check", line, "--target", "x", "--output", "all", *option)
        assert result.exit_code == 2
        assert f"{option[0]} needs one output: --output INDEX" in result.output


def test_a_sweep_is_about_one_output(line):
    result = run("sweep", line, "--target", "x", "--output", "all")
    assert result.exit_code == 2 and "a sweep is about one output" in result.output
    result = run("sweep", line, "--target", "x", "--output", "first")
    assert result.exit_code == 2 and "--output must be a number" in result.output


def test_enclose_gives_all_outputs_anyway(line):
    both = run("enclose", line, "--box", -1, 1, "--json", "-")
    every = run("enclose", line, "--box", -1, 1, "--output", "all", "--json", "-")
    assert every.exit_code == 0 and json.loads(every.output) == json.loads(both.output)


def test_along_a_curve(file, tmp_path):
    """Both targets are taken along it, and the proof is about the model's file."""
    cert = tmp_path / "cert.json"
    result = run("check", file, "--curve", "t^3,t", "--target", "sin(x1),x2/4", "--output", "all",
                 "--cells", 4, "--certificate", cert, "--verify", "--json", "-")  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert data["target"]["expression"] == "sin((x^3)), (x)/4" and data["certificate"]["checked"]
    assert run("verify", cert, "--model", file).exit_code == 0


@pytest.mark.parametrize("norm", ["max", "2"])
def test_a_kept_search_goes_on(file, tmp_path, norm):
    """One file keeps the searches of all outputs: the second start has nothing left to do, and
    another question is refused."""
    state = tmp_path / "state"
    base = ("check", file, "--target", "sin(x1),x2/4", "--output", "all", "--norm", norm,
            "--cells", 4, "--resume", state, "--json", "-")  # fmt: skip
    first = json.loads(run(*base).output)
    again = json.loads(run(*base).output)
    assert again["sup_error"] == first["sup_error"] and again["cells"] == first["cells"]
    assert again["search"]["boxes"] == first["search"]["boxes"] > 0
    assert again["search"]["seconds_of_earlier_runs"] > 0
    assert run(*base, "--within", 3).exit_code == 0
    one = run("check", file, "--target", "x2/4", "--output", 1, "--cells", 4, "--resume", state)
    assert one.exit_code == 2 and 'output: "all" there' in one.output.replace("'", '"')


def test_other_processes_find_the_same(file):
    base = ("check", file, "--target", "sin(x1),x2/4", "--output", "all", "--norm", 2,
            "--cells", 16, "--json", "-")  # fmt: skip
    alone, shared = (json.loads(run(*base, "--jobs", n).output) for n in (1, 2))
    assert alone["sup_error"] == shared["sup_error"]
