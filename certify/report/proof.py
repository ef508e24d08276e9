"""Writing a report's certificate, and having the checker prove it in a process of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certify
from certify.certificate.writing import as_bytes, as_data
from certify.checking import Report
from certify.report.certificate import as_certificate
from certify.report.text import block
from theory.files import replace_file


@dataclass(frozen=True)
class Proof:
    """data: the field "certificate" of the JSON report; words: for the terminal."""

    data: dict[str, Any]
    words: str


def prove(report: Report, path: str | None, verify: bool) -> Proof:
    """Write the certificate to `path`, if there is one, and have it checked, if that is wanted.

    Raises:
        BadRequest: the file cannot be written.
    """
    data: dict[str, Any] = {"path": path, "sha256": None, "checked": False}
    if path is None and not verify:
        return Proof(data, "")
    certificate = as_certificate(report)
    raw = as_bytes(as_data(certificate), packed=path is not None and path.endswith(".gz"))
    lines = []
    if path is not None:
        replace_file(path, raw)
        data["sha256"] = hashlib.sha256(raw).hexdigest()
        says = f"{path}, {certificate.leaves} leaves, {len(raw) / 1024:.0f} KiB"
        lines.append(block("certificate", [says]))
        if not verify:
            lines.append(block("", [f"check it with: certify verify {path}"]))
    if verify:
        with tempfile.TemporaryDirectory(prefix="plateau-") as folder:
            copy = Path(folder) / "certificate.json"
            copy.write_bytes(raw)
            data["checked"], words = _checked(copy)
        lines.append(words.rstrip())
    return Proof(data, "".join(f"\n{line}" for line in lines))


def _checked(path: Path) -> tuple[bool, str]:
    """Run the checker in a process of its own: whether it accepts, and what it says."""
    root = str(Path(certify.__file__).parents[1])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # -P: modules of the current folder are not imported.
    command = [sys.executable, "-P", "-m", "certify.checker", str(path)]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode == 0, done.stdout + done.stderr
