"""The tables of docs/float32.md: `python -m benchmarks.float32 [MODEL...]`.

For each model of the zoo: what torch in float32 differs from float64 at 10,000 float32 inputs, and
the proven bound at single inputs and on boxes; then, with --check, `certify check --semantics
float32` beside real arithmetic.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch

from certify.checking import check
from certify.evaluate import evaluate
from certify.float32.backward import deviation
from certify.float32.checking import run
from certify.float32.lowering import lower_float32
from certify.frontend import load
from certify.frontend.target import model_graph
from certify.options import Options
from certify.run import Limits
from theory.targets import find_target

TARGETS = {"exp": "exp", "exp_relu": "exp", "exp4": "exp", "sin3": "sin3", "sin3_gelu": "sin3"}
TARGETS |= {"cbrt": "cbrt", "cbrt_relu": "cbrt"}
SAMPLES, POINTS, BOXES = 10_000, 17, 8


def deviations(name: str) -> str:
    """One line of the first table."""
    model = load(f"probes/zoo/{name}.pt")
    lo, hi = find_target(TARGETS[name]).domain
    generator = torch.Generator().manual_seed(2)
    t = torch.rand(SAMPLES, generator=generator, dtype=torch.float64)
    x = (lo + (hi - lo) * t).float().double()
    plain = evaluate(model.graph, x.reshape(-1, *model.inputs))["model"].reshape(-1)
    seen = float((run(model, x, 0) - plain).abs().max())
    graph = model_graph(replace(model, graph=lower_float32(model.program)), None)
    began = time.process_time()
    places = torch.linspace(lo, hi, POINTS, dtype=torch.float64)
    at = deviation(graph, torch.stack([places, places], 1), order=0, back=0)
    cells = [f"{seen:.1e}", f"{float(at.median()):.1e}, {float(at.max()):.1e}"]
    for width in (32, 128):
        start = x[:BOXES].clamp(max=hi - 1 / width)
        found = deviation(graph, torch.stack([start, start + 1 / width], 1))
        cells.append(f"{float(found.median()):.1e}, {float(found.max()):.1e}")
    ratio = float(at.median()) / seen
    seconds = (time.process_time() - began) / (POINTS + 2 * BOXES)
    return f"| {name} | " + " | ".join(cells) + f" | {ratio:.0f} | {seconds:.2f} |"


def brackets(name: str, budget: float) -> str:
    """One line of the second table."""
    options = Options(semantics="float32", limits=Limits(budget))
    report = check(f"probes/zoo/{name}.pt", TARGETS[name], options)
    real, (lo, hi) = report.float32.real, report.known.sup
    a, b = real.known.sup
    seconds = report.outcome.seconds
    return (
        f"| {name} | [{a:.6f}, {b:.6f}] | [{lo:.6f}, {hi:.6f}] | {report.float32.deviation:.1e} | "
        f"{report.float32.observed:.1e} | {real.plateaus.overall().value} | "
        f"{report.plateaus.overall().value} | {real.outcome.seconds:.0f} | {seconds:.0f} |"
    )


def main(arguments: list[str]) -> None:
    """Print the lines asked for."""
    torch.set_num_threads(1)
    checks = "--check" in arguments
    for name in [a for a in arguments if not a.startswith("-")] or list(TARGETS):
        print(brackets(name, 900.0) if checks else deviations(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
