"""Certificates about slopes and windows: accepted when true, rejected when not."""

from __future__ import annotations

import copy
import json

import known_models as models
import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

import certify.run as loop
from certify.certificate import Certificate, Stated
from certify.certificate.reading import Malformed
from certify.certificate.writing import as_data
from certify.checker.evaluate import Evaluator
from certify.checking import check
from certify.frontend.network import as_network
from certify.graph import Builder
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from theory.functions import FUNCTIONS

ACTIVATIONS = st.sampled_from(["gelu", "relu", "silu", "tanh", "abs"])


@given(seed=st.integers(0, 10**6), act=ACTIVATIONS, pre=st.booleans(), width=st.integers(-20, -1))
@settings(max_examples=15)
def test_quotients_lie_inside(ref, seed, act, pre, width):
    """The chain rule over balls: across kinks every choice of sides is looked at."""
    rng = np.random.default_rng(seed)
    b, model = ref.encoder(rng, act=act, pre=pre, layers=1)
    graph = b.graph(model=model)
    stated = Stated((), (0.0, 1.0), (0.0, 1.0), None)
    target = {"name": "exp", "expression": "exp(x)"}
    certificate = Certificate({}, as_network(graph), target, (), stated, (), (), ())
    lo = rng.uniform(-1, 1)
    hi = lo + 2.0**width
    (choices, _, _), _ = Evaluator(certificate, slopes=True).on_box([(arb(lo), arb(hi))], 12)
    ends = [end for _, pair in choices for end in pair]
    if not all(end.is_finite() for end in ends):
        return
    low, high = min(ends), max(ends)
    places = sorted(rng.uniform(lo, hi, 4))
    values = [ref.values(graph, mpf(t))[graph.outputs["model"]].reshape(-1)[0] for t in places]
    for a, c, f, g in zip(places, places[1:], values, values[1:], strict=False):
        quotient = arb(mpmath.nstr((g - f) / (mpf(c) - mpf(a)), 60))
        assert low - 1e-40 <= quotient <= high + 1e-40


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """The ReLU network with kinks, its slopes, and the longest plateau."""
    folder = tmp_path_factory.mktemp("relu")
    options = Options(cells=2, slopes=True, monotone=True, lipschitz=3.5, limits=Limits(10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "FIRST", 2)
        report = check(models.loaded(models.Relu(), folder), "x", options)
    return json.loads(json.dumps(as_data(as_certificate(report))))


@pytest.fixture
def data(sealed):
    return copy.deepcopy(sealed)


def claims(data):
    return {claim["label"]: claim for claim in data["claims"]}


def test_the_truth_is_accepted(data, judged):
    result = judged(data)
    assert result.accepted, result.reason
    verdicts = {label: claim["verdict"] for label, claim in claims(data).items()}
    assert verdicts["monotone"] == "REFUTED" and verdicts["lipschitz"] == "PROVED"
    assert verdicts["longest-plateau"] == "PROVED"


def moved(text, by):
    return (float.fromhex(text) + by).hex()


def leaf(data, place, by):
    """Move an end of the model's bounds on some leaf of the slopes."""
    tree = data["slopes"]["trees"][0]
    i = max(i for i, entry in enumerate(tree) if isinstance(entry, str))
    parts = tree[i].split(" ")
    parts[place] = moved(parts[place], by)
    tree[i] = " ".join(parts)


LIES = {
    "the greatest slope is less": lambda d: d["stated"]["slopes"][1].__setitem__(1, (2.5).hex()),
    "the least slope is more": lambda d: d["stated"]["slopes"][0].__setitem__(0, (-0.5).hex()),
    "a slope of 4 is reached": lambda d: d["stated"]["slopes"][1].__setitem__(0, (4.0).hex()),
    "a slope of -2 is reached": lambda d: d["stated"]["slopes"][0].__setitem__(1, (-2.0).hex()),
    "it is monotone": lambda d: claims(d)["monotone"].__setitem__("verdict", "PROVED"),
    "slopes below 2": lambda d: claims(d)["lipschitz"]["numbers"].__setitem__("bound", (2.0).hex()),
    "a tree is missing": lambda d: d["slopes"]["trees"].pop(),
    "a leaf is missing": lambda d: d["slopes"]["trees"][0].pop(),
    "no evidence": lambda d: d.__setitem__("slopes", None),
    "a leaf is too high": lambda d: leaf(d, 2, 0.25),
    "a leaf is too low": lambda d: leaf(d, 3, -0.25),
    "a longer plateau": lambda d: claims(d)["longest-plateau"]["numbers"].__setitem__(
        "least", (1.5).hex()),
    "only shorter plateaus": lambda d: claims(d)["longest-plateau"]["numbers"].__setitem__(
        "most", (0.25).hex()),
    "no points": lambda d: d["points"].clear(),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_rejected(data, judged, lie):
    LIES[lie](data)
    try:
        result = judged(data)
    except Malformed as error:
        assert "no number lies in" in str(error)
        return
    assert not result.accepted and result.reason


@pytest.mark.parametrize(("side", "stated"), [(0, (-3.0, -2.0)), (1, (4.0, 5.0))])
def test_slopes_that_no_point_reaches(data, judged, side, stated):
    """One end at a time, loose on the other side, and no claim that would show it first."""
    data["claims"] = []
    assert judged(data).accepted
    data["stated"]["slopes"][side] = [end.hex() for end in stated]
    result = judged(data)
    assert not result.accepted and "a slope that is reached" in result.reason


def test_points_of_slopes_are_proved(data, judged):
    """A point that claims another slope is found out."""
    point = data["slopes"]["points"][0]
    point["model"] = [moved(end, 1e-3) for end in point["model"]]
    result = judged(data)
    assert not result.accepted and "slopes.points[0]" in result.reason


def test_an_encoder(tmp_path, judged):
    """Attention and LayerNorm: the derivative of a whole layer, proved by balls."""
    torch.manual_seed(0)
    options = Options(cells=2, slopes=True, lipschitz=50.0, limits=Limits(10))
    report = check(models.loaded(models.TwoValues(3), tmp_path), "exp", options)
    result = judged(json.loads(json.dumps(as_data(as_certificate(report)))))
    assert result.accepted, result.reason


def test_relu_at_its_kink_proves_no_slope():
    """relu(-3 relu(x) - relu(-x)) is 0; with 1/2 as a slope at the kink its own would be -1/2."""
    b = Builder((1,))
    relu = FUNCTIONS["relu"]
    both = b.add(b.affine(b.apply(relu, 0), scale=np.full(1, -3.0)),
                 b.affine(b.apply(relu, b.affine(0, scale=np.full(1, -1.0))),
                          scale=np.full(1, -1.0)))  # fmt: skip
    graph = b.graph(model=b.apply(relu, both))
    stated = Stated((), (0.0, 1.0), (0.0, 1.0), None)
    target = {"name": "exp", "expression": "exp(x)"}
    certificate = Certificate({}, as_network(graph), target, (), stated, (), (), ())
    evaluator = Evaluator(certificate, slopes=True)
    slope, _, _ = evaluator.at((0.0,))
    assert slope.contains(0) and slope.rad() > 0.5
    (choices, _, _), _ = evaluator.on_box([(arb(-1), arb(1))], 8)
    assert any(pair[0] <= 0 <= pair[1] for _, pair in choices)


def test_infinite_variations_do_not_crash(data, judged):
    data["stated"]["target_variation"] = ["-inf", "inf"]
    assert not judged(data).accepted
