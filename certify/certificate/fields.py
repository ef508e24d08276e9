"""Fields of JSON data, read exactly; every complaint names the field."""

from __future__ import annotations

import math
from typing import Any

from certify.certificate import Pair


class Malformed(Exception):
    """The data is no certificate; the text says where."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that occurs twice has no meaning."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def keys(data: dict, wanted: tuple[str, ...], where: str, also: tuple[str, ...] = ()) -> None:
    """Exactly these names: whatever is written means something, or is refused."""
    names = set(data)
    if not set(wanted) <= names <= set(wanted) | set(also):
        odd = sorted(names ^ set(wanted))
        raise Malformed(f"{where}: missing or unknown: {', '.join(map(ascii, odd))[:200]}")


def no_float(text: str) -> float:
    raise ValueError(f"the number {text[:40]} is not an integer or a hexadecimal string")


def get(data: Any, name: str, kind: type, where: str) -> Any:
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Malformed(f"{where} is missing or of the wrong kind")
    return value


def lists(data: dict, name: str) -> list[list]:
    value = get(data, name, list, name)
    if not all(isinstance(part, list) for part in value):
        raise Malformed(f"{name} is not a list of lists")
    return value


def objects(data: dict, name: str) -> list[tuple[dict, str]]:
    value = get(data, name, list, name)
    if not all(isinstance(part, dict) for part in value):
        raise Malformed(f"{name} is not a list of objects")
    return [(part, f"{name}[{i}]") for i, part in enumerate(value)]


def number(text: Any, where: str, *, finite: bool = True) -> float:
    """Exactly what `float.hex` writes: other spellings might be rounded."""
    try:
        value = float.fromhex(text) if isinstance(text, str) and len(text) < 32 else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if math.isnan(value) or value.hex() != text or (finite and math.isinf(value)):
        raise Malformed(f"{where}: {ascii(text)[:40]} is not a double as float.hex writes it")
    return value


def numbers(value: Any, count: int | None, where: str, *, finite: bool = True) -> tuple:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise Malformed(f"{where} is not a list of {count} numbers")
    return tuple(number(text, where, finite=finite) for text in value)


def box(value: Any, variables: int, where: str) -> tuple[Pair, ...]:
    if not isinstance(value, list) or len(value) != variables:
        raise Malformed(f"{where} is not a box of {variables} intervals")
    sides = tuple(numbers(side, 2, where) for side in value)
    if not all(lo < hi for lo, hi in sides):
        raise Malformed(f"{where}: an interval is empty or a single point")
    return sides


def pair(value: Any, where: str) -> Pair:
    """Bounds that some number can have."""
    lo, hi = numbers(value, 2, where, finite=False)
    if not (lo <= hi and lo < math.inf and hi > -math.inf):
        raise Malformed(f"{where}: no number lies in [{lo!r}, {hi!r}]")
    return lo, hi


def integer(value: Any, least: int, most: int, where: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Malformed(f"{where}: {ascii(value)[:40]} is not an integer in [{least}, {most}]")
    return value
