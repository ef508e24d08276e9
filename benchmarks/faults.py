"""`python -m benchmarks.faults --trials N`: processes killed and starved, results as JSON."""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))


def main() -> int:
    """Run the trials; 0 if nothing failed."""
    from faulty import TRIALS, Task, run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TRIALS)
    parser.add_argument("--output", type=Path, default=HERE / "reliability" / "faults.json")
    options = parser.parse_args()
    counts = {name: options.trials for name in TRIALS if options.only in (None, name)}
    failed, notes = collections.Counter(), collections.defaultdict(list)
    task = Task(HERE.parent / "probes" / "zoo" / "sin3.pt", "sin(3*x)", 32, 1e-7)
    with tempfile.TemporaryDirectory() as folder:
        for name, number, wrong, note in run(counts, Path(folder), task, options.seed):
            notes[name].append(note)
            if wrong:
                failed[name] += 1
                print(f"{name}, trial {number}: {wrong}", flush=True)
    rows = [{"what": name, "tried": count, "failed": failed[name], "note": summary(notes[name])}
            for name, count in counts.items()]  # fmt: skip
    title = "Processes killed, interrupted and starved, by what was done to them"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    print(f"{sum(counts.values())} trials, {sum(failed.values())} failed")
    return 1 if failed else 0


def summary(notes: list[str]) -> str:
    """Equal notes counted; of notes with a number of lost seconds the largest."""
    lost = [float(note.split()[1]) for note in notes if note.startswith("lost ")]
    counted = collections.Counter(n for n in notes if n and not n.startswith("lost "))
    parts = [f"{count} x {note}" for note, count in counted.most_common(6)]
    if lost:
        parts.insert(0, f"{len(lost)} kills, work lost at most {max(lost):.1f} s")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
