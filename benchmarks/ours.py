"""One fresh process of ours: `python -m benchmarks.ours INSTANCE` or `... forward MODEL`.

Prints one JSON object. Run by `benchmarks.run`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.instances import INSTANCES, Instance, find
from certify.checking import check
from certify.domains.taylor import Taylor
from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.target import compare
from certify.options import Options, partition
from certify.run import Limits
from certify.search import Problem, forward
from theory.targets import find_target

POINTS = 64  # boxes or points of one batch
ROUNDS = 15


def searched(instance: Instance, budget: float) -> dict:
    """Check once; its seconds are those of the search, its CPU seconds those of all of `check`."""
    options = Options(gap=instance.gap, limits=Limits(budget))
    wall, cpu = time.perf_counter(), time.process_time()
    report = check(str(instance.path), instance.target, options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    outcome = report.outcome
    low, high = outcome.known.sup
    return {
        "closed_after": outcome.closed_after,
        "search_seconds": outcome.seconds,
        "check_seconds": wall,
        "check_cpu": cpu,
        "stopped_by": outcome.stopped_by,
        "boxes": outcome.state.boxes,
        "leaves": len(outcome.state.leaves),
        "sup": [low, high],
        "gap": high / low - 1,
    }


def median_time(work: Callable[[], object]) -> float:
    """Median CPU seconds of one call, after one that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def forwards(model: str) -> dict:
    """CPU seconds of one enclosed batch and of one float64 batch of the same graph."""
    instance = next(i for i in INSTANCES if i.model == model)
    target = find_target(instance.target)
    graph = compare(load(instance.path), target.expression, None)
    cells = partition(*target.domain, Options(cells=POINTS))
    problem = Problem(graph, cells)
    domain = Taylor(problem.order)
    points = cells.mean(1).reshape(-1, *graph.input_shape)
    enclosed = median_time(lambda: forward(problem, domain, cells))
    plain = median_time(lambda: evaluate(graph, points))
    return {"order": problem.order, "batch": POINTS, "enclosure_cpu": enclosed, "plain_cpu": plain}


def main(arguments: list[str]) -> None:
    """Run what the arguments name and print it."""
    torch.set_num_threads(1)
    if arguments[0] == "forward":
        print(json.dumps(forwards(arguments[1])))
        return
    instance, budget = find(arguments[0]), float(arguments[1])
    print(json.dumps({"cold": searched(instance, budget), "warm": searched(instance, budget)}))


if __name__ == "__main__":
    main(sys.argv[1:])
