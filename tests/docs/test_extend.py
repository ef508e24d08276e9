"""The pages on extending say what works: their files are made, and what they add is used.

Operator, target and theorem go into a copy of the packages, as a reader would write them; the
domain is held to the laws here. Each is also broken once, and that must be noticed.
"""

from __future__ import annotations

import os
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

import certify
from certify.errors import Unsupported
from theory.errors import BadRequest
from theory.targets import find_target

PACKAGES = ("theory", "certify", "tests")


class Copy:
    """A copy of the packages, with files of a page written into it."""

    def __init__(self, folder):
        self.folder = folder
        for name in PACKAGES:
            shutil.copytree(ROOT / name, folder / name)
        (folder / "probes").symlink_to(ROOT / "probes")
        shutil.copy(ROOT / "pyproject.toml", folder)

    def write(self, page):
        """A block that names a file becomes that file, or its last lines where there is one."""
        for block in blocks(page):
            if block.file:
                with open(self.folder / block.file, "a") as file:
                    file.write(block.text)

    def python(self, *words):
        """Run Python there: exit code, and all that it printed."""
        line = [sys.executable, *words]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        done = subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, env=environment, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    def run(self, words):
        """Run a command of ours."""
        return self.python("-m", f"{words[0]}.cli", *words[1:])


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path / "copy")


def outputs(page):
    """The blocks of a page that show what is printed."""
    shown = [b for b in blocks(page) if not b.language and b.text.startswith(("PROVED", "FAILED"))]
    assert shown
    return [line for b in shown for line in b.text.splitlines()]


def script(page):
    """The block of Python that belongs into no file."""
    (found,) = [b.text for b in blocks(page) if b.language == "python" and not b.file]
    return found


def test_an_operator(copy, monkeypatch):
    page = "docs/extend/op.md"
    (model,) = [b.text for b in blocks(page) if b.file == "distance.py"]
    monkeypatch.chdir(copy.folder)
    exec(compile(model, "distance.py", "exec"), {"__name__": "distance"})
    refused = next(b.text for b in blocks(page) if b.text.startswith("cannot certify"))
    with pytest.raises(Unsupported) as error:
        certify.load("distance.pt")
    assert str(error.value).startswith(refused.partition("\n")[0])

    copy.write(page)
    (words,) = [words for _, words in commands(page)]
    code, says = copy.run(words)
    assert code == 0 and outputs(page)[0] in says
    (test,) = [b.text for b in blocks(page) if b.text.startswith("pytest ")]
    code, says = copy.python("-m", *shlex.split(test))
    assert code == 0 and "1 passed" in says

    file = copy.folder / "certify/ops/distances.py"
    file.write_text(file.read_text().replace("context.add(*squares)", "squares[0]"))
    code, says = copy.run(words)
    assert code == 5 and "differs from the archive's own operators" in says


def test_a_target(copy):
    page = "docs/extend/target.md"
    plain, listed, named = [words for _, words in commands(page)]
    assert find_target(plain[-1])
    with pytest.raises(BadRequest, match='no target is called "runge"'):
        find_target(named[-1])
    copy.write(page)
    code, says = copy.run(listed)
    assert code == 0 and "runge" in says
    code, says = copy.run(named)
    assert code == 0 and outputs(page)[0].partition(" lies in")[0] in says


def test_a_theorem(copy):
    page = "docs/extend/theorem.md"
    copy.write(page)
    prove, show = [words for _, words in commands(page)]
    proved, steps, failed = outputs(page)
    code, says = copy.run(prove)
    assert code == 0 and says.splitlines() == [proved, steps]
    assert "(proved)" in copy.run(show)[1]
    code, says = copy.python("-c", script(page))
    assert code == 0 and len(says.splitlines()) > 3 and "True" not in says

    file = copy.folder / "theory/theorems/i_mean.py"
    old, new = "(eps + eta) / 2,\n", "(eps + eta) / 3,\n"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    code, says = copy.run(prove)
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
