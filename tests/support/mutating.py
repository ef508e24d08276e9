"""Damaged and hostile variants of good bytes, of JSON values, of zip archives and of texts."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

NUMBERS = [0, 1, -1, 2, 127, 255, 256, 65535, 2**31 - 1, -(2**31), 2**32, 2**40, 2**63 - 1,
           -(2**63), 2**64, 10**30]  # fmt: skip
SCALARS = [None, True, False, 0.5, -0.0, "", "x", "../../x", "/etc/passwd", "\0", "\ud800",
           "1e999", "nan", "inf", "0x1.0p+0", "x" * 5000, [], {}, [[]], {"as_int": 1 << 62},
           *NUMBERS]  # fmt: skip
NAMES = ["../x", "/tmp/x", "a/../../x", "models/model.json", "x" * 300, "\\x", ".", "C:x"]


def mutated(data: bytes, rng: random.Random, others: list[bytes] = ()) -> bytes:
    """One to eight changes of bytes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        rng.choice(BYTES)(out, rng, others)
    return bytes(out)


def _place(out: bytearray, rng: random.Random) -> int:
    """Anywhere, but more often near the beginning and the end, where formats keep their tables."""
    kind, size = rng.random(), max(1, len(out))
    if kind < 0.3:
        return rng.randrange(min(size, 256))
    if kind < 0.5:
        return max(0, size - 1 - rng.randrange(min(size, 1024)))
    return rng.randrange(size)


def _flip(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    if out:
        out[_place(out, rng) % len(out)] ^= 1 << rng.randrange(8)


def _set(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    if out:
        out[_place(out, rng) % len(out)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def _insert(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at = _place(out, rng)
    out[at:at] = rng.choice((b"\0", b"\xff" * 8, rng.randbytes(rng.randrange(1, 40)), b"[" * 2000))


def _delete(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at = _place(out, rng)
    del out[at : at + rng.choice((1, 4, 64, 4096))]


def _cut(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    del out[_place(out, rng) :]


def _repeat(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at, size = _place(out, rng), rng.choice((8, 100, 2000))
    out[at:at] = out[at : at + size]


def _integer(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at, size = _place(out, rng), rng.choice((2, 4, 8))
    value = rng.choice(NUMBERS) % (1 << (8 * size))
    out[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _decimal(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """A number in digits, somewhere, by another one."""
    found = list(re.finditer(rb"-?\d+", out[:200_000]))
    if found:
        match = rng.choice(found)
        out[match.start() : match.end()] = str(rng.choice(NUMBERS)).encode()


def _splice(out: bytearray, rng: random.Random, others: list[bytes]) -> None:
    if others and (other := rng.choice(others)):
        at, start = _place(out, rng), rng.randrange(len(other))
        out[at : at + 64] = other[start : start + rng.choice((8, 64, 1000))]


BYTES: list[Callable] = [_flip, _set, _insert, _delete, _cut, _repeat, _integer, _decimal, _splice]


def mutated_json(value: Any, rng: random.Random) -> Any:
    """The value with one to three of its places replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(SCALARS)
        holder, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.6:
            holder[key] = rng.choice(SCALARS)
        elif kind < 0.75:
            del holder[key]
        elif kind < 0.9:
            other, name = rng.choice(places)
            try:
                holder[key] = json.loads(json.dumps(other[name]))
            except (KeyError, IndexError):  # removed before
                holder[key] = None
        elif isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        else:
            holder[rng.choice(("", "x", "\0", str(key) + "2"))] = holder[key]
    return value


def _places(value: Any) -> Any:
    """All (holder, key) below a JSON value."""
    stack = [value]
    while stack:
        one = stack.pop()
        keys = one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in list(keys):
            yield one, key
            stack.append(one[key])


def mutated_zip(data: bytes, rng: random.Random) -> bytes:
    """An archive with right checksums and something wrong in one of its members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([n for n in members if n.endswith(".json")] or list(members))
    if rng.random() < 0.25:
        name = rng.choice(list(members))
    kind = rng.random()
    try:
        content = json.dumps(mutated_json(json.loads(members[name]), rng)).encode()
    except ValueError:
        content = mutated(members[name], rng)
    if kind < 0.75:
        members[name] = content
    elif kind < 0.83:
        members[rng.choice(NAMES)] = content
    elif kind < 0.9:
        del members[name]
    elif kind < 0.95:
        members[name] = b"\0" * 30_000_000
    else:
        members[name] = mutated(members[name], rng)
    out = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", packing) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


ATOMS = ["x", "1", "0", "2.5", "1e300", "1e-300", "pi", "e", "0.1", "7", "x1", "t", "nan", "1e999"]
CALLS = ["sin", "cos", "exp", "ln", "sqrt", "abs", "cbrt", "tan", "sinh", "cosh", "relu", "sign",
         "gelu", "tanh", "erf", "log", "silu", "softplus", "sigmoid", "eval",
         "__import__"]  # fmt: skip


def expression(rng: random.Random, depth: int = 0) -> str:
    """A text that looks like an expression; some of them are one."""
    kind = rng.random()
    if depth > 6 or kind < 0.25:
        return rng.choice(ATOMS)
    if kind < 0.6:
        sign = rng.choice("+-*/^")
        return f"{expression(rng, depth + 1)}{sign}{expression(rng, depth + 1)}"
    if kind < 0.8:
        return f"{rng.choice(CALLS)}({expression(rng, depth + 1)})"
    if kind < 0.87:
        return f"max({expression(rng, depth + 1)},{expression(rng, depth + 1)})"
    if kind < 0.95:
        return f"({expression(rng, depth + 1)})"
    return "-" * rng.randrange(1, 60) + expression(rng, depth + 1)
