"""Reading a certificate: its form only; that it is true is for `certify.checker` to prove.

Every complaint names the field. Size, depth and work are bounded before anything is built.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from certify.certificate import (
    BUNDLE,
    SCHEMA,
    TRUST,
    ZERO,
    Bundle,
    Cell,
    Certificate,
    Claim,
    Cut,
    Joint,
    JointCell,
    Leaf,
    Network,
    Node,
    Point,
    Slopes,
    Stated,
    entry_of,
    fields,
)
from certify.certificate.fields import Malformed
from certify.certificate.writing import digest
from certify.errors import BadRequest, UnreadableFile
from theory.expressions import meaning
from theory.expressions import parse as parse_expression
from theory.functions import FUNCTIONS
from theory.norms import NORMS

MOST_BYTES = 2**28  # of JSON, unpacked
MOST_VALUES = 5 * 10**6  # strings and lists in it, an object for 4: this bounds the memory
MOST_ENTRIES = 2**19  # numbers that the graph computes
MOST_CLAIMS = 16
MOST_VARIABLES = 64
MOST_FUNCTIONS = 64  # expressions as functions of the graph; names are not counted
MOST_PRODUCTS = 2**28  # multiplications in its affine maps and matrix products

MOST_OUTPUTS = 4096

HEADER = ("schema", "tool", "trust", "model", "semantics", "domain", "claims", "graph", "digest")
ALONE = ("target", "stated", "points", "trees")  # of one output


def read(path: str | Path) -> Certificate | Bundle:
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


def parse(raw: bytes) -> Certificate | Bundle:
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
            parse_float=fields.no_float,
            parse_constant=fields.no_float,
            object_pairs_hook=fields.unique,
        )
        del raw
        return from_data(data)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except UnicodeDecodeError:
        raise Malformed("not JSON of the kind written here (it is not ASCII text)") from None
    except ValueError as error:
        raise Malformed(f"not JSON of the kind written here ({str(error)[:200]})") from error


def from_data(data: Any) -> Certificate | Bundle:
    """The certificate, or the bundle of them, that JSON data means.

    Raises:
        Malformed: it is none.
    """
    found = data.get("schema") if isinstance(data, dict) else None
    if found not in (SCHEMA, BUNDLE):
        raise Malformed(f'"schema" is {ascii(found)[:60]}, not "{SCHEMA}" or "{BUNDLE}"')
    if data.get("semantics") != "real":
        raise Malformed('"semantics" is not "real", the only kind that can be checked')
    if data.get("digest") != digest(data):
        raise Malformed("the digest does not fit: the file was changed or damaged")
    own = (*ALONE, "slopes") if found == SCHEMA else ("norm", "stated", "parts", "squares")
    fields.keys(data, (*HEADER, *own), "certificate")
    if data["trust"] != TRUST:
        raise Malformed('"trust" is not the statement of this schema')
    most = 1 if found == SCHEMA else MOST_OUTPUTS
    network = _network(fields.get(data, "graph", dict, "graph"), most)
    variables = math.prod(network.input_shape)
    if not 1 <= variables <= MOST_VARIABLES:
        raise Malformed(f"graph.input has {variables} variables, not 1 to {MOST_VARIABLES}")
    domain = fields.box(data.get("domain"), variables, "domain")
    claims = [_claim(k, where) for k, where in fields.objects(data, "claims")]
    if len(claims) > MOST_CLAIMS:
        raise Malformed(f"more than {MOST_CLAIMS} claims")
    header = {n: data.get(n) for n in ("tool", "trust", "model")}
    if found == BUNDLE:
        return _bundle(data, network, domain, Bundle(header, "", (), None, None, tuple(claims)))
    alone = _alone(data, network, domain, _target(data, variables, ""), "")
    slopes = None
    if data["slopes"] is not None:
        if variables > 1:
            raise Malformed("slopes are known of one input variable only")
        part = fields.get(data, "slopes", dict, "slopes")
        fields.keys(part, ("points", "trees"), "slopes")
        slopes = Slopes(*_evidence(part, variables, "slopes."))
    return replace(alone, header=header, claims=tuple(claims), slopes=slopes)


def _alone(
    data: dict, network: Network, domain: tuple, target: dict[str, str], where: str
) -> Certificate:
    """What is stated of one output, and the evidence for it."""
    variables = len(domain)
    stated = _stated(fields.get(data, "stated", dict, f"{where}stated"), variables)
    trees, points = _evidence(data, variables, where)
    return Certificate({}, network, target, domain, stated, trees, points, ())


def _target(data: dict, variables: int, where: str) -> dict[str, str]:
    target = fields.get(data, "target", dict, f"{where}target")
    fields.keys(target, ("name", "expression"), f"{where}target")
    words = {n: fields.get(target, n, str, f"target.{n}") for n in ("name", "expression")}
    try:
        parse_expression(words["expression"], variables)
    except BadRequest as error:
        raise Malformed(f"{where}target.expression: {error}") from None
    return words


def _bundle(data: dict, network: Network, domain: tuple, empty: Bundle) -> Bundle:
    """All outputs together: a part for each, and how their norm is bounded."""
    variables, parts = len(domain), []
    norm = fields.get(data, "norm", str, "norm")
    if norm not in NORMS:
        raise Malformed(f'"norm" is {ascii(norm)[:20]}, not one of {", ".join(NORMS)}')
    given = fields.objects(data, "parts")
    if len(given) != math.prod(network.shape(network.output)):
        raise Malformed(f"{len(given)} parts, but the graph has another number of outputs")
    for number, (part, where) in enumerate(given):
        fields.keys(part, ALONE, where)
        target = _target(part, variables, f"{where}.")
        parts.append(_alone(part, entry_of(network, number), domain, target, f"{where}."))
    squares = None
    if data["squares"] is not None:
        part = fields.get(data, "squares", dict, "squares")
        fields.keys(part, ALONE[1:], "squares")
        squares = _alone(part, network, domain, ZERO, "squares.")
        squares = replace(squares, squares=tuple(p.target["expression"] for p in parts))
    stated = _joint(fields.get(data, "stated", dict, "stated"), variables)
    boxes = [[cell.box for cell in p.stated.cells] for p in parts + ([squares] if squares else [])]
    if any(own != boxes[0] for own in boxes) or len(boxes[0]) != len(stated.cells):
        raise Malformed("the parts do not have the same cells, each with what is stated of it")
    if norm == "max" and (squares or any(cell.far or cell.target_far for cell in stated.cells)):
        raise Malformed("squares, and pairs of inputs far apart, bound the 2-norm only")
    return replace(empty, norm=norm, parts=tuple(parts), squares=squares, stated=stated)


def _joint(data: dict, variables: int) -> Joint:
    fields.keys(data, Joint._fields, "stated")
    cells = []
    for cell, where in fields.objects(data, "cells"):
        fields.keys(cell, JointCell._fields, where)
        pairs = (fields.pair(cell[n], f"{where}.{n}") for n in JointCell._fields[:2])
        far = (_places(cell[n], variables, f"{where}.{n}") for n in JointCell._fields[2:])
        cells.append(JointCell(*pairs, *far))
    whole = (fields.pair(data[n], f"stated.{n}") for n in Joint._fields[1:])
    return Joint(tuple(cells), *whole)


def _places(value: Any, variables: int, where: str) -> tuple | None:
    """Two inputs, or null."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed(f"{where} is not a pair of inputs")
    return tuple(fields.numbers(x, variables, where) for x in value)


def _evidence(data: dict, variables: int, where: str) -> tuple[tuple, tuple]:
    trees = tuple(
        tuple(_tree_entry(e, variables, f"{where}trees[{i}][{k}]") for k, e in enumerate(tree))
        for i, tree in enumerate(fields.lists(data, "trees"))
    )
    named = fields.objects(data, "points")
    return trees, tuple(_point(p, variables, where + name) for p, name in named)


def _point(data: dict, variables: int, where: str) -> Point:
    fields.keys(data, Point._fields, where)
    at, *pairs = (data[name] for name in Point._fields)
    return Point(
        fields.numbers(at, variables, f"{where}.at"), *(fields.pair(p, where) for p in pairs)
    )


def _claim(data: dict, where: str) -> Claim:
    fields.keys(data, ("label", "numbers", "verdict"), where)
    numbers = fields.get(data, "numbers", dict, f"{where}.numbers")
    exact = {n: fields.number(v, f"{where}.numbers[{ascii(n)}]") for n, v in numbers.items()}
    return Claim(
        fields.get(data, "label", str, where), exact, fields.get(data, "verdict", str, where)
    )


def _tree_entry(entry: Any, variables: int, where: str) -> Cut | Leaf:
    if isinstance(entry, str):
        ends = entry.split(" ")
        pairs = [ends[i : i + 2] for i in range(0, len(ends), 2)]
        if len(ends) != 2 * variables + 6:
            raise Malformed(f"{where} is not a leaf of {2 * variables + 6} numbers")
        box = fields.box(pairs[:variables], variables, f"{where}, box")
        return Leaf(box, *(fields.pair(pair, where) for pair in pairs[variables:]))
    if not isinstance(entry, list) or len(entry) != 2:
        raise Malformed(f"{where} is neither a leaf nor a cut")
    return Cut(fields.integer(entry[0], 0, variables - 1, where), fields.number(entry[1], where))


def _stated(data: dict, variables: int) -> Stated:
    fields.keys(data, ("cells", "sup_error", "target_variation", "witness", "slopes"), "stated")
    cells = []
    for cell, where in fields.objects(data, "cells"):
        box = fields.box(cell.get("box"), variables, f"{where}.box")
        fields.keys(cell, Cell._fields, where)
        pairs = (fields.pair(cell[n], f"{where}.{n}") for n in Cell._fields[1:])
        cells.append(Cell(box, *pairs))
    whole = (fields.pair(data[n], f"stated.{n}") for n in ("sup_error", "target_variation"))
    witness = data.get("witness")
    if witness is not None:
        witness = fields.numbers(witness, variables, "stated.witness")
    slopes = data["slopes"]
    if not isinstance(slopes, list) or len(slopes) != 2:
        raise Malformed("stated.slopes is not a pair of pairs")
    return Stated(
        tuple(cells), *whole, witness, tuple(fields.pair(p, "stated.slopes") for p in slopes)
    )


def _shape(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > 16:
        raise Malformed(f"{where}.shape is not a short list")
    shape = tuple(fields.integer(n, 1, MOST_ENTRIES, f"{where}.shape") for n in value)
    if math.prod(shape) > MOST_ENTRIES:
        raise Malformed(f"{where}: a value of more than {MOST_ENTRIES} entries")
    return shape


def _network(data: dict, outputs: int) -> Network:
    """The graph, with at most so many outputs; that its shapes fit together is checked here once,
    and relied upon."""
    fields.keys(data, ("input", "nodes", "output"), "graph")
    shapes = [_shape(data["input"], "graph.input")]
    entries = products = 0
    nodes, functions = [], set()
    for item, where in fields.objects(data, "nodes"):
        of = fields.get(item, "of", list, f"{where}.of")
        inputs = tuple(fields.integer(i, 0, len(shapes) - 1, f"{where}.of") for i in of)
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
    output = fields.integer(data.get("output"), 0, len(nodes), "graph.output")
    if not 1 <= math.prod(shapes[output]) <= outputs:
        raise Malformed(f"graph.output is not {'a single number' if outputs == 1 else 'a vector'}")
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
    fields.keys(item, ("op", "of", "shape", *own), where, free)
    fits, more = True, {}
    if kind == "gather":
        index = fields.get(item, "index", list, where)
        most = math.prod(of[0]) - 1
        more["index"] = tuple(fields.integer(i, -1, most, f"{where}.index") for i in index)
        fits = len(index) == count
    elif kind == "affine":
        expected = of[0]
        if "weight" in item:
            rows = fields.lists(item, "weight")
            width = of[0][-1] if of[0] else -1
            weight = tuple(fields.numbers(row, width, f"{where}.weight") for row in rows)
            more["weight"], expected = weight, (*of[0][:-1], len(rows))
        for name in ("scale", "bias"):
            if name in item:
                more[name] = fields.numbers(item[name], count, f"{where}.{name}")
        more["divisor"] = fields.number(item.get("divisor"), f"{where}.divisor")
        fits = shape == expected and more["divisor"] != 0
    elif kind == "matmul":
        fits = len(of[0]) >= 2 and len(of[0]) == len(of[1]) and of[0][:-2] == of[1][:-2]
        fits = fits and of[0][-1] == of[1][-2] and shape == (*of[0][:-1], of[1][-1])
    elif kind == "apply":
        more["function"] = fields.get(item, "function", str, f"{where}.function")
        fits = shape == of[0]
    else:
        fits = shape == of[0] == of[1]
    if not fits:
        raise Malformed(f"{where}: the parts of this {kind} do not fit together")
    return Node(kind, inputs, shape, **more)
