"""Targets of several inputs as graphs, against mpmath at 400 bits."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from mpmath import mp, mpf, workprec

from certify.domains.taylor import Taylor
from certify.errors import BadRequest
from certify.frontend.target import target_of_inputs
from certify.graph import Builder, enclose
from theory.functions import inputs
from theory.several import find_target_of

TEXTS = [
    "x1*x2",
    "x1",
    "x2",
    "3",
    "pi",
    "max(x1, x2)",
    "min(x1, x2)",
    "max(x1, 0.25)*x2",
    "abs(x1*x2)",
    "abs(x1 - x2)^3",
    "abs(x1)*x2",
    "exp(x1*x2)",
    "exp(x1 - 3*x2)",
    "(x1 + x2)^3",
    "(x1*x2)^2 - x1^3",
    "pi*x1 + x2",
    "pi*x1*x2",
    "pi*(x1*x2 + 1)",
    "x1*x2 + pi + x1",
    "1/(2 + x1*x2)",
    "(x1 + x2)/(3 + x1)",
    "sqrt(2 + x1*x2)",
    "(3 + x1 + x2)^(5/2)",
    "sin(pi*x1*x2)",
    "tanh(x1)*erf(x2) + x1^2/7",
    "gelu(x1*x2)",
    "cbrt(x1)*x2",
    "log(3 + x1 + x2)",
    "0.1*x1*x2/3 - 1e-3",
    "max(max(x1, x2), x1*x2)",
    "123456789123456789123*x1*x2",
]


def reference(expression, variables):
    modules = [{"Max": lambda *a: max(map(mpf, a)), "sign": mp.sign, "Abs": abs}, "mpmath"]
    return sp.lambdify(inputs(variables), expression, modules)


@pytest.mark.parametrize("text", TEXTS)
def test_targets_are_enclosed(ref, text):
    """By Taylor models on boxes, of which one is a point and one is thin."""
    target = find_target_of(text, 2)
    b = Builder((1, 2))
    graph = b.graph(y=target_of_inputs(b, target.expression, 2))
    assert graph.shape(graph.outputs["y"]) == (1,)
    f = reference(target.expression, 2)
    rng = np.random.default_rng(0)
    lo = rng.uniform(-1, 0.5, (5, 2))
    hi = lo + rng.uniform(0, 0.5, (5, 2))
    hi[0], hi[1, 0] = lo[0], lo[1, 0]
    boxes = torch.from_numpy(np.stack([lo, hi], -1))
    for order in (0, 3):
        domain = Taylor(order, 2)
        low, high = domain.range(enclose(graph, boxes, domain=domain)["y"])
        for i in range(5):
            for share in (0.0, 1.0, rng.random(2)):
                x = np.clip(lo[i] + share * (hi[i] - lo[i]), lo[i], hi[i]).tolist()
                with workprec(400):
                    assert ref.within(mpf(f(*map(mpf, x))), float(low[i]), float(high[i]))
        assert bool(torch.isfinite(high - low).all())
    assert float((high - low)[0]) <= 1e-13 * max(1.0, float(high[0].abs()))


def test_a_root_of_several_inputs_is_refused():
    target = find_target_of("cbrt(x1*x2)", 2)
    with pytest.raises(BadRequest, match="roots of odd degree must be of one input"):
        target_of_inputs(Builder((2,)), target.expression, 2)
