"""Plain evaluation: every registered function, and the corners of the primitives."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch

from certify.evaluate import evaluate
from certify.graph import Builder
from theory.functions import FUNCTIONS, univariate, x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    builder = Builder((1,))
    graph = builder.graph(y=builder.apply(FUNCTIONS[name], 0))
    points = torch.tensor([[0.3], [1.5], [7.0]], dtype=torch.float64)
    expected = [
        float(FUNCTIONS[name].expression.subs(x, sp.Float(p, 30))) for p in points[:, 0].tolist()
    ]
    out = evaluate(graph, points)["y"][:, 0]
    assert np.allclose(out, expected, rtol=1e-13, atol=1e-13)


def test_unknown_function_by_its_expression():
    name = "a function for this test only"
    function = FUNCTIONS.get(name) or univariate(name, sp.Max(x, 2) ** 3 / sp.exp(x) + 1)
    del FUNCTIONS[name]
    builder = Builder((2,))
    graph = builder.graph(y=builder.apply(function, 0))
    out = evaluate(graph, torch.tensor([[0.0, 3.0]], dtype=torch.float64))["y"]
    assert np.allclose(out, [[9.0, 27 * np.exp(-3) + 1]])


def test_primitives():
    builder = Builder((2, 3))
    part = builder.gather(0, np.array([[0, -1], [5, 1]]))
    both = builder.matmul(part, builder.gather(0, np.array([[1, 2], [3, 4]])))
    out = builder.affine(both, weight=[[1, 2]], scale=3, divisor=7, bias=[0.5])
    graph = builder.graph(
        out=out, zero=builder.gather(0, np.full((2,), -1)), square=builder.multiply(0, 0)
    )
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    values = evaluate(graph, x)
    flat = x.reshape(4, 6)
    a = torch.stack([flat[:, 0], 0 * flat[:, 0], flat[:, 5], flat[:, 1]], 1).reshape(4, 2, 2)
    b = flat[:, 1:5].reshape(4, 2, 2)
    assert torch.allclose(
        values["out"], (a @ b) @ torch.tensor([[1.0], [2.0]]).double() * 3 / 7 + 0.5
    )
    assert torch.equal(values["zero"], torch.zeros(4, 2).double())
    assert torch.allclose(values["square"], x * x)
    with pytest.raises(ValueError, match="float64 of shape"):
        evaluate(graph, x.float())
