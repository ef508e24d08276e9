"""Proven bounds for trained networks. The package imports its parts on first use.

`import certify` stays cheap so that the command line can answer `--help` without torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "load": "certify.frontend",
    "export": "certify.frontend.export",
    "Unrolled": "certify.frontend.unroll",
    "check": "certify.checking",
    "enclose": "certify.graph",
    "verify": "certify.checker.check",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'certify' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
