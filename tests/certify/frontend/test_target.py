"""Target expressions as graphs, against mpmath at 400 bits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import textbook
import torch
from mpmath import mp, mpf, workprec

from certify.domains.taylor import Taylor
from certify.errors import BadRequest
from certify.frontend import load
from certify.frontend.target import compare, target_node
from certify.graph import Affine, Apply, Builder, enclose
from theory.functions import FUNCTIONS, x
from theory.targets import TARGETS, find_target

TEXTS = [
    "x",
    "3",
    "x/3 + 1/7",
    "sin(3*x) + x^2/4",
    "x^3 - 2*x",
    "exp(-x^2)",
    "1/(2 + x)",
    "sqrt(2 + x)*cos(x)",
    "max(x, 0.25)",
    "abs(x - 0.3)",
    "pi*x",
    "sin(pi*x)",
    "(2 + x)^(5/2)",
    "(2+x)^(1/3)",
    "tanh(2*x + 1) * erf(x)",
    "log(2 + x)",
    "0.1*x",
    "x^7",
    "(x+2)^(-3)",
    "cbrt(x)",
]


def reference(expression):
    """The expression in mpmath; roots of negative numbers are real where SymPy says sign * abs."""
    modules = [{"Max": lambda *a: max(map(mpf, a)), "sign": mp.sign, "Abs": abs}, "mpmath"]
    return sp.lambdify(x, expression, modules)


@pytest.mark.parametrize("text", [*TEXTS, *TARGETS])
def test_targets_are_enclosed(text):
    target = find_target(text)
    b = Builder((1,))
    graph = b.graph(y=target_node(b, target.expression, 0))
    lo, hi = target.domain
    edges = np.linspace(lo, hi, 9)
    boxes = torch.from_numpy(np.stack([edges[:-1], edges[1:]], 1))
    f = reference(target.expression)
    rng = np.random.default_rng(0)
    with workprec(400):
        for order in (0, 1, 3, 8):
            domain = Taylor(order)
            low, high = domain.range(enclose(graph, boxes, domain=domain)["y"])
            for i, (a, c) in enumerate(boxes.tolist()):
                for t in (a, c, float(rng.uniform(a, c))):
                    value = mpf(f(mpf(t)))
                    least, most = float(low[i, 0]), float(high[i, 0])
                    assert not np.isnan(least) and not np.isnan(most)
                    slack = abs(value) * mpf(2) ** -380  # of the reference itself
                    assert least == -np.inf or mpf(least) <= value + slack
                    assert most == np.inf or value - slack <= mpf(most)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_registered_functions_stay_whole(name):
    b = Builder((1,))
    graph = b.graph(y=target_node(b, FUNCTIONS[name].expression, 0))
    assert graph.functions() == {name} and len(graph.nodes) == 1


@pytest.mark.parametrize("number", ["1/3", "22/7", "-5/9", "1/10", "3"])
def test_rational_constants_are_exact(number):
    b = Builder((1,))
    graph = b.graph(y=target_node(b, sp.Rational(number) * x + sp.Rational(number), 0))
    values = [np.full((1,), Fraction(7, 16), dtype=object)]
    for node in graph.nodes:
        values.append(
            textbook.primitive(node.primitive, [values[i] for i in node.inputs], Fraction)
        )
    assert values[graph.outputs["y"]][0] == Fraction(number) * Fraction(7, 16) + Fraction(number)


def test_an_irrational_constant_makes_one_function():
    b = Builder((1,))
    graph = b.graph(y=target_node(b, sp.pi * x + sp.sin(x), 0))
    assert [type(n.primitive) for n in graph.nodes] in ([Apply], [Affine, Apply])
    assert len(graph.functions()) == 1


def test_compare(model_file):
    model = load(model_file)
    graph = compare(model, TARGETS["exp"].expression, None)
    assert set(graph.outputs) == {"model", "target", "difference"}
    assert {graph.shape(v) for v in graph.outputs.values()} == {(1,)}
    with pytest.raises(BadRequest, match="--output 3"):
        compare(model, x, 3)
    with pytest.raises(BadRequest, match="--output -1"):
        compare(model, x, -1)
