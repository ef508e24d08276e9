"""Certificates of several inputs: honest ones are accepted, changed ones rejected."""

from __future__ import annotations

import copy
import json
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from flint import arb, ctx
from mpmath import mpf
from torch import nn

from certify.certificate import Cut, Leaf
from certify.certificate.reading import Malformed, from_data
from certify.certificate.writing import as_data, digest, tree_of
from certify.checker.check import verify
from certify.checker.evaluate import Evaluator
from certify.checker.frame import Rejected, leaves_of
from certify.checking import check
from certify.frontend.export import export
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from theory.multipolynomials import exponents


class Encoder(nn.Module):
    """One attention layer of width 2 over the inputs as tokens."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 2), nn.Linear(2 * inputs, 1)
        self.inner = nn.TransformerEncoderLayer(2, 1, 2, 0.0, "gelu", batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.inner(self.first(x.unsqueeze(-1))).flatten(1))


class Tiny(nn.Module):
    """tanh of two directions."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, 2), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(4 * self.first(x)))


def report_of(module, inputs, target, folder, **options):
    path = folder / f"{type(module).__name__}{inputs}.pt"
    export(module.double().eval(), torch.zeros(1, inputs, dtype=torch.float64), path)
    options = {"gap": 0.2, "limits": Limits(20), **options}
    return check(str(path), target, Options(**options))


def sealed(report):
    return json.loads(json.dumps(as_data(as_certificate(report))))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Of a tiny network against x1 x2: 4 cells."""
    torch.manual_seed(3)
    options = {"cells": 4, "within": 3.0, "constant_up_to": 0.01, "gap": 0.05}
    report = report_of(Tiny(2), 2, "x1*x2", tmp_path_factory.mktemp("two"), **options)
    assert len(report.outcome.state.leaves) > 4
    return sealed(report)


@pytest.fixture
def changed(two):
    return copy.deepcopy(two)


def test_honest_certificates_are_accepted(two, judged, tmp_path):
    result = judged(two)
    assert result.accepted, result.reason
    torch.manual_seed(1)
    report = report_of(Tiny(3), 3, "x1*x2 + x3", tmp_path, cells=8, within=0.001)
    result = judged(sealed(report))
    assert result.accepted, result.reason


def test_an_encoder_of_two_inputs(ref, judged, tmp_path):
    """Its norms need theorem C1; what is accepted is true, by mpmath."""
    torch.manual_seed(0)
    options = {"cells": 1, "domain": (0.25, 0.5), "gap": 0.5}
    report = report_of(Encoder(2), 2, "exp(x1*x2)", tmp_path, **options)
    data = sealed(report)
    result = judged(data)
    assert result.accepted, result.reason
    certificate = from_data(data)
    graph = ref.as_graph(certificate.network)
    rng = np.random.default_rng(0)
    with mpmath.workprec(200):
        for x in rng.uniform(0.25, 0.5, (5, 2)).tolist():
            model = ref.values(graph, x)[certificate.network.output].reshape(-1)[0]
            off = abs(model - mpmath.exp(mpf(x[0]) * mpf(x[1])))
            (cell,) = certificate.stated.cells
            assert ref.within(model, *cell.range) and off <= mpf(certificate.stated.sup_error[1])


def test_the_frame_is_shown_by_the_statement_alone(two):
    certificate = from_data(two)
    assert len(certificate.domain) == 2 and len(certificate.stated.cells) == 4
    assert {c.label: c.verdict for c in certificate.claims}["within"] == "PROVED"
    assert {c.label: c.verdict for c in certificate.claims}["constant-up-to"] == "REFUTED"


def hexed(x):
    return float(x).hex()


def leaf_at(data, tree=0):
    entries = data["trees"][tree]
    place = next(i for i, entry in enumerate(entries) if isinstance(entry, str))
    return entries, place


def narrow_leaf(data):
    """The model's range on a leaf, its middle tenth."""
    entries, place = leaf_at(data)
    ends = entries[place].split(" ")
    lo, hi = map(float.fromhex, ends[4:6])
    ends[4:6] = hexed(lo + 0.45 * (hi - lo)), hexed(lo + 0.55 * (hi - lo))
    entries[place] = " ".join(ends)


def narrow_difference(data):
    for tree in range(4):
        for i, entry in enumerate(data["trees"][tree]):
            if isinstance(entry, str):
                ends = entry.split(" ")
                ends[8:10] = hexed(-0.001), hexed(0.001)
                data["trees"][tree][i] = " ".join(ends)


def move_leaf(data):
    entries, place = leaf_at(data)
    ends = entries[place].split(" ")
    ends[0] = hexed(math.nextafter(float.fromhex(ends[0]), 9))
    entries[place] = " ".join(ends)


def drop_cell(data):
    del data["stated"]["cells"][1], data["trees"][1]


def repeat_cell(data):
    data["stated"]["cells"][1] = copy.deepcopy(data["stated"]["cells"][0])
    data["trees"][1] = copy.deepcopy(data["trees"][0])


def swap_cells(data):
    for part in (data["stated"]["cells"], data["trees"]):
        part[0], part[1] = part[1], part[0]


def shrink_cell(data):
    """The last cell ends before the domain does, in the second variable only."""
    data["stated"]["cells"][3]["box"][1][1] = hexed(0.999)


def shrink_all_cells(data):
    """A grid, but of less than the domain."""
    data["domain"][1][1] = hexed(1.5)


def cut_outside(data):
    tree = next(t for t in data["trees"] if any(isinstance(e, list) for e in t))
    cut = next(e for e in tree if isinstance(e, list))
    cut[1] = hexed(7.0)


def cut_elsewhere(data):
    tree = next(t for t in data["trees"] if any(isinstance(e, list) for e in t))
    cut = next(e for e in tree if isinstance(e, list))
    cut[0] = 1 - cut[0]


def cut_in_no_variable(data):
    tree = next(t for t in data["trees"] if any(isinstance(e, list) for e in t))
    next(e for e in tree if isinstance(e, list))[0] = 2


def drop_leaf(data):
    entries, place = leaf_at(data)
    del entries[place]


def point_outside(data):
    data["points"][0]["at"][1] = hexed(1.25)


def point_of_one_number(data):
    data["points"][0]["at"].pop()


def wrong_point(data):
    point = data["points"][0]
    point["model"] = [hexed(float.fromhex(e) + 0.01) for e in point["model"]]


def flip(data):
    data["claims"][0]["verdict"] = "REFUTED"


def claim_too_much(data):
    data["stated"]["sup_error"] = [hexed(0.0), hexed(0.5)]


def tight_sup(data):
    lo = float.fromhex(data["stated"]["sup_error"][1]) * 2
    data["stated"]["sup_error"] = [hexed(lo), hexed(2 * lo)]


def tight_variation(data):
    cell = data["stated"]["cells"][2]
    cell["variation"] = [hexed(0.0), hexed(float.fromhex(cell["variation"][0]) * 0.5)]


def other_target(data):
    data["target"]["expression"] = "x1*x2 + x2/8"


def one_variable_target(data):
    data["target"]["expression"] = "x"


def fewer_inputs(data):
    data["domain"].pop()


def more_inputs(data):
    data["graph"]["input"] = [1, 3]


def moved_witness(data):
    data["stated"]["witness"] = [hexed(0.125), hexed(0.125)]


def slopes_of_several(data):
    """Slopes along what? Of one variable alone there is a meaning."""
    data["slopes"] = {"points": [], "trees": copy.deepcopy(data["trees"])}
    data["stated"]["slopes"] = [[hexed(-1e9), hexed(math.inf)], [hexed(-math.inf), hexed(1e9)]]
    data["claims"].append({"label": "lipschitz", "numbers": {"bound": hexed(1e9)},
                           "verdict": "PROVED"})  # fmt: skip


def windows_of_several(data):
    numbers = {"tau": hexed(0.1), "width": hexed(0.5)}
    data["claims"].append({"label": "no-plateau-window", "numbers": numbers, "verdict": "PROVED"})


REJECTED = {
    narrow_leaf: "range|trees",
    narrow_difference: "sup_error|trees",
    move_leaf: "the tree says",
    drop_cell: "not all products|begins at",
    repeat_cell: "not all products",
    swap_cells: "not all products",
    shrink_cell: "begins at|not all products",
    shrink_all_cells: "begins at 1.5, but the cells end at 1.0",
    cut_outside: "cut at 7.0 is outside",
    cut_elsewhere: "trees",
    drop_leaf: "no leaf covers|the tree says|complete",
    point_outside: "outside the domain",
    wrong_point: "points",
    flip: "the verdict on within is PROVED",
    claim_too_much: "sup_error, upper end",
    tight_sup: "sup_error, lower end",
    tight_variation: "variation, upper end",
    other_target: "trees|points",
    moved_witness: "witness",
    windows_of_several: "the verdict on no-plateau-window is UNDECIDED",
}


def test_slopes_of_several_are_no_certificate(changed, judged):
    slopes_of_several(changed)
    with pytest.raises(Malformed, match="slopes are known of one input variable only"):
        judged(changed)


@pytest.mark.parametrize("change", REJECTED, ids=lambda f: f.__name__)
def test_what_is_changed_is_rejected(changed, judged, change):
    change(changed)
    result = judged(changed)
    assert not result.accepted
    assert any(part in result.reason for part in REJECTED[change].split("|")), result.reason
    assert "broke off" not in result.reason


@pytest.mark.parametrize(
    "change",
    [
        slopes_of_several,
        cut_in_no_variable,
        point_of_one_number,
        one_variable_target,
        fewer_inputs,
        more_inputs,
    ],
    ids=lambda f: f.__name__,
)
def test_what_has_no_meaning_is_not_read(changed, change):
    change(changed)
    with pytest.raises(Malformed):
        from_data(changed | {"digest": digest(changed)})


def test_trees_of_several_variables():
    """Leaves in any order make a tree whose leaves cover the box, each once."""
    pair = (0.0, 1.0)

    def leaf(*box):
        return Leaf(box, pair, pair, pair)

    whole = ((0.0, 4.0), (0.0, 2.0))
    leaves = [
        leaf((1.0, 4.0), (1.0, 2.0)),
        leaf((0.0, 1.0), (0.0, 0.5)),
        leaf((0.0, 1.0), (0.5, 2.0)),
        leaf((1.0, 2.5), (0.0, 1.0)),
        leaf((2.5, 4.0), (0.0, 1.0)),
    ]
    tree = tree_of(leaves)
    assert sum(isinstance(entry, Cut) for entry in tree) == 4
    assert sorted(leaves_of(tree, whole, "here")) == sorted(leaves)
    assert tree_of(leaves[:1]) == (leaves[0],)
    with pytest.raises(Rejected, match="the tree says"):
        list(leaves_of(tree, ((0.0, 4.0), (0.0, 2.5)), "here"))
    spiral = [  # around a middle: no cut parts it
        leaf((0.0, 2.0), (0.0, 1.0)), leaf((2.0, 3.0), (0.0, 2.0)), leaf((1.0, 3.0), (2.0, 3.0)),
        leaf((0.0, 1.0), (1.0, 3.0)), leaf((1.0, 2.0), (1.0, 2.0)),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="cutting boxes in two"):
        tree_of(spiral)


def test_the_evaluator_encloses(ref, two):
    """Model, target and difference on a box, as polynomials and as ranges, against mpmath."""
    certificate = from_data(two)
    evaluator, graph = Evaluator(certificate), ref.as_graph(certificate.network)
    box = [(0.1, 0.4), (-0.75, -0.5)]
    rng = np.random.default_rng(0)
    with ctx.workprec(128), mpmath.workprec(200):
        for order in (0, 1, 4):
            values, places = evaluator.on_box([(arb(lo), arb(hi)) for lo, hi in box], order)
            assert places == []
            for t in [(1.0, -1.0), *rng.uniform(-1, 1, (4, 2)).tolist()]:
                exact = [(Fraction(lo) + Fraction(hi)) / 2 + (Fraction(hi) - Fraction(lo)) / 2
                         * Fraction(s) for (lo, hi), s in zip(box, t, strict=True)]  # fmt: skip
                x = [mpf(v.numerator) / v.denominator for v in exact]
                model = ref.values(graph, x)[certificate.network.output].reshape(-1)[0]
                truth = model, x[0] * x[1], model - x[0] * x[1]
                for ((p, (lo, hi)),), value in zip(values, truth, strict=True):
                    near = arb(mpmath.nstr(value, 50)) + arb(0, 1e-40)
                    assert not (near < lo) and not (near > hi)
                    assert ball_at(p, t).overlaps(near)
                point = evaluator.at(tuple(arb(v.numerator) / v.denominator for v in exact))
                for ball, value in zip(point, truth, strict=True):
                    assert ball.overlaps(arb(mpmath.nstr(value, 50)) + arb(0, 1e-40))


def ball_at(p, t):
    """All values of a ball polynomial in two variables at t."""
    total = arb(0)
    for c, (i, j) in zip(p.c, exponents(2, p.order), strict=False):
        total += c * arb(t[0]) ** i * arb(t[1]) ** j
    return total


def test_differences_are_judged_as_polynomials(two, judged):
    """Model and target nearly cancel: ranges of both alone would need very many pieces."""
    result = judged(two)
    assert result.judged["pieces"] <= 4 * result.leaves


@pytest.mark.parametrize(("said", "accepted"), [("x1", True), ("x2", False)])
def test_a_target_that_is_one_variable(tmp_path, said, accepted):
    """What was proved of x1 is not taken for x2: the value of a variable alone is its own."""
    report = report_of(Tiny(2), 2, "x1", tmp_path, cells=1)
    data = json.loads(json.dumps(as_data(as_certificate(report))))
    data["target"]["expression"] = said
    result = verify(from_data(data | {"digest": digest(data)}), jobs=1)
    assert result.accepted == accepted, result.reason
