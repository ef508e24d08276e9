"""What the paper's claim costs to decide: `python -m benchmarks.plateaus [NAMES]`, three tables.

First: the whole zoo at width 1/16, tau 0.1, median of three runs in this process. Then how tight
the bounds are on 64 cells: certified variation over that of a dense sample, and how far the
certified range of the derivative reaches beyond the sampled one, as a part of the largest sampled
|slope| of the cell, on cells where the derivative does not vanish. Last: models that are
staircases, the longest plateau proved of them and that of a dense sample.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from certify import export, load
from certify.checking import check
from certify.evaluate import evaluate
from certify.frontend.target import compare
from certify.options import Options
from certify.report.words import paragraph
from probes.witnesses.plateaus import Stairs, TwoValues, longest_sampled
from probes.zoo.make import ZOO, path
from theory.targets import find_target

RUNS = 3
SAMPLES = 4001  # in each cell
TIGHT = ("exp", "exp4")


def decided(name: str) -> str:
    """One model's line of the first table."""
    model, seconds = load(path(name)), []
    for _ in range(RUNS):
        began = time.perf_counter()
        report = check(model, ZOO[name].target, Options(width=1 / 16, no_plateau=True))
        seconds.append(time.perf_counter() - began)
    found = report.plateaus
    refuted, deciding = (int(m.sum()) for m in (found.refuted & found.deciding, found.deciding))
    lo, hi, _ = report.longest
    spent = statistics.median(seconds)
    return f"| {name} | {refuted} of {deciding} | {spent:.2f} | [{lo:.4g}, {hi:.4g}] |"


def tight(name: str) -> str:
    """One model's line of the second table."""
    model, target = load(path(name)), find_target(ZOO[name].target, None)
    began = time.perf_counter()
    report = check(model, target, Options(cells=64, slopes=True))
    spent = time.perf_counter() - began
    print(paragraph(report), file=sys.stderr)
    graph = compare(model, target.expression, None)
    t = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)
    cells = report.cells
    x = cells[:, :1] + (cells[:, 1:] - cells[:, :1]) * t
    values = _sampled(graph, x)
    slopes = _sampled(report.slopes.problem.graph, x)
    variation = values.amax(1) - values.amin(1)
    looser = float((report.known.variation[1] / variation).max()) - 1
    low, high = report.slopes.known.range
    beyond = torch.maximum(high - slopes.amax(1), slopes.amin(1) - low)
    clear = (low > 0) | (high < 0)
    part = (beyond / slopes.abs().amax(1))[clear]
    return (
        f"| {name} | {100 * looser:.4f} % | {100 * float(part.max()):.4f} % | "
        f"{int(clear.sum())} of 64 | {spent:.1f} |"
    )


def _sampled(graph, x: torch.Tensor) -> torch.Tensor:
    shaped = x.reshape(-1, *graph.input_shape)
    parts = [evaluate(graph, part)["model"].reshape(-1) for part in shaped.split(8192)]
    return torch.cat(parts).reshape(x.shape)


def staircase(module: torch.nn.Module) -> str:
    """One model's line of the third table."""
    module = module.double().eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt"
        export(module, torch.zeros(1, 1, dtype=torch.float64), file)
        report = check(str(file), "exp", Options(resolution=True))
    lo, hi, _ = report.longest
    verdict, floor = report.plateaus.overall().value, report.known.sup[0]
    return (
        f"| {type(module).__name__} | {verdict} | [{lo:.5f}, {hi:.5f}] | "
        f"{longest_sampled(module, 0.1):.3f} | {floor:.4g} |"
    )


def main(names: list[str]) -> int:
    """Print the tables."""
    torch.set_num_threads(1)
    print("| model | no plateau on | s | longest 0.1-plateau |\n|---|---|---|---|")
    for name in names or ZOO:
        print(decided(name), flush=True)
    print("\n| model | variation looser by | derivative's range wider by | cells | s |")
    print("|---|---|---|---|---|")
    for name in TIGHT:
        print(tight(name), flush=True)
    print("\n| staircase | 0.1-plateau | longest, proved | sampled | sup error at least |")
    print("|---|---|---|---|---|")
    for module in (Stairs(), TwoValues()):
        print(staircase(module), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
