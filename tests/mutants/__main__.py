"""python -m tests.mutants: break the code on purpose; every fault must be noticed.

Exit codes: 0 every mutant was killed, 1 some survived, 2 the data is out of date or the tests do
not pass without any fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

from tests.mutants import Mutant, mutants, titles
from tests.mutants.running import in_a_fork, outcome, scratch
from theory.files import replace_file


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose area, file or why has one")
    parser.add_argument("--list", action="store_true", help="name them and stop")
    parser.add_argument("--sample", type=int, help="so many, others every day")
    parser.add_argument("--json", metavar="PATH", help="write the counts, for docs/reliability.md")
    parser.add_argument("--no-baseline", action="store_true",
                        help="believe that the tests pass without a fault")  # fmt: skip
    options = parser.parse_args()
    chosen = [m for m in mutants() if not options.words or any(w in f"{m.area} {m.name}"
              for w in options.words)]  # fmt: skip
    if options.sample:
        day = int(time.time() // 86400)
        chosen = [chosen[(day * options.sample + i) % len(chosen)] for i in range(options.sample)]
    try:
        for mutant in chosen:
            mutant.applied()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{m.area:<11} {m.name}" for m in chosen))
        return 0
    return run(chosen, options.json, baseline=not options.no_baseline)


def run(chosen: list[Mutant], path: str | None, *, baseline: bool) -> int:
    """Run the mutants one after the other; see `main` for the exit codes."""
    said: Counter[tuple[str, str]] = Counter()
    with scratch() as root:
        if baseline:
            tests = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
            verdict, text = in_a_fork(root, tests, 3600.0)  # as the mutants are run
            if verdict != "passed":
                print(f"without any fault the tests are {verdict}:\n{text}", file=sys.stderr)
                return 2
        for number, mutant in enumerate(chosen, start=1):
            began = time.perf_counter()
            verdict, text = outcome(root, mutant, in_a_fork)
            said[mutant.area, verdict] += 1
            seconds = time.perf_counter() - began
            print(f"{number:>4}/{len(chosen)} {verdict:<9}{seconds:6.1f} s  {mutant.name}",
                  flush=True)  # fmt: skip
            if verdict == "broken":
                print(text, file=sys.stderr, flush=True)
    if path:
        write(path, said)
    alive = sum(count for (_, verdict), count in said.items() if verdict != "killed")
    print(f"{len(chosen) - alive} of {len(chosen)} mutants killed")
    return 1 if alive else 0


def write(path: str, said: Counter[tuple[str, str]]) -> None:
    """The counts, area by area."""
    names, rows = titles(), []
    for area in sorted({area for area, _ in said}):
        counts = {verdict: n for (a, verdict), n in said.items() if a == area}
        alive = sum(n for verdict, n in counts.items() if verdict != "killed")
        rows.append({"what": names[area], "tried": sum(counts.values()), "failed": alive,
                     "note": "each broken line was noticed" if not alive else ""})  # fmt: skip
    data = {"title": "Mutants: lines broken on purpose (failed: not noticed)", "rows": rows}
    replace_file(path, (json.dumps(data, indent=1) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
