"""Text from outside, such as a path, made safe to show."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> Any:
    """The same data with letters that cannot be printed, or that turn text around, replaced."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    if isinstance(value, dict):
        return {shown(key): shown(part) for key, part in value.items()}
    return [shown(part) for part in value] if isinstance(value, list | tuple) else value
