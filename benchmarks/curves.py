"""A full transformer along curves through its data: `python -m benchmarks.curves [COUNT]`, a table.

Two nn.Transformer (encoder and decoder, 2 + 2 layers, d = 4) are trained on the paper's scheme one:
`fair`, with linear head and width 4d + 2, and `obstructed`, which ends in a LayerNorm over d
features. Each is certified along COUNT curves (20), tokens (s^3, s) with s affine in t for each
coordinate, output 0, gap 1 %.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from certify import load
from certify.checking import check
from certify.frontend.curve import along, curve
from certify.options import Options
from certify.run import Limits
from theory.curves import target_along

D = 4


def drawn(numbers: random.Random) -> str:
    """Tokens (s^3, s), s = a + b t with |a| + |b| <= 1 and two decimals, for each coordinate."""
    lines = []
    for _ in range(D):
        a = numbers.randint(-50, 50)
        b = numbers.choice([-1, 1]) * numbers.randint(10, 100 - abs(a))
        lines.append(f"({a / 100}+({b / 100})*t)")
    return ",".join([f"{s}^3" for s in lines] + lines)


def row(recipe: str, path: Path, count: int) -> str:
    """One model along all curves."""
    numbers, model = random.Random(0), load(path)
    seconds, closed, worst, verdicts, readout = [], 0, [], [], None
    for _ in range(count):
        way = curve(drawn(numbers))
        target = target_along("scheme-one", way.texts, 0)
        began = time.perf_counter()
        report = check(along(model, way), target, Options(output=0, limits=Limits(30)))
        seconds.append(time.perf_counter() - began)
        closed += report.closed
        worst.append(report.known.sup)
        verdicts.append(report.plateaus.overall().value)
        readout = report.structure.readout
    lo, hi = max(worst, key=lambda pair: pair[1])
    what = "head" if readout and readout.head else f"LayerNorm, C1: {readout.range}"
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in sorted(set(verdicts)))
    return (
        f"| {recipe} | {what} | {closed} of {count} | {statistics.median(seconds):.1f} "
        f"({max(seconds):.1f}) | [{lo:.4g}, {hi:.4g}] | {counts} |"
    )


def main(count: int = 20) -> int:
    """Train both, certify both."""
    torch.set_num_threads(1)
    print("| recipe | ends in | closed to 1 % | s, median (most) | worst sup error | 0.1-plateau |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for recipe in ("fair", "obstructed"):
            path = Path(folder) / f"{recipe}.pt"
            command = [sys.executable, "-m", "probes", "train", "--target", "scheme-one"]
            options = ["-d", str(D), "--recipe", recipe, "-o", str(path)]
            subprocess.run(command + options, check=True, capture_output=True)
            print(row(recipe, path, count), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
