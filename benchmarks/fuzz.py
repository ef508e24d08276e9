"""`python -m benchmarks.fuzz --cases N`: damaged files for every reader, results as JSON."""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

#: Shares of the cases; what is slow to read, or simple, gets fewer.
WEIGHTS = {"model": 20, "certificate": 20, "state": 12, "checkpoint": 10, "expression": 8,
           "onnx": 10, "safetensors": 8, "training checkpoint": 4, "curve": 2, "segment": 3,
           "BERT config": 1, "result of probes paper": 2}  # fmt: skip


def main() -> int:
    """Fuzz; 0 if nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", choices=WEIGHTS, help="one reader")
    parser.add_argument("--keep", type=Path, help="folder for the files of cases that fail")
    parser.add_argument("--output", type=Path, default=HERE / "reliability" / "fuzz.json")
    options = parser.parse_args()
    import torch
    from fuzzing import made, run

    torch.set_num_threads(1)
    weights = {options.only: 1} if options.only else WEIGHTS
    total = sum(weights.values())
    counts = {n: max(1, options.cases * w // total) for n, w in weights.items()}
    seeds = {n: range(options.first, options.first + c) for n, c in counts.items()}
    tried, failures = collections.Counter(), []
    slowest = collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tick = time.monotonic()
        for name, _, failure in run(made(folder), seeds, folder):
            tried[name] += 1
            now = time.monotonic()
            slowest[name], tick = max(slowest[name], now - tick), now
            if failure:
                failures.append(failure)
                print(f"{name}, case {failure.seed}: {failure.what}", flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    file = f"{name.replace(' ', '-')}-{failure.seed}"
                    (options.keep / file).write_bytes(failure.data)
    rows = [
        {"what": name, "tried": tried[name],
         "failed": sum(f.reader == name for f in failures),
         "note": f"slowest case {slowest[name]:.1f} s"}
        for name in weights
    ]  # fmt: skip
    title = "Damaged and hostile files, by reader"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    print(f"{sum(tried.values())} cases, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
