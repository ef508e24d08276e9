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

#: Kills that take little time; of everything else there is one trial for SHARE of these.
OFTEN = ("kill -9 while searching (--resume)", "kill -9 while writing a file")
SHARE = 5


def main() -> int:
    """Run the trials; 0 if nothing failed."""
    from faulty import TRIALS, Task, World, run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TRIALS)
    parser.add_argument("--quick", action="store_true", help="a smaller model to search")
    parser.add_argument("--output", type=Path, default=HERE / "reliability" / "faults.json")
    options = parser.parse_args()
    counts = {
        name: options.trials if name in OFTEN else max(1, options.trials // SHARE)
        for name in TRIALS
        if options.only in (None, name)
    }
    zoo = Task(HERE.parent / "probes" / "zoo" / "sin3.pt", "sin(3*x)", 32, 1e-7)
    task = Task() if options.quick else zoo
    rows, bad = [], 0
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), task)
        for name, count in counts.items():
            failed, notes = 0, []
            for number, wrong, note in run(world, name, count, options.seed):
                notes.append(note)
                if wrong:
                    failed += 1
                    print(f"{name}, trial {number}: {wrong}", flush=True)
            row = {"what": name, "tried": count, "failed": failed, "note": summary(notes)}
            print("{what}: {tried} tried, {failed} failed; {note}".format(**row), flush=True)
            rows.append(row)
            bad += failed
            title = "Processes killed, interrupted and starved, by what was done to them"
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    print(f"{sum(counts.values())} trials, {bad} failed")
    return 1 if bad else 0


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
