"""What one box costs, beside one float64 evaluation of the model, and how both grow.

Around one encoder (2 layers, width 32, 4 tokens, GELU, pre-norm, weights as torch starts them) one
size is changed at a time. A box is enclosed at order 8, with its backward pass; CPU seconds, the
least of several runs, one thread. The exponent p of cost ~ size**p is fitted by least squares to
the logarithms.

    python -m benchmarks.cost            about a minute; stored in cost.json, and in the page
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import certify
from benchmarks.scalar import PAGE, machine
from benchmarks.table import between, table
from certify.domains.taylor import Taylor
from certify.evaluate import evaluate
from certify.frontend.target import compare
from certify.options import Options, partition
from certify.search import Problem, forward
from probes.encoder import Encoder, EncoderConfig
from theory.files import replace_file
from theory.targets import find_target

STORED = Path(__file__).with_name("cost.json")
ROUNDS = 5


@dataclass(frozen=True)
class Size:
    """What is changed; heads divide the width."""

    layers: int = 2
    width: int = 32
    tokens: int = 4
    order: int = 8
    boxes: int = 64


SWEEPS = {
    "layers": (1, 2, 4, 8),
    "width": (16, 32, 64, 128),
    "tokens": (2, 4, 8, 16),
    "order": (2, 4, 8, 12),
    "boxes": (16, 64, 256),
}


def least(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some calls."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def measure(size: Size) -> dict:
    """CPU milliseconds of one box and of one point, in a batch of so many."""
    config = EncoderConfig(size.layers, size.width, 4, None, size.tokens, "gelu", "pre")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        certify.export(Encoder(config).eval(), torch.zeros(1, 1), path)
        model = certify.load(path)
    target = find_target("exp")
    graph = compare(model, target.expression, None)
    cells = partition(*target.domain, Options(cells=size.boxes))
    problem = Problem(graph, cells, size.order)
    points = cells.mean(1).reshape(-1, *graph.input_shape)
    box = least(lambda: forward(problem, Taylor(size.order), cells)) / size.boxes
    point = least(lambda: evaluate(graph, points)) / size.boxes
    return {"box_ms": 1e3 * box, "point_ms": 1e3 * point}


def exponent(sizes: list[int], costs: list[float]) -> float:
    """The slope of log cost over log size, by least squares."""
    x, y = [math.log(s) for s in sizes], [math.log(c) for c in costs]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mx) ** 2 for a in x)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / spread


def tables(stored: dict) -> list[str]:
    """A row for every size, an exponent for every kind of size."""
    rows = []
    for name, found in stored["sweeps"].items():
        sizes = [int(s) for s in found]
        powers = [
            exponent(sizes, [found[str(s)][k] for s in sizes]) for k in ("box_ms", "point_ms")
        ]
        for s in sizes:
            box, point = (found[str(s)][k] for k in ("box_ms", "point_ms"))
            first = s == sizes[0]
            rows.append([
                name if first else "", str(s), f"{box:.2f}", f"{point:.3f}", f"{box / point:.0f}",
                f"{powers[0]:.2f}" if first else "", f"{powers[1]:.2f}" if first else "",
            ])  # fmt: skip
    m = stored["machine"]
    note = (
        f"CPU milliseconds, one thread of {m['cores']} cores, {m['cpu']}, torch {m['torch']}, "
        f"{stored['date']}; around 2 layers, width 32, 4 tokens, order 8, 64 boxes."
    )
    head = ["size", "", "a box", "a point", "ratio", "exponent, box", "exponent, point"]
    return ["", note, "", *table(head, rows)]


def page(text: str, stored: dict) -> str:
    """docs/performance.md with the table of what is stored."""
    return between(text, tables(stored), "cost")


def main() -> None:
    """Measure, store, and write the table."""
    torch.set_num_threads(1)
    base, sweeps = Size(), {}
    for name, sizes in SWEEPS.items():
        sweeps[name] = {str(s): measure(replace(base, **{name: s})) for s in sizes}
        print(name, sweeps[name], flush=True)
    stored = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "sweeps": sweeps}
    replace_file(STORED, (json.dumps(stored, indent=1) + "\n").encode())
    replace_file(PAGE, page(PAGE.read_text(), stored).encode())


if __name__ == "__main__":
    main()
