"""`probes train`: what it writes, what it refuses, its exit codes."""

import io
import os
import subprocess
import sys
import zipfile

import pytest
from typer.testing import CliRunner

from probes import cli, training

QUICK = ["--layers=1", "--width=4", "--tokens=2", "--steps=20", "--polish=0"]


def run(*words, target="exp"):
    return CliRunner().invoke(cli.app, ["train", "--target", target, *map(str, words)])


def test_the_file_is_written_and_the_summary_says_how_to_check_it(tmp_path):
    file = tmp_path / "small model.pt"
    result = run("-o", file, *QUICK)
    assert result.exit_code == 0, result.output
    assert [member.name for member in tmp_path.iterdir()] == [file.name]
    assert any(name.endswith("models/model.json") for name in zipfile.ZipFile(file).namelist())
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert lines["model"] == str(file)
    assert lines["check"] == f"it    certify check '{file}' --target exp"
    assert lines["sup"].startswith("error   ")
    assert "at x = " in lines["sup"]
    # embedding 3 * 8, attention 4 * 16 + 16, feed-forward 2 * 32 + 12, two norms, head
    assert lines["parameters"] == str(24 + 80 + 76 + 16 + 5)
    assert result.stderr == ""


def test_a_domain_is_handed_on_to_the_check(tmp_path):
    result = run("-o", tmp_path / "m.pt", "--domain", -2, 0.5, *QUICK)
    assert result.exit_code == 0, result.output
    assert "--target exp --domain -2.0 0.5" in result.stdout


def test_an_older_output_is_replaced(tmp_path):
    file = tmp_path / "m.pt"
    file.write_text("old")
    assert run("-o", file, *QUICK).exit_code == 0
    assert zipfile.is_zipfile(file)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--layers 0", "layers must be at least 1, not 0"),
        ("--width -4", "width must be at least 1, not -4"),
        ("--width 10 --heads 4", "width 10 is not a multiple of heads 4"),
        ("--activation mish", "unknown activation 'mish'"),
        ("--norm both", "unknown norm 'both'; choose one of post, pre"),
        ("--steps 0", "steps must be at least 1, not 0"),
        ("--seed -1", "seed must be at least 0, not -1"),
        ("--rate 0", "rate must be positive and finite, not 0.0"),
        ("--decay -1", "decay must be 0 or positive and finite, not -1.0"),
        ("--threads 0", "threads must be between 1 and 1024, not 0"),
        ("--tokens 9999", "small encoders"),
    ],
)
def test_options_that_mean_nothing(words, message, tmp_path, untrained):
    result = run("-o", tmp_path / "m.pt", *words.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["--layers two", "--domain 1", "--nonsense", "--steps 1.5"])
def test_options_that_do_not_parse(words, tmp_path, untrained):
    result = run("-o", tmp_path / "m.pt", *words.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize("target", ["no_such_function", "exp(", "__import__('os')"])
def test_unknown_targets(target, tmp_path, untrained):
    result = run("-o", tmp_path / "m.pt", target=target)
    assert result.exit_code == 2
    assert result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("domain", [(1, 1), (2, -2), ("nan", 1), (0, "inf")])
def test_domains_that_mean_nothing(domain, tmp_path):
    result = run("-o", tmp_path / "m.pt", "--domain", *domain)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(tmp_path, untrained):
    (tmp_path / "file").write_text("kept")
    for output, message in [
        (tmp_path, "it exists and is not a file"),
        (tmp_path / "none" / "m.pt", "there is no folder"),
        (tmp_path / "file" / "m.pt", "there is no folder"),
        (os.devnull, "it exists and is not a file"),
        (tmp_path / ("m" * 300), "File name too long"),
    ]:
        result = run("-o", output)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "kept"


def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    kept = tmp_path / "m.pt"
    kept.write_text("old")
    for module, name in [(training, "train"), (cli, "save")]:
        with monkeypatch.context() as patch:
            if name == "save":
                patch.setattr(training, "train", lambda *_, **__: (None, None))
            patch.setattr(module, name, interrupted)
            result = run("-o", kept, *QUICK)
        assert result.exit_code == 130
        assert result.stderr == "interrupted: nothing was written\n"
        assert [member.read_text() for member in tmp_path.iterdir()] == ["old"]


def test_a_link_is_followed_not_replaced(tmp_path):
    (tmp_path / "link.pt").symlink_to(tmp_path / "m.pt")
    assert run("-o", tmp_path / "link.pt", *QUICK).exit_code == 0
    assert (tmp_path / "link.pt").is_symlink()
    assert zipfile.is_zipfile(tmp_path / "m.pt")


def test_mistakes_of_the_program_exit_with_5(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train", lambda *_, **__: 1 / 0)
    result = run("-o", tmp_path / "m.pt", *QUICK)
    assert result.exit_code == 5
    assert "ZeroDivisionError" in result.stderr


def test_progress_bar_on_a_terminal_only(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return terminal

    for terminal in (False, True):
        monkeypatch.setattr(sys, "stderr", Screen())
        with cli._bar(10) as progress:
            assert (progress is not None) == terminal
            if progress:
                progress(5, 10, 0.25)
        assert ("5/10  sup error 2.50e-01" in sys.stderr.getvalue()) == terminal


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "--nonsense"]])
def test_help_and_parse_errors_do_not_import_torch(words):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch' in sys.modules, 'sympy' in sys.modules))\n"
        "from probes.cli import main\n"
        f"sys.argv = ['probes', *{words!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == (0 if "--help" in words else 2)
    assert done.stdout.splitlines()[-1] == "False False"
    assert "Traceback" not in done.stderr
