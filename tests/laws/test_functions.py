"""The law of functions and primitives: each of them, alone, in every domain, on any box."""

from __future__ import annotations

import balls
import graphs
import mpmath
import pytest
import singles
import textbook
from depth import law
from domains import DOMAINS
from enclosed import BOXES, PARTS, check
from hypothesis import given
from hypothesis import strategies as st

from certify.graph import Builder
from theory.functions import FUNCTIONS

SCALES = st.integers(-300, 300).map(lambda k: 10.0**k)


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("function", FUNCTIONS)
@given(BOXES, PARTS)
@law(3 * len(DOMAINS))
def test_functions(function, name, box_list, part):
    b = Builder((1,))
    graph = b.graph(model=b.apply(FUNCTIONS[function], 0))
    check("functions x domains", graph, box_list, part, name)


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("kind", singles.PRIMITIVES)
@given(graphs.SEEDS, SCALES, BOXES, PARTS)
@law(len(DOMAINS))
def test_primitives(kind, name, seed, scale, box_list, part):
    check("primitives x domains", singles.graph(kind, seed, scale), box_list, part, name)


def test_the_reference_is_textbook_and_sharp():
    """Two references that were written apart agree: mpmath's formulas and Arb's."""
    with mpmath.workprec(400):
        for name in FUNCTIONS:
            for x in (-30.5, -1.25, -0.0, 0.3, 2.0, 700.0):
                value = textbook.textbook(name, x)
                ball = balls.FUNCTIONS[name](balls.arb(x))
                if value is None:
                    assert not ball.is_finite()
                    continue
                near = balls.arb(mpmath.nstr(value, 50))
                assert abs(ball - near) <= 1e-14 * (1 + abs(near)), (name, x)


def test_the_reference_excludes_what_is_wrong():
    b = Builder((1,))
    graph = b.graph(model=b.apply(FUNCTIONS["exp"], 0))
    (ball,) = balls.at(graph, 1.0)["model"]
    assert not balls.outside(ball, 2.718281828459045, 2.7182818284590455)
    assert balls.outside(ball, 2.7182818284590455, 3.0)
    assert balls.outside(ball, 2.0, 2.718281828459045)
    assert balls.outside(ball, float("nan"), 3.0) and balls.outside(ball, 3.0, 2.0)
