"""Libraries of the extra `probes`, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from theory.errors import BadRequest


class Missing(BadRequest):
    """An optional library is not installed."""


def need(module: str, what: str) -> ModuleType:
    """The module.

    Raises:
        Missing: it is not installed; the text says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.split(".")[0]
        raise Missing(f"{what} needs {name}: pip install -c constraints.txt '.[probes]'") from None
