"""The law of targets: every registered one, as a graph, in every domain, against its textbook."""

from __future__ import annotations

import balls
import pytest
from balls import FUNCTIONS, arb
from counting import hold
from depth import law
from domains import DOMAINS
from enclosed import inputs
from flint import ctx
from hypothesis import given
from hypothesis import strategies as st

from certify.frontend.target import target_node
from certify.graph import Builder, Graph
from theory.targets import TARGETS

TEXTBOOK = {
    "identity": lambda t: t,
    "square": lambda t: t * t,
    "exp": arb.exp,
    "sin": arb.sin,
    "sin3": lambda t: (3 * t).sin(),
    "cos": arb.cos,
    "tanh": FUNCTIONS["tanh"],
    "log2p": lambda t: (2 + t).log(),
    "sqrt": arb.sqrt,
    "cbrt": FUNCTIONS["cbrt"],
    "x+cbrt(x)": lambda t: t + FUNCTIONS["cbrt"](t),
    "sigmoid": FUNCTIONS["sigmoid"],
    "gelu": FUNCTIONS["gelu"],
}


def graph_of(name: str) -> Graph:
    b = Builder((1,))
    target = target_node(b, TARGETS[name].expression, 0)
    difference = b.subtract(0, target)
    return b.graph(model=target, target=target, difference=difference)


def test_every_target_has_its_textbook():
    assert set(TEXTBOOK) == set(TARGETS)


@pytest.mark.parametrize("way", [*DOMAINS])
@pytest.mark.parametrize("name", TARGETS)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(-50, 0))
@law(6 * len(DOMAINS))
def test_targets(name, way, place, part, kind, width):
    lowest, highest = TARGETS[name].domain
    lo = lowest + place * (highest - lowest)
    hi = min(lo + 2.0**width * (highest - lowest), highest)
    lo = hi if way == "points" else min(lo, hi)
    found = DOMAINS[way](graph_of(name), [(lo, hi)])[0]["model"]
    for x in inputs(lo, hi, part):
        with ctx.workprec(256):
            value = TEXTBOOK[name](arb(x))
        ((low, high),) = found
        hold("targets x domains", not balls.outside(value, low, high), name, way, lo, hi, x)
