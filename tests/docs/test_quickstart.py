"""The quickstart runs from its first command to its last, as it is printed."""

from __future__ import annotations

import re

import pytest
from pages import ROOT, blocks
from typer.testing import CliRunner

import theory.targets
from certify.cli import app

PAGE = "docs/quickstart.md"
VERDICTS = ("PROVED", "REFUTED")
REFUTED = ("--within 0.01", "--constant-up-to 0.02")  # all others are proved


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with the zoo in it, and no target more than there are."""
    (tmp_path / "probes").symlink_to(ROOT / "probes")
    monkeypatch.chdir(tmp_path)
    known = dict(theory.targets.TARGETS)
    yield tmp_path
    theory.targets.TARGETS.clear()
    theory.targets.TARGETS.update(known)


def wordy(text):
    """Without its numbers: another machine trains another model."""
    return re.sub(r"-?[\d.]+", "N", " ".join(text.split()))


def ran(words):
    """What a command prints; of a certificate a few leaves will do."""
    line = " ".join(words)
    done = CliRunner().invoke(app, words[1:] + ["--sample", "0.1"] * (words[1] == "verify"))
    refuted = any(f"{claim} " in f"{line} " for claim in REFUTED)
    assert done.exit_code == refuted, (line, done.output)
    return done.output


def test_it_runs_from_top_to_bottom(clone, capsys):
    said, count = "", 0
    for block in blocks(PAGE):
        if block.file == "theory/targets.py":
            exec(block.text, vars(theory.targets))
        elif block.language == "python":
            exec(compile(block.text, PAGE, "exec"), {"__name__": "__main__"})
        elif block.text.startswith(VERDICTS):
            assert wordy(block.text) in wordy(said), block.text
        for _, words in block.commands():
            said, count = ran(words), count + 1
    assert count == 10
    printed = capsys.readouterr().out
    assert re.search(r"largest error seen: 0\.0\d", printed)
    assert "REFUTED because of" in printed
    assert "<svg" in (clone / "mine.html").read_text()
