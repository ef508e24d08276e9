"""What `probes run` finds on the zoo: `python -m benchmarks.probing [SECONDS] [NAMES]`, two tables.

SECONDS is the budget of the clock for values, and again for slopes: more where others work on the
machine too.

First: comparisons, violations (a violation would end the run), how many comparisons had no finite
bound to be held against, and the seconds of both sides, without the start of Python. Then what was
found.
"""

from __future__ import annotations

import sys
import time

import torch

from certify.options import Options
from certify.report.numbers import interval
from certify.run import Limits
from probes.intervals import compared, ratios
from probes.running import Probing, run
from probes.zoo.make import ZOO, path
from theory.targets import find_target

BUDGET = 3.0  # the default of `probes run`


def probed(name: str, budget: float) -> tuple[Probing, float, float]:
    """One model, with CPU seconds and seconds of the clock."""
    began = time.process_time(), time.perf_counter()
    found = run(str(path(name)), find_target(ZOO[name].target), Options(limits=Limits(budget)))
    return found, time.process_time() - began[0], time.perf_counter() - began[1]


def checked(name: str, found: Probing, spent: float, clock: float) -> str:
    """One line of the first table."""
    count, idle = (sum(getattr(h, part) for h in found.held) for part in ("count", "idle"))
    d = found.differences
    n, width = len(d.x), d.certified[1] - d.certified[0]
    return (
        f"| {name} | {count} | 0 | {idle} | {int(d.inside.sum())} of {n} | "
        f"{int(d.agrees.sum())} of {n} | {float(width.max()):.2g} | {spent:.1f} | {clock:.1f} |"
    )


def told(name: str, found: Probing) -> str:
    """One line of the second table."""
    cut, s = found.changes, found.spectrum
    ratio = ratios(found.intervals)[found.report.plateaus.deciding]
    least = f"{float(ratio.min()):.3f}" if len(ratio) else "no cell decides"
    reached = 100 * float(found.extremes.proved.max()) / found.report.known.sup[0]
    tight = 100 * float(compared(found.report.known, found.intervals).min())
    step = "" if found.step is None else f"{found.step:.2g}"
    lo, hi, _ = found.report.longest
    top = max((float(a.most.max()) for a in found.attention), default=float("nan"))
    return (
        f"| {name} | {interval(*found.report.known.sup, most=5)} | {reached:.4f} % | "
        f"{least} | {tight:.2f} % | {len(cut.values)}, {len(cut.slopes)} | "
        f"{len(cut.plateaus)} | {interval(lo, hi, most=4)} | {step} | "
        f"{s.dominant:.3g} | {top:.3f} |"
    )


def main(words: list[str]) -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    budget = float(words.pop(0)) if words and words[0] not in ZOO else BUDGET
    done = [(name, *probed(name, budget)) for name in words or ZOO]
    print("| model | comparisons | violations | of no finite bound | differences inside | "
          "autograd agrees | widest enclosure | CPU s | clock s |")  # fmt: skip
    print("|" + "---|" * 9)
    for row in done:
        print(checked(*row))
    print("\n| model | sup error, proved | multistart reaches | least oscillation / target's | "
          "of the proved variation sampled | segments | plateaus | longest, proved | delta* | "
          "periods in a unit | largest attention |")  # fmt: skip
    print("|" + "---|" * 11)
    for name, found, *_ in done:
        print(told(name, found))


if __name__ == "__main__":
    main(sys.argv[1:])
