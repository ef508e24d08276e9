"""The scalar suite: 48 trained encoders, each to three gaps.

Encoders of 2, 4 and 6 layers, widths 16 to 128, GELU and ReLU, LayerNorm after and before the
blocks, 4 tokens, 4 heads, feed-forward twice as wide, are trained on sin(3 x) for a few hundred
steps, and the bracket of sup |model - target| on [-1, 1] is closed to 1e-2, 1e-3 and 1e-5. A gap
that is not reached within the budget is the last one tried of a model.

    python -m benchmarks.scalar train FOLDER          the models: about ten minutes
    python -m benchmarks.scalar run FOLDER            the searches, stored in scalar.json
        --budget 60  --repeat 1  --only TEXT
    python -m benchmarks.scalar table                 write docs/performance.md's table again
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import between, table
from theory.files import replace_file

HERE = Path(__file__).parent
STORED, PAGE = HERE / "scalar.json", HERE.parent / "docs" / "performance.md"
TARGET = "sin3"
GAPS = (1e-2, 1e-3, 1e-5)
STEPS, RATE, DECAY = 400, 1e-3, 0.1
LAYERS, WIDTHS, ACTIVATIONS, NORMS = (2, 4, 6), (16, 32, 64, 128), ("gelu", "relu"), ("post", "pre")


@dataclass(frozen=True)
class Encoder:
    """One of the suite's models."""

    layers: int
    width: int
    activation: str
    norm: str

    @property
    def name(self) -> str:
        """Also the model file's."""
        return f"{self.layers}x{self.width}-{self.activation}-{self.norm}"


SUITE = tuple(itertools.starmap(Encoder, itertools.product(LAYERS, WIDTHS, ACTIVATIONS, NORMS)))


def train(encoder: Encoder, folder: Path) -> None:
    """The model file, unless it is there."""
    import torch

    import certify
    from probes.encoder import EncoderConfig
    from probes.training import Options
    from probes.training import train as fit
    from theory.targets import find_target

    path = folder / f"{encoder.name}.pt"
    if path.exists():
        return
    torch.set_num_threads(1)
    e = encoder
    config = EncoderConfig(e.layers, e.width, 4, 2 * e.width, 4, e.activation, e.norm)
    options = Options(steps=STEPS, polish=0, rate=RATE, decay=DECAY)
    model, report = fit(config, find_target(TARGET), options=options)
    certify.export(model, torch.zeros(1, 1), path)
    print(f"{e.name}: {report.sup_error:.3g}, {report.seconds:.0f} s", file=sys.stderr, flush=True)


def searched(path: Path, gap: float, budget: float) -> dict:
    """One search for the sup error alone, on one thread, in this process."""
    import torch

    import certify
    from certify.frontend.target import compare
    from certify.goal import Goal
    from certify.options import Options, partition
    from certify.run import Limits, search
    from certify.search import Problem
    from theory.targets import find_target

    torch.set_num_threads(1)
    target = find_target(TARGET)
    graph = compare(certify.load(path), target.expression, None)
    problem = Problem(graph, partition(*target.domain, Options(cells=32)))
    cpu = time.process_time()
    out = search(problem, Goal(gap=gap, cells=False, plateaus=False), Limits(budget))
    low, high = out.known.sup
    return {
        "gap": gap,
        "seconds": out.closed_after,
        "cpu": time.process_time() - cpu,
        "boxes": out.state.boxes,
        "lo": low,
        "hi": high,
        "stopped_by": out.stopped_by,
    }


def run(encoder: Encoder, folder: Path, budget: float, repeat: int) -> list[dict]:
    """Medians over fresh processes, gap by gap, up to the first that is not reached."""
    rows = []
    for gap in GAPS:
        command = [sys.executable, "-m", "benchmarks.scalar", "one", str(folder),
                   "--only", encoder.name, "--gap", str(gap), "--budget", str(budget)]  # fmt: skip
        env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        runs = []
        for _ in range(repeat):
            done = subprocess.run(command, cwd=HERE.parent, env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        row = runs[-1] | {"budget": budget, "load": os.getloadavg()[0]}
        if all(r["seconds"] is not None for r in runs):
            row["seconds"] = statistics.median(r["seconds"] for r in runs)
        else:
            row["seconds"] = None
        rows.append(row)
        said = "open" if row["seconds"] is None else f"{row['seconds']:.2f} s"
        print(
            f"{encoder.name}, {gap:.0e}: {said}, {row['boxes']} boxes", file=sys.stderr, flush=True
        )
        if row["seconds"] is None:
            break
    return rows


def tables(stored: dict) -> list[str]:
    """The table of docs/performance.md."""
    found, rows = stored["encoders"], []
    for layers, width in itertools.product(LAYERS, WIDTHS):
        cells = [f"{layers} x {width}"]
        for activation, norm in itertools.product(ACTIVATIONS, NORMS):
            cells.append(_cell(found.get(Encoder(layers, width, activation, norm).name, [])))
        rows.append(cells)
    head = ["layers x width", *(f"{a}, {n}" for a, n in itertools.product(ACTIVATIONS, NORMS))]
    m = stored["machine"]
    runs = [r for encoder in found.values() for r in encoder]
    budgets, loads = ([r[k] for r in runs if k in r] for k in ("budget", "load"))
    note = (
        f"Seconds to 1e-2 / 1e-3 / 1e-5, one thread, budget {min(budgets):.0f} to "
        f"{max(budgets):.0f} s, load average {min(loads):.1f} to {max(loads):.1f} where it was "
        "taken down, "
        f"{'one run' if stored['repeat'] == 1 else 'median of ' + str(stored['repeat'])}; "
        f"{m['cpu']}, {m['cores']} cores, torch {m['torch']}, {stored['date']}. "
        "A percentage is the gap that was left, and open a bound that is no use yet."
    )
    return ["", note, "", *table(head, rows)]


def _cell(runs: list[dict]) -> str:
    if not runs:
        return ""
    parts = []
    for r in runs:
        if r["seconds"] is not None:
            parts.append(f"{r['seconds']:.2g}" if r["seconds"] < 100 else f"{r['seconds']:.0f}")
        elif r["hi"] < 10 * r["lo"]:
            parts.append(f"{100 * (r['hi'] / r['lo'] - 1):.2g} %")
        else:
            parts.append("open")
    return " / ".join(parts)


def page(text: str, stored: dict) -> str:
    """docs/performance.md with the table of what is stored."""
    return between(text, tables(stored), "scalar")


def main() -> None:
    """Train, run, or write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scalar", description=__doc__)
    parser.add_argument("what", choices=("train", "run", "one", "table"))
    parser.add_argument("folder", type=Path, nargs="?", help="of the model files")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of a search (60)")
    parser.add_argument("--repeat", type=int, default=1, help="searches of each kind (1)")
    parser.add_argument("--only", default="", help="part of the models' names")
    parser.add_argument("--gap", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = [e for e in SUITE if options.only in e.name]
    if options.what == "one":
        (path,) = (options.folder / f"{e.name}.pt" for e in chosen if e.name == options.only)
        print(json.dumps(searched(path, options.gap, options.budget)))
    elif options.what == "train":
        options.folder.mkdir(parents=True, exist_ok=True)
        for encoder in chosen:
            train(encoder, options.folder)
    elif options.what == "run":
        stored = json.loads(STORED.read_text()) if STORED.exists() else {"encoders": {}}
        stored |= {"machine": machine(), "date": time.strftime("%Y-%m-%d"),
                   "repeat": options.repeat}  # fmt: skip
        for encoder in chosen:
            found = run(encoder, options.folder, options.budget, options.repeat)
            stored["encoders"][encoder.name] = found
            replace_file(STORED, (json.dumps(stored, indent=1) + "\n").encode())
    if options.what in ("run", "table"):
        replace_file(PAGE, page(PAGE.read_text(), json.loads(STORED.read_text())).encode())


def machine() -> dict:
    """What the seconds depend on."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": importlib.metadata.version("torch"),
    }


if __name__ == "__main__":
    main()
