"""Every way this toolkit encloses a graph over boxes, behind one signature, for laws.

`DOMAINS[name](graph, boxes)` gives for each box the pairs (lo, hi) of every output's entries;
None where that way does not apply. A new domain is added here, and every law then holds it to
the truth; `tests/laws/test_registered.py` fails until it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import flint
import torch
from flint import arb

from certify.certificate import Certificate
from certify.checker.evaluate import Evaluator
from certify.domains.taylor import Taylor
from certify.errors import BadRequest
from certify.frontend.network import as_network
from certify.graph import Domain, Graph, enclose
from certify.normalized import limit
from certify.search import OUTPUTS, Problem, assess, measure
from theory.polynomials import Polynomials

Box = tuple[float, float]
Found = list[dict[str, list[Box]]]


def _boxes(boxes: list[Box]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float64)


def forward(domain: Domain, norms: bool = False) -> Callable[[Graph, list[Box]], Found]:
    """One pass forward; norms: with what theorem C1 knows."""

    def found(graph: Graph, boxes: list[Box]) -> Found:
        watch = limit(graph, domain) if norms else None
        outputs = enclose(graph, _boxes(boxes), domain=domain, watch=watch)
        out: Found = [{} for _ in boxes]
        for name, model in outputs.items():
            lo, hi = (end.reshape(len(boxes), -1).tolist() for end in domain.range(model))
            for i, row in enumerate(out):
                row[name] = list(zip(lo[i], hi[i], strict=True))
        return out

    return found


def _compared(graph: Graph) -> bool:
    return set(graph.outputs) == set(OUTPUTS)


def search(deep: bool) -> Callable[[Graph, list[Box]], Found | None]:
    """What a search learns of its leaves: forward, backward, ranges of polynomials; deep: errors
    from block to block too."""

    def found(graph: Graph, boxes: list[Box]) -> Found | None:
        if not _compared(graph):
            return None
        cell = torch.zeros(len(boxes)).long()
        problem = Problem(graph, _boxes(boxes[:1]))
        leaves = assess(problem, _boxes(boxes), cell, deep=deep)
        return [
            {name: [tuple(leaves.bounds[k, :, i].tolist())] for k, name in enumerate(OUTPUTS)}
            for i in range(len(boxes))
        ]

    return found


def points(graph: Graph, boxes: list[Box]) -> Found | None:
    """Proven values at single inputs, where all boxes are such."""
    if not _compared(graph) or any(lo != hi for lo, hi in boxes):
        return None
    x = _boxes(boxes)[:, 0]
    found = measure(Problem(graph, _boxes(boxes[:1])), x, torch.zeros(len(x)).long())
    return [
        {name: [tuple(found.bounds[k, :, i].tolist())] for k, name in enumerate(OUTPUTS)}
        for i in range(len(boxes))
    ]


def checker(order: int) -> Callable[[Graph, list[Box]], Found | None]:
    """The independent checker's polynomials over Arb; only of the output "model"."""

    def found(graph: Graph, boxes: list[Box]) -> Found | None:
        single = math.prod(graph.shape(graph.outputs.get("model", 0))) == 1
        if "model" not in graph.outputs or not single:
            return None
        target = {"name": "x", "expression": "x"}
        try:
            network = as_network(graph)
        except BadRequest:  # a function without a name
            return None
        ready = Evaluator(Certificate({}, network, target, (), None, (), (), ()))
        with flint.ctx.workprec(128):
            return [{"model": [_hull(ready, lo, hi, order)]} for lo, hi in boxes]

    return found


def _hull(ready: Evaluator, lo: float, hi: float, order: int) -> Box:
    """The ends of the model over one box, as floats outside of them."""
    if lo == hi:
        ball = ready.at((lo,))[0]
        low, high = ball.lower(), ball.upper()
    else:
        ((_, (low, high)),) = ready.on_box([(arb(lo), arb(hi))], order)[0][0]
    if not (low.is_finite() and high.is_finite()):
        return -math.inf, math.inf
    return math.nextafter(float(low.mid()), -math.inf), math.nextafter(float(high.mid()), math.inf)


DOMAINS: dict[str, Callable[[Graph, list[Box]], Found | None]] = {
    **{f"Taylor({order})": forward(Taylor(order)) for order in (0, 1, 3, 8, 12)},
    "Taylor(8), norms": forward(Taylor(8), norms=True),
    "search": search(False),
    "search by blocks": search(True),
    "points": points,
    "checker(4)": checker(4),
    "checker(16)": checker(16),
}
#: The classes behind them: what has the methods of a domain, or is the checker's algebra.
CLASSES = {Taylor, Polynomials}
