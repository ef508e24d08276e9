"""Do processes pay? The same enclosures with one more: `python -m benchmarks.jobs`.

CPU seconds, which do not depend on what else the machine does. With a core for each process the
longest of them is what the wall clock would show.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

import certify
from certify.frontend.target import compare
from certify.search import Problem, start, step
from certify.workers import Here, Processes, Workers, pieces
from theory.targets import find_target

MODELS = {"exp": "exp", "sin3": "sin3", "exp4": "exp"}
BOXES = 256


def problem(name: str) -> Problem:
    """A model of the zoo against its target, on one cell."""
    model, target = certify.load(f"probes/zoo/{name}.pt"), find_target(MODELS[name])
    cells = torch.tensor([target.domain], dtype=torch.float64)
    return Problem(compare(model, target.expression, None), cells)


def spent(question: Problem, workers: Workers | None, clocks: list[Callable[[], float]]) -> float:
    """CPU seconds of the busiest process, to enclose BOXES fresh boxes."""
    state = start(question, BOXES)
    began = [clock() for clock in clocks]
    step(question, state, torch.arange(len(state.leaves)), 0.0, by=workers)
    return max(clock() - b for clock, b in zip(clocks, began, strict=True))


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with Processes(2, patience=0.0) as pool:
        while not pool.ready():
            time.sleep(0.05)
        clocks = [time.process_time, lambda: pool.pool.submit(time.process_time).result()]
        print(f"A process that is ready has spent {clocks[1]():.1f} s\n")
        print("| model | pieces | one batch, s | in pieces, s | two processes, s | gain |")
        print("|---|---|---|---|---|---|")
        for name in MODELS:
            question = problem(name)
            count = len(pieces(question.graph, BOXES))
            for workers in (None, pool):
                spent(question, workers, clocks)
            times = [
                min(spent(question, w, clocks) for _ in range(3)) for w in (None, Here(), pool)
            ]
            shown = " | ".join(f"{t:.2f}" for t in times)
            print(f"| {name} | {count} | {shown} | {times[0] / times[2]:.2f} |")


if __name__ == "__main__":
    main()
