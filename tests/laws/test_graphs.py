"""The law of the whole: a random graph on a random box is enclosed by every domain.

The reference is a ball of Arb at single inputs (`balls`); nothing is compared up to a tolerance.
"""

from __future__ import annotations

import math

import graphs
import numpy as np
import pytest
import textbook
from depth import law
from domains import DOMAINS
from enclosed import BOXES, PARTS, check
from hypothesis import given
from hypothesis import strategies as st

from theory.functions import FUNCTIONS

DOMAIN = st.sampled_from(sorted(DOMAINS))


@given(graphs.graphs(), BOXES, PARTS, DOMAIN)
@law()
def test_random_graphs(graph, box_list, part, name):
    check("random graphs x domains", graph, box_list, part, name)


@given(graphs.encoders(), BOXES, PARTS, DOMAIN)
@law(2)
def test_random_encoders(graph, box_list, part, name):
    check("random encoders x domains", graph, box_list, part, name)


@pytest.mark.parametrize("name", DOMAINS)
def test_each_domain_says_something(name):
    """Sound but infinite everywhere would pass: on a tame encoder and a small box it must not."""
    b, model = textbook.encoder(np.random.default_rng(0))
    graph = textbook.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    box = (0.5, 0.5 if name == "points" else 0.5 + 2.0**-10)
    assert check("random encoders x domains", graph, [box], 0.3, name) > 0
    ((low, high),) = DOMAINS[name](graph, [box])[0]["model"]
    assert math.isfinite(low) and math.isfinite(high) and high - low < 0.1
