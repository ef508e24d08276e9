"""What is no certificate is refused by name of the field, in bounded time and memory."""

from __future__ import annotations

import gzip
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import certify.certificate.reading as reading
from certify.certificate import TRUST, Cut, Leaf
from certify.certificate.fields import number
from certify.certificate.reading import Malformed, from_data, parse, read
from certify.certificate.writing import as_bytes, digest, tree
from certify.errors import UnreadableFile

ONE, TWO = (1.0).hex(), (2.0).hex()
PAIR = [ONE, TWO]


def node(op, of, shape, **more):
    return {"op": op, "of": of, "shape": shape, **more}


def small(*nodes, **more):
    """A well-formed certificate with this graph."""
    bounds = {"model": PAIR, "target": PAIR, "difference": PAIR}
    leaf = " ".join(PAIR * 4)
    cell = {"box": [PAIR], "range": PAIR, "variation": PAIR, "target_variation": PAIR,
            "sup_error": PAIR}  # fmt: skip
    return {
        "schema": "certify-certificate/1", "semantics": "real", "domain": [PAIR],
        "target": {"name": "exp", "expression": "exp(x)"},
        "stated": {"cells": [cell], "sup_error": PAIR, "target_variation": PAIR,
                   "witness": [ONE], "slopes": [PAIR, PAIR]},
        "claims": [{"label": "within", "numbers": {"bound": ONE}, "verdict": "PROVED"}],
        "points": [{"at": [ONE], **bounds}], "trees": [[leaf]],
        "slopes": {"points": [{"at": [ONE], **bounds}], "trees": [[leaf]]},
        "tool": {}, "trust": TRUST, "model": {},
        "graph": {"input": [1], "nodes": list(nodes), "output": len(nodes)},
        **more,
    }  # fmt: skip


def sealed(data):
    return from_data(data | {"digest": digest(data)})


GOOD = [
    node("gather", [0], [2, 1], index=[0, -1]),
    node("affine", [1], [2, 3], weight=[[ONE], [TWO], [ONE]], scale=[ONE] * 6, bias=[TWO] * 6,
         divisor=TWO),
    node("gather", [2], [3, 2], index=[0, 1, 2, 3, 4, 5]),
    node("matmul", [2, 3], [2, 2]),
    node("add", [4, 4], [2, 2]),
    node("apply", [5], [2, 2], function="gelu"),
    node("gather", [6], [], index=[3]),
]  # fmt: skip


def test_every_primitive_is_read():
    certificate = sealed(small(*GOOD))
    assert [n.kind for n in certificate.network.nodes] == [n["op"] for n in GOOD]
    assert certificate.leaves == 2 and isinstance(certificate.trees[0][0], Leaf)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (node("roll", [0], [1]), "no primitive"),
        (node(None, [0], [1]), "no primitive"),
        (node("add", [0], [1]), "no primitive of 1"),
        (node("add", [0, 1], [1]), "not an integer"),
        (node("add", [0, 0], [2]), "do not fit"),
        (node("gather", [0], [2], index=[0]), "do not fit"),
        (node("gather", [0], [1], index=[1]), "not an integer"),
        (node("gather", [0], [1], index=[-2]), "not an integer"),
        (node("gather", [0], [1], index=[True]), "not an integer"),
        (node("gather", [0], [2**40], index=[0]), "not an integer"),
        (node("gather", [0], [2**19] * 9, index=[0]), "entries"),
        (node("gather", [0], [1] * 99, index=[0]), "short list"),
        (node("affine", [0], [1], weight=[[ONE, ONE]], divisor=ONE), "list of 1 numbers"),
        (node("affine", [0], [2], weight=[[ONE]], divisor=ONE), "do not fit"),
        (node("affine", [0], [1], scale=[ONE, ONE], divisor=ONE), "list of 1 numbers"),
        (node("affine", [0], [1], divisor=(0.0).hex()), "do not fit"),
        (node("affine", [0], [1], divisor="inf"), "float.hex"),
        (node("affine", [0], [1]), "missing or unknown: 'divisor'"),
        (node("affine", [0], [1], divisor=ONE, axis=1), "missing or unknown: 'axis'"),
        (node("add", [0, 0], [1], scale=[ONE]), "missing or unknown: 'scale'"),
        (node("matmul", [0, 0], [1]), "do not fit"),
        (node("apply", [0], [1], function="eval"), "function: cannot read"),
        (node("apply", [0], [1], function=["gelu"]), "wrong kind"),
        (node("apply", [0], [0], function="gelu"), "not an integer"),
    ],
)
def test_graphs_that_do_not_fit(wrong, says):
    with pytest.raises(Malformed, match=says):
        sealed(small(wrong))


@pytest.mark.parametrize("shape", [[1, 2], [2, 1], [2, 2], [1]])
def test_matrix_products_have_the_shape_of_their_factors(shape):
    row, column = (
        node("gather", [0], [1, 2], index=[0, 0]),
        node("gather", [0], [2, 1], index=[0, 0]),
    )
    with pytest.raises(Malformed, match="do not fit"):
        sealed(small(row, column, node("matmul", [1, 2], shape)))
    with pytest.raises(Malformed, match="do not fit"):
        sealed(small(row, column, node("matmul", [1, 1], shape)))
    assert sealed(small(row, column, node("matmul", [1, 2], [1, 1])))


def test_a_graph_that_is_too_much_work(monkeypatch):
    monkeypatch.setattr(reading, "MOST_PRODUCTS", 3)
    with pytest.raises(Malformed, match="too large"):
        sealed(small(*GOOD))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"schema": "certify-certificate/2"}, '"schema"'),
        ({"schema": 7}, '"schema"'),
        ({"semantics": "float32"}, "semantics"),
        ({"domain": [[TWO, ONE]]}, "empty"),
        ({"domain": [[ONE, ONE]]}, "empty"),
        ({"domain": [[ONE, "inf"]]}, "float.hex"),
        ({"domain": []}, "not a box"),
        ({"target": {"name": "exp"}}, "target: missing"),
        ({"theorem": "sup_error is 0"}, "unknown: 'theorem'"),
        ({"trust": "float32 proven"}, "trust"),
        ({"target": {"name": "e", "expression": "__import__('os')"}}, "cannot read the target"),
        ({"target": {"name": "e", "expression": "exp(y)"}}, "one variable"),
        ({"trees": [[[0]]]}, "neither a leaf nor a cut"),
        ({"trees": [[[1, ONE]]]}, "not an integer"),
        ({"trees": {}}, "wrong kind"),
        ({"trees": [7]}, "list of lists"),
        ({"points": [{"at": [ONE]}]}, "points\\[0\\]: missing"),
        ({"trees": [[" ".join(PAIR * 5)]]}, "not a leaf of 8 numbers"),
        ({"trees": [[" ".join([*PAIR, TWO, ONE, *PAIR, *PAIR])]]}, "no number lies in"),
        ({"trees": [[" ".join([*PAIR, ONE, "-inf", *PAIR, *PAIR])]]}, "no number lies in"),
        ({"trees": [[" ".join([*PAIR, "inf", "inf", *PAIR, *PAIR])]]}, "no number lies in"),
        ({"claims": [{"label": "within", "numbers": {}, "verdict": "PROVED"}] * 17}, "16 claims"),
        ({"claims": None}, "wrong kind"),
        ({"points": [{"at": [ONE], "model": ["nan", ONE], "target": PAIR, "difference": PAIR}]},
         "float.hex"),
        ({"claims": [{"label": "within", "numbers": {"bound": "inf"}, "verdict": "PROVED"}]},
         "float.hex"),
        ({"claims": [{"label": ["within"], "numbers": {}, "verdict": "PROVED"}]}, "wrong kind"),
        ({"claims": [7]}, "list of objects"),
        ({"stated": None}, "stated is missing"),
        ({"graph": {"input": [1], "nodes": [], "output": 1}}, "not an integer"),
        ({"graph": {"input": [2], "nodes": [], "output": 0}}, "single number"),
        ({"graph": {"input": [2], "output": 1, "nodes": [
            {"op": "gather", "of": [0], "shape": [1], "index": [1]}]}}, "box of 2 intervals"),
    ],
)  # fmt: skip
def test_fields_that_are_wrong(more, says):
    with pytest.raises(Malformed, match=says):
        sealed(small(**more))


@pytest.mark.parametrize(
    "text",
    ["1.0", "0x1p0", "0x1.00000000000001p+0", "0X1.0000000000000p+0", " 0x1.0000000000000p+0",
     "0x1.0000000000000p+99999999999999", "nan", "1e5", "", "0x1.0000000000000p+0\n"],
)  # fmt: skip
def test_numbers_are_exact_or_nothing(text):
    with pytest.raises(Malformed, match="float.hex"):
        sealed(small(domain=[[text, TWO]]))


@given(st.floats(allow_nan=False))
def test_every_double_is_read_as_itself(value):
    assert number(value.hex(), "here", finite=False).hex() == value.hex()


def raw(data):
    return as_bytes(data | {"digest": digest(data)})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", '"schema"'),
        (b"null", '"schema"'),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"a":' * 100_000, "nested too deeply|not JSON"),
        (b'{"schema": NaN}', "not JSON"),
        ("<p>\u00e9".encode(), r"not JSON of the kind written here \(it is not ASCII text\)$"),
        (b'{"schema": 1.5}', "not JSON"),
        (b'{"schema": ' + b"9" * 100_000 + b"}", "not JSON"),
        (b'{"schema": 1e999999999}', "not JSON"),
        (b"\x1f\x8b\x08 broken", "gzip"),
        (gzip.compress(b"[" + b" " * 2**29 + b"]"), "MiB of JSON"),
        (b"[" + b"[]," * reading.MOST_VALUES + b"[]]", "values"),
        (raw(small(*GOOD))[:-200], "not JSON"),
        (raw(small(*GOOD)).replace(b"{", b'{"tool": 1, ', 1), "twice"),
        (gzip.compress(raw(small(*GOOD)))[:-9], "damaged gzip"),
        (gzip.compress(raw(small(*GOOD))) + b"more", "damaged gzip"),
        (raw(small(*GOOD)).replace(b'"exp"', b'"sin"', 1), "digest"),
    ],
    ids=range(20),
)
def test_bytes_that_are_no_certificate(content, says, tmp_path):
    began = time.perf_counter()
    with pytest.raises(Malformed, match=says):
        parse(content)
    assert time.perf_counter() - began < 10
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(UnreadableFile, match="not a certificate"):
        read(file)


def test_deep_data_with_a_schema_is_refused():
    """Deep enough for the digest to be the one that gives up."""
    deep = "[" * 900 + "]" * 900
    text = json.dumps(small(*GOOD))[:-1] + f', "more": {deep}' + "}"
    with pytest.raises(Malformed):
        parse(text.encode())


def test_packed_and_plain_are_the_same():
    data = small(*GOOD)
    data |= {"digest": digest(data)}
    assert parse(as_bytes(data)) == parse(as_bytes(data, packed=True)) == from_data(data)
    assert as_bytes(data, packed=True) == as_bytes(data, packed=True)


def test_no_such_file(tmp_path):
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read(tmp_path / "none.json")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read(tmp_path)


@given(st.integers(1, 40))
def test_trees_are_balanced(count):
    pair = (0.0, 1.0)
    leaves = [Leaf(((float(k), float(k + 1)),), pair, pair, pair) for k in range(count)]
    entries = tree(leaves)
    assert [e for e in entries if isinstance(e, Leaf)] == leaves
    assert sum(isinstance(e, Cut) for e in entries) == count - 1
