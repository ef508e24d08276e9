"""What graphs say by themselves: LayerNorm readouts, and smoothness."""

import math

import known_models as models
import numpy as np
import pytest
import torch

from certify.frontend.target import model_graph, target_node
from certify.graph import Builder
from certify.structure import structure
from theory.expressions import parse
from theory.functions import FUNCTIONS


@pytest.mark.parametrize("features", [1, 2, 3, 5])
def test_a_layer_norm_without_head(tmp_path, features):
    """The interval of theorem C1 holds, and is reached by no sample."""
    module = models.TwoValues(features)
    with torch.no_grad():
        module.layer.norm2.weight.copy_(torch.linspace(0.5, -2, features))
        module.layer.norm2.bias.copy_(torch.linspace(-1, 3, features))
    graph = model_graph(models.loaded(module, tmp_path), None)
    readout = structure(graph).readout
    assert (readout.features, readout.head) == (features, False)
    lo, hi = readout.range
    reach = 0.5 * math.sqrt(features - 1)
    assert lo == pytest.approx(-1 - reach) and hi == pytest.approx(-1 + reach)
    x = torch.linspace(-50, 50, 999, dtype=torch.float64).unsqueeze(1)
    values = module(x).detach()
    assert lo <= float(values.min()) and float(values.max()) <= hi


def test_a_head_frees_the_range():
    import certify

    found = structure(model_graph(certify.load("probes/zoo/exp.pt"), None))
    assert found.smoothness == "analytic"
    assert found.readout.head and found.readout.range is None and found.readout.features == 16
    relu = certify.load("probes/zoo/exp_relu.pt")
    assert structure(model_graph(relu, None)).smoothness == "piecewise analytic"


def layer_norm(b, x, n, *, eps=1e-5, divisor=None, weight=None):
    """LayerNorm as it is lowered, or nearly so."""
    weight = n * np.eye(n) - np.ones((n, n)) if weight is None else weight
    centered = b.affine(x, weight=weight, divisor=n)
    square = b.apply(FUNCTIONS["square"], centered)
    mean = b.affine(square, weight=np.ones((1, n)), divisor=divisor or n, bias=np.full(1, eps))
    return b.scale_rows(centered, b.apply(FUNCTIONS["rsqrt"], mean))


def readout(**more):
    b = Builder((1,))
    x = b.affine(b.reshape(0, (1, 1)), weight=np.array([[1.0], [2.0], [-4.0]]))
    return structure(b.graph(model=b.gather(layer_norm(b, x, 3, **more), np.array([1])))).readout


def test_only_a_layer_norm_is_one():
    assert readout().range == pytest.approx((-math.sqrt(2), math.sqrt(2)))
    assert readout(divisor=2) is None
    assert readout(eps=-1e-5) is None
    assert readout(weight=3 * np.eye(3)) is None  # a root-mean-square norm: no sum is 0
    b = Builder((1,))
    assert structure(b.graph(model=b.apply(FUNCTIONS["tanh"], 0))).readout is None
    assert structure(b.graph(model=b.constant([1.0]))).readout is None


@pytest.mark.parametrize(
    ("text", "smoothness"),
    [
        ("exp(x)", "analytic"),
        ("1/(1+x^2)", "analytic"),
        ("x^3", "analytic"),
        ("1/x", "unknown"),
        ("x/sqrt(x^2)*1", "unknown"),
        ("1/(1-x^2)", "unknown"),
        ("relu(x)+exp(x)", "piecewise analytic"),
        ("0*x+1", "constant"),
    ],
)
def test_smooth_on_all_inputs_or_not_known_to_be(text, smoothness):
    b = Builder((1,))
    assert structure(b.graph(model=target_node(b, parse(text), 0))).smoothness == smoothness


@pytest.mark.parametrize(("divisor", "smoothness"), [(2.0, "analytic"), (-2.0, "unknown")])
def test_a_negative_divisor_turns_the_sign(divisor, smoothness):
    b = Builder((1,))
    half = b.affine(b.apply(FUNCTIONS["exp"], 0), divisor=divisor)
    graph = b.graph(model=b.apply(FUNCTIONS["log"], half))
    assert structure(graph).smoothness == smoothness


def test_an_inner_product_of_rows_is_no_layer_norm():
    """(1, T) times (T, D): the factors and rows of several tokens at once."""
    b = Builder((1,))
    x = b.affine(b.reshape(0, (1, 1)), weight=np.ones((6, 1)))
    rows = b.reshape(x, (2, 3))
    centered = b.affine(rows, weight=3 * np.eye(3) - np.ones((3, 3)), divisor=3)
    square = b.apply(FUNCTIONS["square"], centered)
    mean = b.affine(square, weight=np.ones((1, 3)), divisor=3, bias=np.full(1, 1e-5))
    factor = b.apply(FUNCTIONS["rsqrt"], mean)
    summed = b.matmul(b.reshape(factor, (1, 2)), centered)
    assert structure(b.graph(model=b.gather(summed, np.array([0])))).readout is None
