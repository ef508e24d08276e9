"""The law of the whole way: a random module of torch, exported and read, is enclosed.

The reference reads the module's own weights (`transformer`), so that a wrong lowering and a wrong
enclosure both show.
"""

from __future__ import annotations

import balls
from counting import hold
from depth import law
from domains import DOMAINS
from enclosed import PARTS, inputs
from flint import ctx
from hypothesis import given
from hypothesis import strategies as st
from transformer import value

from certify.testing import as_model, boxes, encoders

WAYS = st.sampled_from(["Taylor(0)", "Taylor(3)", "Taylor(8)", "checker(4)"])


@given(encoders(), boxes(-2.0, 2.0), PARTS, WAYS)
@law(33)
def test_exported_modules(module, box, part, way):
    graph = as_model(module).graph
    ((found,),) = (list(row.values()) for row in DOMAINS[way](graph, [box]))
    for x in inputs(*box, part):
        with ctx.workprec(512):
            truth = value(module, x)
        assert truth.is_finite()
        ((low, high),) = found
        shown = way, box, x, truth.str(20), low, high
        hold("exported modules x domains", not balls.outside(truth, low, high), *shown)
