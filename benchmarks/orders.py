"""Two tables of docs/performance.md: `python -m benchmarks.orders`.

Search time by the order of the polynomials, and remainders before and after the backward pass.
"""

from __future__ import annotations

import torch

import certify.orders
from certify.checking import check
from certify.domains.taylor import Taylor
from certify.frontend import load
from certify.frontend.target import compare
from certify.graph import enclose
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
            certify.orders.CANDIDATES = (order,)
            runs = [
                check(f"probes/zoo/{name}.pt", target, Options(gap=gap)).outcome for _ in range(2)
            ]
            best = min(runs, key=lambda outcome: outcome.seconds)
            row.append(f"{best.seconds:.2f} ({best.state.boxes})")
        print(f"| {name}, {gap:g} | " + " | ".join(row) + " |", flush=True)


def remainders() -> None:
    """Median and worst remainder of the model on 64 boxes at order 8."""
    print("\n| model | carried forward | after the backward pass |\n|---|---|---|")
    ends = torch.linspace(-1, 1, 65, dtype=torch.float64)
    boxes = torch.stack([ends[:-1], ends[1:]], 1)
    for name, target in dict((c[0], c[1]) for c in CASES).items():
        graph = compare(load(f"probes/zoo/{name}.pt"), find_target(target).expression, output=None)
        crude = enclose(graph, boxes, domain=Taylor(8))["model"].rem.reshape(-1)
        sharp = forward(Problem(graph, boxes), Taylor(8), boxes)["model"].rem.reshape(-1)
        cells = (f"{r.median():.1e}, worst {r.max():.1e}" for r in (crude, sharp))
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    times()
    remainders()
