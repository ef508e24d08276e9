"""Guarantees on your own models in your own test suite: see docs/testing.md.

The parts are imported on first use: the assertions need torch, the strategies hypothesis, the
plugin pytest (all three: `pip install 'plateau[testing]'`), and this package by itself nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "assert_within": "certify.testing.assertions",
    "assert_no_plateau": "certify.testing.assertions",
    "assert_monotone": "certify.testing.assertions",
    "assert_lipschitz": "certify.testing.assertions",
    "as_model": "certify.testing.assertions",
    "NotProved": "certify.testing.assertions",
    "Refuted": "certify.testing.assertions",
    "Undecided": "certify.testing.assertions",
    "boxes": "certify.testing.strategies",
    "points": "certify.testing.strategies",
    "encoders": "certify.testing.strategies",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'certify.testing' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError(
            f"certify.testing.{name} needs the package hypothesis; "
            "install it with: pip install 'plateau[testing]'"
        ) from error
