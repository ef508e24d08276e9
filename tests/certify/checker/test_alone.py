"""The checker by itself: without the engine, and small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from certify.certificate.writing import as_bytes, digest

ROOT = Path(__file__).parents[3]

ALONE = """
import sys
for name in ("torch", "numpy", "typer", "rich", "scipy"):
    sys.modules[name] = None
import runpy
sys.argv = ["certify.checker", *sys.argv[1:]]
runpy.run_module("certify.checker", run_name="__main__")
"""


def alone(*args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ALONE, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_it_runs_alone(sealed, data, tmp_path):
    """Without torch, numpy, typer and rich; the three exit codes."""
    good, bad, none = (tmp_path / name for name in ("good.json", "bad.json.gz", "none.json"))
    good.write_bytes(as_bytes(sealed))
    data["claims"][0]["verdict"] = "PROVED"
    bad.write_bytes(as_bytes(data | {"digest": digest(data)}, packed=True))
    out = alone(good)
    assert out.returncode == 0 and out.stdout.startswith("ACCEPTED"), out.stderr
    out = alone(bad, "--jobs", 1)
    assert out.returncode == 1 and out.stdout.startswith("REJECTED"), out.stderr
    out = alone(none)
    assert out.returncode == 2 and "cannot be read" in out.stderr and "Traceback" not in out.stderr


def test_it_is_small():
    files = sorted((ROOT / "certify" / "checker").glob("*.py"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sum(bool(line.strip()) for line in lines) < 500
