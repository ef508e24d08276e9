"""Reading a certificate: its form only; that it is true is for `certify.checker` to prove.

Every complaint names the field. Size, depth and work are bounded before anything is built.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

from certify.certificate import (
    SCHEMA,
    TRUST,
    Cell,
    Certificate,
    Claim,
    Cut,
    Leaf,
    Network,
    Node,
    Pair,
    Point,
    Slopes,
    Stated,
)
from certify.certificate.writing import digest
from certify.errors import BadRequest, UnreadableFile
from theory.expressions import meaning
from theory.expressions import parse as parse_expression
from theory.functions import FUNCTIONS

MOST_BYTES = 2**28  # of JSON, unpacked
MOST_VALUES = 5 * 10**6  # strings and lists in it, an object for 4: this bounds the memory
MOST_ENTRIES = 2**19  # numbers that the graph computes
MOST_CLAIMS = 16
MOST_VARIABLES = 64
MOST_FUNCTIONS = 64  # expressions as functions of the graph; names are not counted
MOST_PRODUCTS = 2**28  # multiplications in its affine maps and matrix products

FIELDS = ("schema", "tool", "trust", "model", "target", "domain", "semantics", "stated", "claims",
          "points", "trees", "slopes", "graph", "digest")  # fmt: skip


class Malformed(Exception):
    """The data is no certificate; the text says where."""


def read(path: str | Path) -> Certificate:
    """Read a certificate, packed or not.

    Raises:
        UnreadableFile: there is no such file, or it is no certificate; the text says why.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
        return parse(raw)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror or error})") from error
    except Malformed as error:
        raise UnreadableFile(f"{path}: not a certificate: {error}") from error


def parse(raw: bytes) -> Certificate:
    """Read a certificate from its bytes.

    Raises:
        Malformed: they are none.
    """
    if raw[:2] == b"\x1f\x8b":
        try:
            unpacker = zlib.decompressobj(31)
            raw = unpacker.decompress(raw, MOST_BYTES + 1)
        except zlib.error as error:
            raise Malformed(f"damaged gzip data ({error})") from error
        if len(raw) <= MOST_BYTES and (not unpacker.eof or unpacker.unused_data):
            raise Malformed("damaged gzip data (it is cut off, or something follows)")
    if len(raw) > MOST_BYTES:
        raise Malformed(f"more than {MOST_BYTES >> 20} MiB of JSON")
    if raw.count(b",") + raw.count(b"[") + 4 * raw.count(b"{") > MOST_VALUES:
        raise Malformed(f"more than {MOST_VALUES} values")
    try:
        data = json.loads(
            raw.decode("ascii"),
            parse_float=_no_float,
            parse_constant=_no_float,
            object_pairs_hook=_object,
        )
        del raw
        return from_data(data)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"not JSON of the kind written here ({str(error)[:200]})") from error


def from_data(data: Any) -> Certificate:
    """The certificate that JSON data means.

    Raises:
        Malformed: it is none.
    """
    found = data.get("schema") if isinstance(data, dict) else None
    if found != SCHEMA:
        raise Malformed(f'"schema" is {ascii(found)[:60]}, not "{SCHEMA}"')
    if data.get("semantics") != "real":
        raise Malformed('"semantics" is not "real", the only kind that can be checked')
    if data.get("digest") != digest(data):
        raise Malformed("the digest does not fit: the file was changed or damaged")
    _keys(data, FIELDS, "certificate")
    if data["trust"] != TRUST:
        raise Malformed('"trust" is not the statement of this schema')
    network = _network(_get(data, "graph", dict, "graph"))
    variables = math.prod(network.input_shape)
    if not 1 <= variables <= MOST_VARIABLES:
        raise Malformed(f"graph.input has {variables} variables, not 1 to {MOST_VARIABLES}")
    domain = _box(data.get("domain"), variables, "domain")
    stated = _stated(_get(data, "stated", dict, "stated"), variables)
    trees, points = _evidence(data, variables, "")
    slopes = None
    if data["slopes"] is not None:
        if variables > 1:
            raise Malformed("slopes are known of one input variable only")
        part = _get(data, "slopes", dict, "slopes")
        _keys(part, ("points", "trees"), "slopes")
        slopes = Slopes(*_evidence(part, variables, "slopes."))
    claims = [_claim(k, where) for k, where in _objects(data, "claims")]
    if len(claims) > MOST_CLAIMS:
        raise Malformed(f"more than {MOST_CLAIMS} claims")
    target = _get(data, "target", dict, "target")
    _keys(target, ("name", "expression"), "target")
    words = {n: _get(target, n, str, f"target.{n}") for n in ("name", "expression")}
    try:
        parse_expression(words["expression"], variables)
    except BadRequest as error:
        raise Malformed(f"target.expression: {error}") from None
    header = {n: data.get(n) for n in ("tool", "trust", "model")}
    return Certificate(header, network, words, domain, stated, trees, points, tuple(claims), slopes)


def _evidence(data: dict, variables: int, where: str) -> tuple[tuple, tuple]:
    trees = tuple(
        tuple(_tree_entry(e, variables, f"{where}trees[{i}][{k}]") for k, e in enumerate(tree))
        for i, tree in enumerate(_lists(data, "trees"))
    )
    named = _objects(data, "points")
    return trees, tuple(_point(p, variables, where + name) for p, name in named)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that occurs twice has no meaning."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _keys(data: dict, wanted: tuple[str, ...], where: str, also: tuple[str, ...] = ()) -> None:
    """Exactly these names: whatever is written means something, or is refused."""
    names = set(data)
    if not set(wanted) <= names <= set(wanted) | set(also):
        odd = sorted(names ^ set(wanted))
        raise Malformed(f"{where}: missing or unknown: {', '.join(map(ascii, odd))[:200]}")


def _no_float(text: str) -> float:
    raise ValueError(f"the number {text[:40]} is not an integer or a hexadecimal string")


def _get(data: Any, name: str, kind: type, where: str) -> Any:
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Malformed(f"{where} is missing or of the wrong kind")
    return value


def _lists(data: dict, name: str) -> list[list]:
    value = _get(data, name, list, name)
    if not all(isinstance(part, list) for part in value):
        raise Malformed(f"{name} is not a list of lists")
    return value


def _objects(data: dict, name: str) -> list[tuple[dict, str]]:
    value = _get(data, name, list, name)
    if not all(isinstance(part, dict) for part in value):
        raise Malformed(f"{name} is not a list of objects")
    return [(part, f"{name}[{i}]") for i, part in enumerate(value)]


def _number(text: Any, where: str, *, finite: bool = True) -> float:
    """Exactly what `float.hex` writes: other spellings might be rounded."""
    try:
        value = float.fromhex(text) if isinstance(text, str) and len(text) < 32 else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if math.isnan(value) or value.hex() != text or (finite and math.isinf(value)):
        raise Malformed(f"{where}: {ascii(text)[:40]} is not a double as float.hex writes it")
    return value


def _numbers(value: Any, count: int | None, where: str, *, finite: bool = True) -> tuple:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise Malformed(f"{where} is not a list of {count} numbers")
    return tuple(_number(text, where, finite=finite) for text in value)


def _box(value: Any, variables: int, where: str) -> tuple[Pair, ...]:
    if not isinstance(value, list) or len(value) != variables:
        raise Malformed(f"{where} is not a box of {variables} intervals")
    sides = tuple(_numbers(side, 2, where) for side in value)
    if not all(lo < hi for lo, hi in sides):
        raise Malformed(f"{where}: an interval is empty or a single point")
    return sides


def _pair(value: Any, where: str) -> Pair:
    """Bounds that some number can have."""
    lo, hi = _numbers(value, 2, where, finite=False)
    if not (lo <= hi and lo < math.inf and hi > -math.inf):
        raise Malformed(f"{where}: no number lies in [{lo!r}, {hi!r}]")
    return lo, hi


def _point(data: dict, variables: int, where: str) -> Point:
    _keys(data, Point._fields, where)
    at, *pairs = (data[name] for name in Point._fields)
    return Point(_numbers(at, variables, f"{where}.at"), *(_pair(p, where) for p in pairs))


def _claim(data: dict, where: str) -> Claim:
    _keys(data, ("label", "numbers", "verdict"), where)
    numbers = _get(data, "numbers", dict, f"{where}.numbers")
    exact = {n: _number(v, f"{where}.numbers[{ascii(n)}]") for n, v in numbers.items()}
    return Claim(_get(data, "label", str, where), exact, _get(data, "verdict", str, where))


def _tree_entry(entry: Any, variables: int, where: str) -> Cut | Leaf:
    if isinstance(entry, str):
        ends = entry.split(" ")
        pairs = [ends[i : i + 2] for i in range(0, len(ends), 2)]
        if len(ends) != 2 * variables + 6:
            raise Malformed(f"{where} is not a leaf of {2 * variables + 6} numbers")
        box = _box(pairs[:variables], variables, f"{where}, box")
        return Leaf(box, *(_pair(pair, where) for pair in pairs[variables:]))
    if not isinstance(entry, list) or len(entry) != 2:
        raise Malformed(f"{where} is neither a leaf nor a cut")
    return Cut(_integer(entry[0], 0, variables - 1, where), _number(entry[1], where))


def _stated(data: dict, variables: int) -> Stated:
    _keys(data, ("cells", "sup_error", "target_variation", "witness", "slopes"), "stated")
    cells = []
    for cell, where in _objects(data, "cells"):
        box = _box(cell.get("box"), variables, f"{where}.box")
        _keys(cell, Cell._fields, where)
        pairs = (_pair(cell[n], f"{where}.{n}") for n in Cell._fields[1:])
        cells.append(Cell(box, *pairs))
    whole = (_pair(data[n], f"stated.{n}") for n in ("sup_error", "target_variation"))
    witness = data.get("witness")
    if witness is not None:
        witness = _numbers(witness, variables, "stated.witness")
    slopes = data["slopes"]
    if not isinstance(slopes, list) or len(slopes) != 2:
        raise Malformed("stated.slopes is not a pair of pairs")
    return Stated(tuple(cells), *whole, witness, tuple(_pair(p, "stated.slopes") for p in slopes))


def _integer(value: Any, least: int, most: int, where: str) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Malformed(f"{where}: {ascii(value)[:40]} is not an integer in [{least}, {most}]")
    return value


def _shape(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > 16:
        raise Malformed(f"{where}.shape is not a short list")
    shape = tuple(_integer(n, 1, MOST_ENTRIES, f"{where}.shape") for n in value)
    if math.prod(shape) > MOST_ENTRIES:
        raise Malformed(f"{where}: a value of more than {MOST_ENTRIES} entries")
    return shape


def _network(data: dict) -> Network:
    """The graph; that its shapes fit together is checked here once, and relied upon."""
    _keys(data, ("input", "nodes", "output"), "graph")
    shapes = [_shape(data["input"], "graph.input")]
    entries = products = 0
    nodes, functions = [], set()
    for item, where in _objects(data, "nodes"):
        of = _get(item, "of", list, f"{where}.of")
        inputs = tuple(_integer(i, 0, len(shapes) - 1, f"{where}.of") for i in of)
        node = _node(item, inputs, [shapes[i] for i in inputs], where)
        nodes.append(node)
        if node.kind == "apply" and node.function not in functions:
            functions.add(node.function)
            _check_function(node.function, len(functions - set(FUNCTIONS)), where)
        shapes.append(node.shape)
        entries += math.prod(node.shape)
        inner = shapes[inputs[0]][-1:] if node.weight or node.kind == "matmul" else (1,)
        products += math.prod(node.shape) * math.prod(inner)
        if entries > MOST_ENTRIES or products > MOST_PRODUCTS:
            raise Malformed(f"{where}: the graph is too large to be checked")
    output = _integer(data.get("output"), 0, len(nodes), "graph.output")
    if math.prod(shapes[output]) != 1:
        raise Malformed("graph.output is not a single number")
    return Network(shapes[0], tuple(nodes), output)


def _check_function(text: str, own: int, where: str) -> None:
    """A registered function's name, or an expression, of which there may be a few."""
    try:
        meaning(text)
    except BadRequest as error:
        raise Malformed(f"{where}.function: {error}") from None
    if own > MOST_FUNCTIONS:
        raise Malformed(f"{where}: more than {MOST_FUNCTIONS} functions that have no name")


def _node(item: dict, inputs: tuple[int, ...], of: list[tuple[int, ...]], where: str) -> Node:
    kind, shape = item.get("op"), _shape(item.get("shape"), where)
    count = math.prod(shape)
    arity = {"gather": 1, "affine": 1, "apply": 1, "add": 2, "matmul": 2}
    if len(inputs) != arity.get(kind if isinstance(kind, str) else ""):
        raise Malformed(f"{where}: {ascii(kind)[:40]} is no primitive of {len(inputs)} inputs")
    own = {"gather": ("index",), "apply": ("function",), "affine": ("divisor",)}.get(kind, ())
    free = ("weight", "scale", "bias") if kind == "affine" else ()
    _keys(item, ("op", "of", "shape", *own), where, free)
    fits, more = True, {}
    if kind == "gather":
        index = _get(item, "index", list, where)
        most = math.prod(of[0]) - 1
        more["index"] = tuple(_integer(i, -1, most, f"{where}.index") for i in index)
        fits = len(index) == count
    elif kind == "affine":
        expected = of[0]
        if "weight" in item:
            rows = _lists(item, "weight")
            width = of[0][-1] if of[0] else -1
            weight = tuple(_numbers(row, width, f"{where}.weight") for row in rows)
            more["weight"], expected = weight, (*of[0][:-1], len(rows))
        for name in ("scale", "bias"):
            if name in item:
                more[name] = _numbers(item[name], count, f"{where}.{name}")
        more["divisor"] = _number(item.get("divisor"), f"{where}.divisor")
        fits = shape == expected and more["divisor"] != 0
    elif kind == "matmul":
        fits = len(of[0]) >= 2 and len(of[0]) == len(of[1]) and of[0][:-2] == of[1][:-2]
        fits = fits and of[0][-1] == of[1][-2] and shape == (*of[0][:-1], of[1][-1])
    elif kind == "apply":
        more["function"] = _get(item, "function", str, f"{where}.function")
        fits = shape == of[0]
    else:
        fits = shape == of[0] == of[1]
    if not fits:
        raise Malformed(f"{where}: the parts of this {kind} do not fit together")
    return Node(kind, inputs, shape, **more)
