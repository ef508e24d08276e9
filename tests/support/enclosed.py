"""One comparison for all laws of enclosures: a graph, boxes, a domain, and the truth."""

from __future__ import annotations

import math

import balls
import graphs
from counting import EMPTY, hold
from domains import DOMAINS
from hypothesis import strategies as st

from certify.graph import Graph

BOXES = st.lists(graphs.boxes(), min_size=1, max_size=2)
PARTS = st.floats(0, 1)


def inputs(lo: float, hi: float, part: float) -> list[float]:
    """Both ends and a place between them."""
    return sorted({lo, hi, min(max(lo + part * (hi - lo), lo), hi)})


def check(law: str, graph: Graph, boxes: list[tuple[float, float]], part: float, name: str) -> int:
    """Hold one domain to the truth on every box.

    Returns:
        how many numbers were compared; 0 where the domain does not apply.

    Raises:
        AssertionError: a value lies outside; the witness is shown.
    """
    if name == "points":
        boxes = [(lo, lo) for lo, _ in boxes]
    found, compared = DOMAINS[name](graph, boxes), 0
    for (lo, hi), outputs in zip(boxes, found or [], strict=found is not None):
        for x in inputs(lo, hi, part):
            truth = balls.at(graph, x)
            for output, pairs in outputs.items():
                for ball, (low, high) in zip(truth[output], pairs, strict=True):
                    shown = name, output, (lo, hi), x, ball.str(20), low, high
                    hold(law, not balls.outside(ball, low, high), *shown)
                    EMPTY[law] += ball.is_nan() or (math.isinf(low) and math.isinf(high))
                    compared += 1
    return compared
