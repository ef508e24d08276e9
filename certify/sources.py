"""Which code this is: a version number alone does not tell two states of a working copy apart."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import certify
import theory


@cache
def sources() -> str:
    """SHA-256, in hexadecimal, of the names and contents of all modules of certify and theory."""
    found = hashlib.sha256()
    for package in (certify, theory):
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py"), key=lambda p: p.relative_to(root).as_posix()):
            data = path.read_bytes()
            name = f"{package.__name__}/{path.relative_to(root).as_posix()} {len(data)}\n"
            found.update(name.encode() + data)
    return found.hexdigest()
