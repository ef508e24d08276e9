"""Runs mutants: a scratch copy of the tree, one fault at a time, the named tests."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from tests.mutants import ROOT, Mutant

PATIENCE = 300.0  # seconds for the tests of one mutant
PARTS = ("certify", "theory", "probes", "tests", "benchmarks", "docs", "pyproject.toml",
         "README.md", "constraints.txt")  # fmt: skip
OPTIONS = ["-x", "-q", "-n0", "--tb=line", "-p", "no:cacheprovider"]
#: Examples of hypothesis are those of CI, the same every time, and failures are not shrunk.
MORE = {"HYPOTHESIS_PROFILE": "mutants", "OMP_NUM_THREADS": "1"}
NO_VERDICT = 70  # pytest ends with 0 ... 5
OTHERS = ("torch", "z3", "sympy", "flint", "hypothesis", "mpmath", "numpy", "pytest", "onnx")

Run = Callable[[Path, tuple[str, ...], float], tuple[str, str]]


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


def _said(code: int | None) -> str:
    return {0: "passed", 1: "failed", None: "endless"}.get(code, "broken")


def in_a_process(root: Path, tests: tuple[str, ...], patience: float) -> tuple[str, str]:
    """What the tests say in this tree, in a process of their own.

    Returns:
        "passed", "failed", "broken" (they cannot be run) or "endless", and the end of the output.
    """
    command = [sys.executable, "-B", "-m", "pytest", *OPTIONS, *tests]
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PLATEAU"))}
    try:
        done = subprocess.run(command, cwd=root, env=bare | MORE | {"PYTHONPATH": str(root)},
                              capture_output=True, text=True, timeout=patience)  # fmt: skip
    except subprocess.TimeoutExpired:
        return _said(None), f"longer than {patience:g} s"
    return _said(done.returncode), (done.stdout + done.stderr)[-2000:]


def in_a_fork(root: Path, tests: tuple[str, ...], patience: float) -> tuple[str, str]:
    """The same in a fork of this process, which saves the seconds that other packages take to
    import; this process must not have worked with torch or Z3 before."""
    for name in OTHERS:
        importlib.import_module(name)
    with TemporaryFile("w+") as output:
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=_child, args=(root, tests, output.fileno()))
        child.start()
        child.join(patience)
        code = child.exitcode
        if code is None:
            child.kill()
            child.join()
        output.seek(0)
        return _said(code), output.read()[-2000:]


def _child(root: Path, tests: tuple[str, ...], output: int) -> None:
    """Nothing of this tree stays imported: the code is read anew from the scratch copy.

    Installed packages do, also where their folder lies inside the tree. A process that ends in any
    other way than by pytest's verdict has shown nothing: its code is none of pytest's.
    """
    code = NO_VERDICT
    try:
        code = _verdict(root, tests, output)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _verdict(root: Path, tests: tuple[str, ...], output: int) -> int:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(root)
    os.environ.update(MORE)
    for name, module in list(sys.modules.items()):
        file = str(getattr(module, "__file__", None) or "")
        mine = file.startswith(f"{ROOT}{os.sep}") and not file.startswith(f"{sys.prefix}{os.sep}")
        if mine or name.partition(".")[0] in ("certify", "theory", "probes", "tests", "benchmarks"):
            del sys.modules[name]
    sys.path[:] = [str(root), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
    sys.dont_write_bytecode = True
    return int(sys.modules["pytest"].main([*OPTIONS, *tests]))


def outcome(root: Path, mutant: Mutant, run: Run = in_a_process) -> tuple[str, str]:
    """What becomes of one mutant in the scratch copy, which is mended afterwards.

    Returns:
        "killed", "survived", or "broken" (its tests cannot be run: that shows nothing), and the
        end of the tests' output.
    """
    path = root / mutant.file
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(root), encoding="utf-8")
    try:
        said, text = run(root, mutant.tests, PATIENCE)
    finally:
        path.write_text(original, encoding="utf-8")
    return {"failed": "killed", "endless": "killed", "passed": "survived"}.get(said, said), text
