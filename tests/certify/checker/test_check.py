"""What is true is accepted, however it was found; what is false is rejected, and why is said."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from pathlib import Path

import pytest

import certify.checker.check as whole
import certify.checker.prove as prove
from certify.certificate import TRUST
from certify.certificate.reading import from_data, read
from certify.certificate.words import in_words
from certify.certificate.writing import as_bytes, as_data, digest
from certify.checker.check import verify
from certify.checking import check
from certify.options import Options
from certify.report.certificate import as_certificate
from probes.zoo.make import ZOO, path
from theory.errors import BadRequest

ROOT = Path(__file__).parents[3]
PAIR = [(0.0).hex(), (1.0).hex()]
QUICK = ("exp", "exp_relu", "cbrt")


def moved(text, factor):
    """A number written by float.hex, away from or toward zero."""
    return (float.fromhex(text) * factor).hex()


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ZOO]
)
def test_the_zoo_is_accepted(name, monkeypatch):
    """The longest plateau is left as coarse as the other questions leave it: fewer leaves."""
    monkeypatch.setattr("certify.run.UNASKED", 0)
    report = check(str(path(name)), ZOO[name].target, Options(no_plateau=True))
    certificate = as_certificate(report)
    raw = as_bytes(as_data(certificate))
    graph = as_bytes({"graph": as_data(certificate)["graph"]})
    assert len(raw) - len(graph) < 1024 * certificate.leaves
    result = verify(certificate)
    assert result.accepted, result.reason
    assert result.checked == result.leaves == len(report.outcome.state.leaves)
    assert result.judged["z3"] >= 3 * result.leaves - result.judged["arb"]


def test_the_small_one_is_accepted(report, sealed, judged):
    result = judged(sealed)
    assert result.accepted, result.reason
    assert [claim.verdict.value for claim in report.claims] == ["REFUTED", "PROVED"]
    assert in_words(result).startswith("ACCEPTED    ")


def test_looser_is_still_true(data, judged, leaves):
    """Bounds ten times as wide as needed."""
    for leaf in (leaf for cell in (0, 1) for leaf in leaves(data, cell)):
        leaf.set("difference", -50, 50)
        leaf.set("model", -math.inf, math.inf)
    data["stated"]["sup_error"][1] = (50.0).hex()
    for cell in data["stated"]["cells"]:
        cell["sup_error"][1], cell["range"] = (50.0).hex(), [(-math.inf).hex(), math.inf.hex()]
        cell["variation"][1] = math.inf.hex()
    data["claims"] = []
    result = judged(data)
    assert result.accepted, result.reason


@pytest.mark.parametrize("name", ["model", "target", "difference"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_tightened_leaf_is_refuted_with_its_place(data, judged, leaves, name, side):
    leaf = leaves(data)[0]
    lo, hi = leaf.pair(name)
    less = 0.01 * (hi - lo)
    leaf.set(name, lo + less * (side == 0), hi - less * (side == 1))
    result = judged(data)
    assert not result.accepted
    assert f"the {name} is" in result.reason and "trees[0], leaf" in result.reason


def test_tightened_by_very_little(data, judged, leaves):
    """The engine's slack is some 1e-15; a bound beyond it by 1e-12 is false."""
    leaf = leaves(data)[0]
    lo, hi = leaf.pair("target")
    leaf.set("target", lo, hi * (1 - 1e-12))
    assert "the target is" in judged(data).reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["trees"][0].pop(), "no leaf covers"),
        (lambda d: d["trees"][0].append(d["trees"][0][-1]), "complete before"),
        (lambda d: d["trees"].pop(), "2 cells, but 1 trees"),
        (lambda d: d["trees"].__setitem__(0, []), "no leaf covers"),
        (lambda d: d["trees"].reverse(), "the tree says"),
        (lambda d: d["trees"][0].insert(0, [0, (0.75).hex()]), "is outside"),
        (lambda d: d["stated"]["cells"].pop(), "1 cells, but 2 trees"),
        (lambda d: (d["stated"]["cells"].clear(), d["trees"].clear()), "the cells end at"),
        (lambda d: d["stated"]["cells"].reverse(), "not all products"),
        (lambda d: d["domain"].__setitem__(0, [(-1.0).hex(), (2.0).hex()]), "the cells end at"),
        (lambda d: d["points"].clear(), "lower end"),
        (lambda d: d["points"][0].update(at=[(7.0).hex()]), "outside the domain"),
        (lambda d: d["points"][0].update(target=[(5.0).hex(), (6.0).hex()]), "points[0]: at"),
        (lambda d: d["stated"].update(witness=[(0.123).hex()]), "sup_error at the witness"),
        (lambda d: d["stated"].update(witness=None), "sup_error at the witness"),
        (lambda d: d["stated"].update(sup_error=[(50.0).hex(), (60.0).hex()]), "lower end"),
        (lambda d: d["stated"].update(sup_error=[(0.0).hex(), (0.5).hex()]), "upper end"),
        (lambda d: d["stated"].update(target_variation=PAIR), "target_variation, upper end"),
        (lambda d: d["claims"][0].update(verdict="PROVED"), "the verdict on within is REFUTED"),
        (lambda d: d["claims"][0].update(label="other"), "no claim"),
        (lambda d: d["claims"][0].update(numbers={}), "no claim"),
        (lambda d: d["target"].update(expression="sin(x)"), "points[0]"),
    ],
)  # fmt: skip
def test_what_does_not_follow(data, judged, change, says):
    change(data)
    result = judged(data)
    assert not result.accepted and says in result.reason, result.reason
    assert in_words(result).startswith("REJECTED    ")


@pytest.mark.parametrize("field", ["range", "variation", "target_variation", "sup_error"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_cell_that_says_too_much(data, judged, field, side):
    cell = data["stated"]["cells"][1]
    lo, hi = map(float.fromhex, cell[field])
    if side == 0:
        lo = lo + 0.3 * (hi - lo) + 0.01
    else:
        hi, lo = hi - 0.3 * (hi - lo) - 1e-6, lo - 0.1 * (field != "range")
    cell[field] = [lo.hex(), max(lo, hi).hex()]
    result = judged(data)
    assert not result.accepted and "cell 1" in result.reason, result.reason


def constant_one(expression, leaf, point, verdict):
    """The model 1 against a target on [-1, 1], as data: one leaf, points at 0 and 1/2."""
    free = [(0.0).hex(), "inf"]
    box = [(-1.0).hex(), (1.0).hex()]
    data = million_leaves(0)
    one = [(1.0).hex(), (1.0).hex()]
    node = {"op": "affine", "of": [0], "shape": [1], "scale": [(0.0).hex()], "bias": [one[0]],
            "divisor": one[0]}  # fmt: skip
    cell = {"box": [box], "range": ["-inf", "inf"], "variation": free, "target_variation": free,
            "sup_error": [one[0], "inf"]}  # fmt: skip
    return data | {
        "target": {"name": "t", "expression": expression}, "domain": [box],
        "graph": {"input": [1], "nodes": [node], "output": 1},
        "stated": {"cells": [cell], "sup_error": [one[0], "inf"], "target_variation": free,
                   "witness": [(0.0).hex()], "slopes": [["-inf", "inf"]] * 2},
        "trees": [[" ".join([*box, *leaf])]], "slopes": None,
        "points": [{"at": [(0.0).hex()], "model": one, "target": point, "difference": one}],
        "claims": [{"label": "within", "numbers": {"bound": (0.5).hex()}, "verdict": verdict}],
    }  # fmt: skip


def test_nothing_times_zero_is_not_zero(judged):
    """x / sin(x) at 0: Arb's product of the zero polynomial with nan is 0."""
    zero = [(0.0).hex(), (0.0).hex()]
    data = constant_one("x/sin(x)", ["-inf", "inf"] * 3, zero, "REFUTED")
    result = judged(data)
    assert not result.accepted and "points[0]" in result.reason


@pytest.mark.parametrize("case", ["scale", "matmul", "weight"])
def test_a_model_that_is_not_defined_has_no_value(judged, case):
    """0 log(x), relu(x - 2) log(x) and a zero matrix times log(x) on [-1, 1]."""
    zero, one = (0.0).hex(), (1.0).hex()
    log = {"op": "apply", "of": [0], "shape": [1], "function": "log"}

    def affine(of, shape, **more):
        return {"op": "affine", "of": [of], "shape": shape, "divisor": one, **more}

    nodes = {
        "scale": [log, affine(1, [1], scale=[zero])],
        "matmul": [
            log, affine(0, [1], bias=[(-2.0).hex()]),
            {"op": "apply", "of": [2], "shape": [1], "function": "relu"},
            {"op": "gather", "of": [1], "shape": [1, 1], "index": [0]},
            {"op": "gather", "of": [3], "shape": [1, 1], "index": [0]},
            {"op": "matmul", "of": [4, 5], "shape": [1, 1]}],
        "weight": [
            log, {"op": "gather", "of": [1], "shape": [64], "index": [0] * 64},
            affine(2, [64], weight=[[zero] * 64] * 64),
            {"op": "gather", "of": [3], "shape": [1], "index": [0]}],
    }[case]  # fmt: skip
    data = constant_one("x", [zero, zero, "-inf", "inf", "-inf", "inf"], [zero, zero], "UNDECIDED")
    data |= {"graph": {"input": [1], "nodes": nodes, "output": len(nodes)}, "points": []}
    data["stated"]["sup_error"][0] = data["stated"]["cells"][0]["sup_error"][0] = zero
    result = judged(data)
    assert not result.accepted and "not proved" in result.reason


@pytest.mark.parametrize("wrong", [{"sample": 0.0}, {"sample": -1.0}, {"sample": 1.5}, {"jobs": 0}])
def test_options_out_of_range(report, wrong):
    with pytest.raises(BadRequest, match="--sample"):
        verify(as_certificate(report), **wrong)


def test_a_changed_weight(data, judged):
    node = next(node for node in data["graph"]["nodes"] if "weight" in node)
    node["weight"][0][0] = moved(node["weight"][0][0], 1.001)
    assert not judged(data).accepted


def test_an_unchecked_leaf_is_a_rejection(report, monkeypatch):
    """Whatever goes wrong while a leaf is proved is a reason to reject."""
    certificate = as_certificate(report)

    def broken(*args):
        raise ArithmeticError("no")

    monkeypatch.setattr(whole, "prove_leaf", broken)
    result = verify(certificate, jobs=1)
    assert not result.accepted and "broke off" in result.reason
    monkeypatch.setattr(whole, "_work", lambda chunk: ("", whole.Counter()))
    assert verify(certificate, jobs=1).reason == "not every leaf was looked at"


def die(*args):
    os._exit(9)


def test_a_worker_that_dies_is_a_rejection(report, monkeypatch):
    monkeypatch.setattr(whole, "prove_leaf", die)
    result = verify(as_certificate(report), jobs=2)
    assert not result.accepted and "worker" in result.reason


def test_a_proof_that_is_not_found_is_a_rejection(report, monkeypatch):
    """Order 2 and a handful of pieces prove no bound that is tight to 1e-13."""
    monkeypatch.setattr(prove, "ATTEMPTS", ((2, 64, 64),))
    monkeypatch.setattr(prove, "MOST_PIECES", 5)
    result = verify(as_certificate(report), jobs=1)
    assert not result.accepted and "not proved with 5 pieces" in result.reason


def test_cutting_finds_proofs(report, monkeypatch):
    monkeypatch.setattr(prove, "ATTEMPTS", ((6, 128, 64),))
    result = verify(as_certificate(report), jobs=1)
    assert result.accepted and result.judged["pieces"] > result.leaves


def test_a_sample_is_called_one(sealed, judged):
    result = judged(sealed, sample=0.3)
    assert result.accepted and 0 < result.checked < result.leaves
    assert in_words(result).startswith("ACCEPTED    checked ")
    assert judged(sealed, sample=1.0).checked == result.leaves


def test_the_first_failure_is_named(data, leaves):
    """With several processes too."""
    for cell in (0, 1):
        leaf = leaves(data, cell)[-1]
        lo, hi = leaf.pair("target")
        leaf.set("target", lo, 0.9 * hi)
    for cell in data["stated"]["cells"]:
        cell["target_variation"][0] = (0.0).hex()
    data["claims"] = []
    result = verify(from_data(data | {"digest": digest(data)}), jobs=2)
    assert not result.accepted and result.reason.startswith("trees[0], leaf")


def million_leaves(depth):
    """The domain cut into 2^depth equal leaves of a constant model, as data."""
    count = 2**depth
    bounds = [(-1.0).hex(), (1.0).hex()]
    tree = []

    def grow(lo, hi):
        if hi - lo == 1:
            tree.append(" ".join([(lo / count).hex(), (hi / count).hex(), *bounds * 3]))
        else:
            middle = (lo + hi) // 2
            tree.append([0, (middle / count).hex()])
            grow(lo, middle)
            grow(middle, hi)

    grow(0, count)
    pair = [(0.0).hex(), (2.0).hex()]
    cell = {"box": [[(0.0).hex(), (1.0).hex()]], "range": bounds, "variation": pair,
            "target_variation": pair, "sup_error": pair}  # fmt: skip
    zero = {"op": "affine", "of": [0], "shape": [1], "weight": [[(0.0).hex()]],
            "divisor": (1.0).hex()}  # fmt: skip
    return {
        "schema": "certify-certificate/1", "semantics": "real",
        "target": {"name": "x", "expression": "x"}, "domain": cell["box"],
        "stated": {"cells": [cell], "sup_error": pair, "target_variation": pair, "witness": None,
                   "slopes": [["-inf", "inf"]] * 2},
        "tool": {}, "trust": TRUST, "model": {}, "claims": [], "points": [], "trees": [tree],
        "slopes": None,
        "graph": {"input": [1], "nodes": [zero], "output": 1},
    }  # fmt: skip


def one_leaf(lo, hi):
    return [" ".join([lo.hex(), hi.hex(), *[(-1.0).hex(), (1.0).hex()] * 3])]


@pytest.mark.parametrize(
    ("cells", "trees", "says"),
    [
        ([(0.0, 0.5), (0.5, 1.0)], [(0.0, 0.5), (0.5, 1.0)], ""),
        ([(0.0, 0.25), (0.5, 1.0)], [(0.0, 0.25), (0.5, 1.0)], "begins at 0.5"),
        ([(0.0, 0.75), (0.5, 1.0)], [(0.0, 0.75), (0.5, 1.0)], "begins at 0.5"),
        ([(0.0, 0.5), (0.5, 0.75)], [(0.0, 0.5), (0.5, 0.75)], "the cells end at 0.75"),
        ([(0.0, 0.5), (0.5, 1.0)], [(0.0, 0.25), (0.5, 1.0)], "the leaf has the box"),
        ([(0.0, 0.5), (0.5, 1.0)], [(0.0, 0.5), (0.75, 1.0)], "the leaf has the box"),
    ],
)
def test_every_input_is_covered(judged, cells, trees, says):
    """Each file is consistent but for one gap, which nothing else would show."""
    data = million_leaves(0)
    (cell,) = data["stated"]["cells"]
    data["stated"]["cells"] = [cell | {"box": [[lo.hex(), hi.hex()]]} for lo, hi in cells]
    data["trees"] = [one_leaf(*box) for box in trees]
    result = judged(data)
    assert result.accepted == (not says) and says in result.reason, result.reason


@pytest.mark.parametrize("cell", [0, 1])
def test_a_range_needs_every_leaf(judged, leaves, cell):
    """The range that one of two leaves supports is not that of both."""
    data = million_leaves(1)
    assert judged(data).accepted
    leaves(data)[cell].set("model", -0.5, 0.5)
    data["stated"]["cells"][0]["range"] = [(-0.5).hex(), (0.5).hex()]
    assert "cell 0: range" in judged(data).reason


def test_many_leaves_are_covered_and_the_false_one_found(tmp_path, leaves):
    data = million_leaves(12)
    leaves(data)[9].set("target", -1, 1e-3)
    file = tmp_path / "many.json"
    file.write_bytes(as_bytes(data | {"digest": digest(data)}))
    result = verify(file)
    assert not result.accepted and "the target is" in result.reason
    assert result.leaves == 4096


@pytest.mark.slow
def test_a_million_leaves_are_covered(tmp_path, leaves):
    """In minutes; the first leaf is false, so that no more is asked."""
    data = million_leaves(20)
    leaves(data)[0].set("target", -1, 1e-9)
    file = tmp_path / "million.json"
    file.write_bytes(as_bytes(data | {"digest": digest(data)}))
    began = time.perf_counter()
    result = verify(file, jobs=2)
    assert not result.accepted and result.leaves == 2**20
    assert time.perf_counter() - began < 300


def test_read_gives_back_what_was_written(report, tmp_path):
    certificate = as_certificate(report)
    file = tmp_path / "c.json"
    file.write_bytes(as_bytes(as_data(certificate)))
    assert read(file) == certificate
    assert json.loads(file.read_bytes()) == copy.deepcopy(as_data(certificate))
