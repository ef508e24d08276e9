"""Runs mutants: a scratch copy of the tree, one fault at a time, the named tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants import ROOT, Mutant

PATIENCE = 300.0  # seconds for the tests of one mutant
PARTS = ("certify", "theory", "probes", "tests", "benchmarks", "docs", "pyproject.toml",
         "README.md", "constraints.txt")  # fmt: skip


@contextmanager
def scratch() -> Iterator[Path]:
    """A copy of the tree to break, thrown away afterwards."""
    with TemporaryDirectory(prefix="mutants-") as folder:
        for part in PARTS:
            source, copy = ROOT / part, Path(folder) / part
            if source.is_dir():
                skip = shutil.ignore_patterns("__pycache__", "_build", ".*")
                shutil.copytree(source, copy, ignore=skip)
            elif source.exists():
                shutil.copy(source, copy)
        yield Path(folder)


def pytest_run(root: Path, tests: tuple[str, ...], patience: float = PATIENCE) -> tuple[str, str]:
    """What the tests say in this tree.

    Examples of hypothesis are those of CI, the same every time, and failures are not shrunk.

    Returns:
        "passed", "failed", "broken" or "endless", and the end of the output.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--tb=line",
               "-p", "no:cacheprovider", *tests]  # fmt: skip
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PLATEAU"))}
    more = {"HYPOTHESIS_PROFILE": "mutants", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, cwd=root, env=bare | more, capture_output=True, text=True,
                              timeout=patience)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "endless", f"longer than {patience:g} s"
    outcome = {0: "passed", 1: "failed"}.get(done.returncode, "broken")
    return outcome, (done.stdout + done.stderr)[-2000:]


def outcome(root: Path, mutant: Mutant) -> tuple[str, str]:
    """What becomes of one mutant in the scratch copy, which is mended afterwards.

    Returns:
        "killed", "survived", or "broken" (its tests cannot be run: that shows nothing), and the
        end of the tests' output.
    """
    path = root / mutant.file
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(root), encoding="utf-8")
    try:
        said, text = pytest_run(root, mutant.tests)
    finally:
        path.write_text(original, encoding="utf-8")
    return {"failed": "killed", "endless": "killed", "passed": "survived"}.get(said, said), text
