"""Certificates as JSON data and as files."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from certify.certificate import (
    BUNDLE,
    SCHEMA,
    Bundle,
    Cell,
    Certificate,
    Claim,
    Cut,
    JointCell,
    Leaf,
    Network,
    Point,
    Slopes,
    Tree,
)


def as_data(certificate: Certificate | Bundle) -> dict[str, Any]:
    """The certificate as JSON data, sealed with its digest."""
    c = certificate
    if isinstance(c, Bundle):
        return _bundle_data(c)
    data = {
        "schema": SCHEMA,
        **c.header,
        "target": c.target,
        "domain": _hex(c.domain),
        "semantics": "real",
        **_alone(c),
        "claims": _claims(c.claims),
        "slopes": None if c.slopes is None else _evidence(c.slopes),
        "graph": network_data(c.network),
    }
    return data | {"digest": digest(data)}


def _bundle_data(c: Bundle) -> dict[str, Any]:
    stated = c.stated
    data = {
        "schema": BUNDLE,
        **c.header,
        "norm": c.norm,
        "domain": _hex(c.parts[0].domain),
        "semantics": "real",
        "stated": {
            "cells": [_fields(cell) for cell in stated.cells],
            "sup_error": _hex(stated.sup_error),
            "target_variation": _hex(stated.target_variation),
        },
        "claims": _claims(c.claims),
        "parts": [{"target": part.target, **_alone(part)} for part in c.parts],
        "squares": None if c.squares is None else _alone(c.squares),
        "graph": network_data(c.network),
    }
    return data | {"digest": digest(data)}


def _alone(c: Certificate) -> dict[str, Any]:
    """What is stated of one output, and the evidence."""
    return {
        "stated": {
            "cells": [_fields(cell) for cell in c.stated.cells],
            "sup_error": _hex(c.stated.sup_error),
            "target_variation": _hex(c.stated.target_variation),
            "witness": _hex(c.stated.witness),
            "slopes": _hex(c.stated.slopes),
        },
        **_evidence(c),
    }


def _claims(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    return [{"label": k.label, "numbers": _hex(k.numbers), "verdict": k.verdict} for k in claims]


def _evidence(part: Certificate | Slopes) -> dict[str, Any]:
    return {
        "points": [_fields(point) for point in part.points],
        "trees": [[_entry(entry) for entry in tree] for tree in part.trees],
    }


def network_data(network: Network) -> dict[str, Any]:
    """The graph as JSON data; equal for equal graphs."""
    nodes = []
    for node in network.nodes:
        data = {"op": node.kind, "of": list(node.inputs), "shape": list(node.shape)}
        if node.kind == "gather":
            data["index"] = list(node.index)
        if node.kind == "apply":
            data["function"] = node.function
        if node.kind == "affine":
            parts = {n: getattr(node, n) for n in ("weight", "scale", "divisor", "bias")}
            data |= {n: _hex(part) for n, part in parts.items() if part is not None}
        nodes.append(data)
    return {"input": list(network.input_shape), "nodes": nodes, "output": network.output}


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of the data without its digest: ASCII, keys sorted, no blanks."""
    plain = {name: value for name, value in data.items() if name != "digest"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_bytes(data: dict[str, Any], *, packed: bool = False) -> bytes:
    """The file: a line for every field, and one for every cell, point, tree and node."""
    lines = [f' "{name}": {_lines(value)}' for name, value in data.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    return gzip.compress(text.encode(), mtime=0) if packed else text.encode()


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return "[\n  " + ",\n  ".join(map(_compact, value)) + "\n ]"
    if isinstance(value, dict) and any(isinstance(part, list) for part in value.values()):
        return "{\n  " + ",\n  ".join(f'"{n}": {_lines(v)}' for n, v in value.items()) + "\n }"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _entry(entry: Cut | Leaf) -> Any:
    if isinstance(entry, Cut):
        return [entry.axis, entry.at.hex()]
    return " ".join(end.hex() for pair in (*entry.box, *entry[1:]) for end in pair)


def _fields(entry: Point | Cell | JointCell) -> dict[str, Any]:
    return {name: _hex(value) for name, value in entry._asdict().items()}


def _hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hex(part) for name, part in value.items()}
    if value is None:
        return None
    return value.hex() if isinstance(value, float) else [_hex(part) for part in value]


def tree_of(leaves: Sequence[Leaf]) -> Tree:
    """A tree over leaves of several variables that were made by cutting boxes in two.

    Raises:
        ValueError: no cut parts them.
    """
    out: list[Cut | Leaf] = []
    stack = [list(leaves)]
    while stack:
        group = stack.pop()
        if len(group) == 1:
            out.append(group[0])
            continue
        cut = _cut(group)
        out.append(cut)
        below = [leaf for leaf in group if leaf.box[cut.axis][1] <= cut.at]
        stack += [[leaf for leaf in group if leaf.box[cut.axis][0] >= cut.at], below]
    return tuple(out)


def _cut(leaves: list[Leaf]) -> Cut:
    """Where no leaf is on both sides; the one that parts them most evenly."""
    best: tuple[int, Cut] | None = None
    for axis in range(len(leaves[0].box)):
        sides = sorted(leaf.box[axis] for leaf in leaves)
        reach = sides[0][1]
        for i, (lo, hi) in enumerate(sides):
            if i and lo >= reach:
                share = min(i, len(sides) - i)
                if best is None or share > best[0]:
                    best = share, Cut(axis, lo)
            reach = max(reach, hi)
    if best is None:
        raise ValueError("these leaves were not made by cutting boxes in two")
    return best[1]


def tree(leaves: Sequence[Leaf]) -> Tree:
    """A balanced tree over neighboring leaves of one variable, sorted by their lower ends."""
    out: list[Cut | Leaf] = []
    stack = [(0, len(leaves))]
    while stack:
        first, end = stack.pop()
        if end - first == 1:
            out.append(leaves[first])
        elif end > first:
            middle = (first + end) // 2
            out.append(Cut(0, leaves[middle].box[0][0]))
            stack += [(middle, end), (first, middle)]
    return tuple(out)
