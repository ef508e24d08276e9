"""Three tables of docs/performance.md: `python -m benchmarks.orders`.

Search time by the order of the polynomials; remainders before and after the backward pass; and
those of the derivative, also where products entry by entry forget the norms of their rows.
"""

from __future__ import annotations

from unittest import mock

import torch

import certify.orders
from certify.checking import check
from certify.derivative import derive
from certify.domains.taylor import Taylor
from certify.frontend import load
from certify.frontend.target import compare
from certify.graph import Graph, enclose
from certify.options import Options
from certify.search import Problem, forward
from theory.targets import find_target

CASES = (("exp", "exp", 1e-3), ("exp", "exp", 1e-5), ("sin3", "sin3", 1e-3))
CASES += (("sin3_gelu", "sin3", 1e-3), ("exp4", "exp", 1e-3))
ORDERS = (4, 5, 6, 8, 10, 12)


def times() -> None:
    """Seconds until the search ends, the faster of two runs, and boxes, for each order."""
    print("| model, gap | " + " | ".join(map(str, ORDERS)) + " |")
    print("|---" * (len(ORDERS) + 1) + "|")
    for name, target, gap in CASES:
        row = []
        for order in ORDERS:
            certify.orders.BY_VARIABLES = ((1, (order,)),)
            runs = [
                check(f"probes/zoo/{name}.pt", target, Options(gap=gap)).outcome for _ in range(2)
            ]
            best = min(runs, key=lambda outcome: outcome.seconds)
            row.append(f"{best.seconds:.2f} ({best.state.boxes})")
        print(f"| {name}, {gap:g} | " + " | ".join(row) + " |", flush=True)


def remainder(graph: Graph) -> str:
    """Median and worst remainder of the model on 64 boxes at order 8: two cells of a table."""
    ends = torch.linspace(-1, 1, 65, dtype=torch.float64)
    boxes = torch.stack([ends[:-1], ends[1:]], 1)
    crude = enclose(graph, boxes, domain=Taylor(8))["model"].rem
    sharp = forward(Problem(graph, boxes), Taylor(8), boxes)["model"].rem
    return " | ".join(f"{r.median():.1e}, worst {r.max():.1e}" for r in (crude, sharp))


def remainders() -> None:
    """The second and the third table."""
    models = dict((c[0], c[1]) for c in CASES)
    graphs = {
        name: compare(load(f"probes/zoo/{name}.pt"), find_target(target).expression, None)
        for name, target in models.items()
    }
    print("\n| model | carried forward | after the backward pass |\n|---|---|---|")
    for name, graph in graphs.items():
        print(f"| {name} | {remainder(graph)} |")
    print("\n| derivative of | norms of rows | carried forward | after the backward pass |")
    print("|---|---|---|---|")
    for name in ("exp", "exp4"):
        slopes = derive(graphs[name])
        with mock.patch("certify.domains.taylor._rows", lambda node: None):
            print(f"| {name} | forgotten | {remainder(slopes)} |")
        print(f"| {name} | kept | {remainder(slopes)} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    times()
    remainders()
