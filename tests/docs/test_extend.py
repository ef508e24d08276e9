"""The pages on extending say what works: their files are made, and what they add is used.

What needs new files goes into a copy of the packages, as a reader would write it; the rest is
registered here and taken back. Each example is also broken once, and that must be noticed.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from typing import Any

import pytest
from depth import law
from domains import CLASSES, DOMAINS, forward
from enclosed import BOXES, PARTS, check
from graphs import graphs
from hypothesis import Phase, given, settings
from pages import ROOT, blocks, commands
from typer.testing import CliRunner

import theory.targets
from certify.ops import TABLE
from theory.targets import TARGETS, find_target
from theory.theorem import THEOREMS, all_theorems

PACKAGES = ("theory", "certify", "tests")


@pytest.fixture
def restored():
    """Registries that are afterwards what they were."""
    all_theorems()
    before = [(registry, dict(registry)) for registry in (TABLE, TARGETS, THEOREMS)]
    yield
    for registry, known in before:
        registry.clear()
        registry.update(known)
    all_theorems.cache_clear()


def outputs(page):
    """The lines of a page that show what is printed."""
    shown = [b for b in blocks(page) if b.text.startswith(("PROVED", "FAILED"))]
    assert shown
    return [line for b in shown for line in b.text.splitlines()]


def script(page):
    """The block of Python that belongs into no file."""
    (found,) = [b.text for b in blocks(page) if b.language == "python" and not b.file]
    return found


def run(words):
    """A command of ours, in this process: exit code, and all that it printed."""
    done = CliRunner().invoke(importlib.import_module(f"{words[0]}.cli").app, words[1:])
    return done.exit_code, done.output


OP = "docs/extend/op.md"


def test_an_operator(tmp_path, monkeypatch, restored):
    lowering, _, model = [b.text for b in blocks(OP) if b.file]
    monkeypatch.chdir(tmp_path)
    exec(compile(model, "distance.py", "exec"), {"__name__": "distance"})
    ((_, words),) = commands(OP)
    shown = next(b.text for b in blocks(OP) if b.text.startswith("cannot certify"))
    code, says = run(words)
    assert code == 4 and says.startswith(shown.partition("\n")[0])

    exec(lowering, {})
    code, says = run(words)
    assert code == 0 and outputs(OP)[0] in says

    del TABLE["aten.hypot.default"]
    assert "context.add(*squares)" in lowering
    exec(lowering.replace("context.add(*squares)", "squares[0]"), {})
    code, says = run(words)
    assert code == 5 and "differs from the archive's own operators" in says


def test_an_operator_s_law(tmp_path):
    """In a copy, where the page's blocks are files, or the last lines of files."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for block in blocks(OP):
        if block.file:
            with open(tmp_path / block.file, "a") as file:
                file.write(block.text)
    (law,) = [b.text for b in blocks(OP) if b.text.startswith("pytest ")]
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(law)], cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
    )  # fmt: skip
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_a_target(monkeypatch, restored):
    page = "docs/extend/target.md"
    monkeypatch.chdir(ROOT)
    plain, listed, named = [words for _, words in commands(page)]
    assert find_target(plain[-1])
    code, says = run(named)
    assert code == 2 and 'no target is called "runge"' in says
    (line,) = [b.text for b in blocks(page) if b.file]
    exec(line, vars(theory.targets))
    assert "runge" in run(listed)[1]
    code, says = run(named)
    assert code == 0
    shown, found = (re.match(r"(PROVED .*) lies in \[(.*), (.*)\]", text) for text in
                    (outputs(page)[0], says))  # fmt: skip
    assert shown[1] == found[1]
    assert max(float(shown[2]), float(found[2])) <= min(float(shown[3]), float(found[3]))


def test_a_theorem(capsys, restored):
    page = "docs/extend/theorem.md"
    (text,) = [b.text for b in blocks(page) if b.file == "theory/theorems/i_mean.py"]
    (_, prove), (_, show) = commands(page)
    proved, steps, failed = outputs(page)

    exec(text, {"__name__": "theory.theorems.i_mean"})
    all_theorems.cache_clear()
    code, says = run(prove)
    assert code == 0 and says.splitlines() == [proved, steps]
    code, says = run(show)
    assert code == 0 and "(proved)" in says and says.count("  holds  ") == 2
    assert "the same expression" not in says  # tests/theory refuses steps that say nothing
    exec(script(page), {})
    mutants = capsys.readouterr().out.splitlines()
    assert len(mutants) > 3 and not any(line.startswith("True") for line in mutants)

    del THEOREMS["Mean"]
    assert text.count("t <= 1)") == 1
    exec(text.replace("t <= 1)", "t <= 2)"), {"__name__": "theory.theorems.i_mean"})
    all_theorems.cache_clear()
    code, says = run(prove)
    assert code == 1 and failed in says and "epsilon = " in says


class TestDomain:
    """Intervals, defined here as the page's module."""

    page = "docs/extend/domain.md"

    def define(self, monkeypatch, old="", new=""):
        """The module, with a part of its text replaced, and its line in the table of laws.

        Returns:
            the tests of the page.
        """
        module, line, test = [b.text for b in blocks(self.page) if b.file]
        assert old in module
        found = types.ModuleType("certify.domains.interval")
        monkeypatch.setitem(sys.modules, found.__name__, found)
        exec(compile(module.replace(old, new), found.__name__, "exec"), found.__dict__)
        monkeypatch.setitem(DOMAINS, "interval", None)  # taken out again at the end
        exec(line, {"DOMAINS": DOMAINS, "CLASSES": set(CLASSES), "forward": forward})
        tests: dict[str, Any] = {}
        exec(test, tests)
        return [function for name, function in tests.items() if name.startswith("test_")]

    @staticmethod
    def law():
        """That of random graphs, on this domain."""

        @given(graphs(), BOXES, PARTS)
        @settings(law(), phases=[Phase.generate])
        def whole(graph, box_list, part):
            check("docs", graph, box_list, part, "interval")

        whole()

    def test_the_law_holds_and_the_page_s_test(self, monkeypatch):
        for test in [*self.define(monkeypatch), self.law]:
            test()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("(n.abs() + s)", "n.abs()"),
            ("return taken(x[0]), taken(x[1])", "return taken(x[1]), taken(x[1])"),
            ("torch.zeros_like(flat[:, :1])", "flat[:, :1]"),
            ("return below_it,", "return float(low.mid()) + 1e-3,"),
        ],
    )
    def test_the_law_notices(self, monkeypatch, old, new):
        self.define(monkeypatch, old, new)
        with pytest.raises(AssertionError):
            self.law()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (" + gamma(k) * (m.abs() @ n.abs())", ""),
            ("below(x[0] + y[0])", "x[0] + y[0]"),
            ("above(x[1] + y[1])", "x[1] + y[1]"),
        ],
    )
    def test_the_page_s_test_notices(self, monkeypatch, old, new):
        (test,) = self.define(monkeypatch, old, new)
        with pytest.raises(AssertionError):
            test()

    def test_the_script_runs_and_prints_what_is_shown(self, monkeypatch, capsys):
        self.define(monkeypatch)
        monkeypatch.chdir(ROOT)
        exec(script(self.page), {})
        printed = capsys.readouterr().out.splitlines()
        (shown,) = [b.text for b in blocks(self.page) if b.text.startswith("Interval")]
        assert [line.split()[0] for line in printed] == ["Interval", "Taylor"]
        for ours, theirs in zip(printed, shown.splitlines(), strict=True):
            for a, b in zip(ours.split()[1:], theirs.split()[1:], strict=True):
                assert float(a) == pytest.approx(float(b), rel=0.1)
