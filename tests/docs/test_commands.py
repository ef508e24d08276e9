"""Every command in the documentation is one that the programs take, with options that exist."""

from __future__ import annotations

import importlib

import pytest
import typer
from pages import PROGRAMS, ROOT, commands, mentioned

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/extend/*.md")]
)
PARSERS = {n: typer.main.get_command(importlib.import_module(f"{n}.cli").app) for n in PROGRAMS}


def refused(words, whole):
    """Why the program would not take these words, or None; whole: nothing is left out of them."""
    program, name, *rest = words
    command = PARSERS[program].commands.get(name)
    if command is None:
        return f"{program} has no command {name}"
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    unknown = {w.partition("=")[0] for w in rest if w.startswith("--")} - known - {"--help"}
    if unknown:
        return f"{program} {name} has no {', '.join(sorted(unknown))}"
    if whole and "--cite" not in rest and "--help" not in rest:
        try:
            command.make_context(name, list(rest))
        except Exception as error:
            return str(error) or type(error).__name__
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    for whole, found in ((True, commands(page)), (False, mentioned(page))):
        for line, words in found:
            assert refused(words, whole) is None, f"{page}:{line}: {' '.join(words)}"


def test_there_are_commands_to_look_at():
    assert len(list(commands("README.md"))) > 10
    assert sum(len(list(mentioned(page))) for page in PAGES) > 20


@pytest.mark.parametrize(
    "words",
    ["certify chek model.pt", "certify check model.pt", "certify check model.pt --target",
     "certify check m.pt --target exp --windws 1", "certify check m.pt --target exp --cells x",
     "certify verify", "probes run a b --target exp", "theory list --target exp"],
)  # fmt: skip
def test_what_does_not_exist_is_refused(words):
    assert refused(words.split(), True)
