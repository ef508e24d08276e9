"""Four tables of docs/performance.md: `python -m benchmarks.orders [MODEL...]`.

Search time by the order of the polynomials; remainders before and after the backward pass; and
those of the derivative, also where products entry by entry forget the norms of their rows; and
errors carried by blocks, the only table where model files are named.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
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
from certify.search import Problem, assess, forward
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


def blocks(paths: list[str]) -> None:
    """The last table: errors by the backward pass, and carried from block to block, with the CPU
    seconds of all boxes; of exp4, and of model files named on the command line."""
    print("\n| model, boxes | backward pass | by blocks |\n|---|---|---|")
    for path, count in [("probes/zoo/exp4.pt", 64), *((p, 16) for p in paths)]:
        graph = compare(load(path), find_target("exp").expression, None)
        middle = torch.linspace(-1, 1, count + 1, dtype=torch.float64)[:-1] + 1 / count
        for width in (1 / 32, 1e-3):
            box = torch.stack([middle - width / 2, middle + width / 2], 1)
            problem, cells, row = Problem(graph, box), [], torch.zeros(count, dtype=torch.long)
            for deep in (False, True):
                began = time.process_time()
                rem = assess(problem, box, row, deep=deep).rem
                spent = time.process_time() - began
                cells.append(f"{rem.median():.1e}, worst {rem.max():.1e} ({spent:.1f} s)")
            name = Path(path).stem
            print(f"| {name}, {count} of width {width:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if not sys.argv[1:]:
        times()
        remainders()
    blocks(sys.argv[1:])
