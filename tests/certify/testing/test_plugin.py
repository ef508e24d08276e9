"""The plugin in a pytest of its own, the example of docs/testing.md, and what is imported when."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}


def pytest_run(folder, *options):
    """pytest in a folder, with this plugin and hypothesis' own, as if both were installed."""
    command = [sys.executable, "-m", "pytest", "-p", "certify.testing.plugin",
               "-p", "no:cacheprovider", *options]  # fmt: skip
    return subprocess.run(command, cwd=folder, env=BARE, capture_output=True, text=True)


FAILING = """
import torch

class Half(torch.nn.Module):
    def forward(self, x):
        return x / 2

def test_false(certified):
    certified.within(Half(), "x", 0.25)

def test_undecided(certified):
    certified.within(Half(), "x/2 + 1e-30*sin(x)", 1e-30)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run over the example of the documentation and over tests that fail."""
    folder = tmp_path_factory.mktemp("mine")
    text = (ROOT / "docs" / "testing.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "test_example.py").write_text(code)
    (folder / "test_failing.py").write_text(FAILING)
    run = pytest_run(folder, "-v", "--junitxml=report.xml", "--certify-budget", "1")
    return run.returncode, run.stdout + run.stderr, (folder / "report.xml").read_text()


def test_the_example_of_the_documentation_passes(done):
    code, text, xml = done
    assert code == 1 and "2 failed, 4 passed" in text, text
    assert text.count("test_example.py::") >= 4 and "FAILED test_example" not in text
    assert "PROVED |model - exp| <= 0.001 (sup error in [" in text
    assert "PROVED |model - exp| &lt;= 0.001" in xml


def test_failures_are_shown_with_verdict_and_witness(done):
    _, text, _ = done
    assert "REFUTED     |model - x| <= 0.25, for every x in [-1.0, 1.0]" in text
    assert re.search(r"witness: x = -?1, where", text)
    assert "UNDECIDED   |model - (x/2 + 1e-30*sin(x))| <= 1e-30" in text
    assert "this is no guarantee" in text


def test_it_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {
        "certify.testing.plugin": "certify.testing.plugin"
    }
    needs = " ".join(project["optional-dependencies"]["testing"])
    assert "pytest" in needs and "hypothesis" in needs


def imported(code):
    done = subprocess.run([sys.executable, "-c", code], env=BARE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_imported_before_it_is_used():
    code = (
        "import sys, certify, certify.testing\n"
        "names = {'torch', 'hypothesis', 'pytest', 'sympy'}\n"
        "print(sorted(names & set(sys.modules)))\n"
        "import certify.testing.plugin\n"
        "print(sorted(names & set(sys.modules)))\n"
        "sys.modules['hypothesis'] = None\n"
        "certify.testing.assert_within\n"
        "print('torch' in sys.modules)\n"
        "try: certify.testing.boxes\n"
        "except ImportError as error: print(error)"
    )
    nothing, plugin, used, advice = imported(code).splitlines()
    assert (nothing, plugin, used) == ("[]", "['pytest']", "True")
    assert "pip install 'plateau[testing]'" in advice


def test_no_other_module_of_the_package_imports_it():
    for path in (ROOT / "certify").rglob("*.py"):
        if "testing" not in path.parts:
            assert "certify.testing" not in path.read_text(), path
