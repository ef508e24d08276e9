"""The peer's search: `python -m benchmarks.peer INSTANCE SECONDS`, in its own environment.

Bounds model - target over intervals by CROWN (auto_LiRPA, backward mode, float64, rounding not
covered) and splits until every bound is below (1 + gap) times the largest sampled error, or the
CPU seconds are spent. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import sys
import time

import torch
from torch import Tensor

from benchmarks.instances import Instance, find
from benchmarks.peer_model import Difference, load
from benchmarks.peer_setup import (
    VERSION,
    BoundedModule,
    BoundedTensor,
    PerturbationLpNorm,
    bounded,
)

GRID = 8193  # float64 samples of the error: the lower end of the bracket
WAYS = 8  # most parts of one interval
SMALLEST = 1e-12


def errors(net: BoundedModule, low: Tensor, high: Tensor) -> Tensor:
    """Bounds on |difference| over intervals, (B,); inf where there is none."""
    low, high = low[:, None], high[:, None]
    ball = PerturbationLpNorm(norm=math.inf, x_L=low, x_U=high)
    lower, upper = net.compute_bounds(x=(BoundedTensor((low + high) / 2, ball),), method="CROWN")
    bound = torch.maximum(-lower, upper).reshape(-1)
    return torch.where(bound.isnan(), math.inf, bound)


def sampled(net: Difference, low: Tensor, high: Tensor) -> Tensor:
    """Largest |difference| at five points of each interval, (B,)."""
    t = torch.linspace(0, 1, 5)
    x = low[:, None] + (high - low)[:, None] * t
    return net(x.reshape(-1, 1)).abs().reshape(x.shape).amax(1)


def parts(excess: float, room: float) -> int:
    """How many parts an interval needs if the relaxation's excess falls with the square."""
    if not (math.isfinite(excess) and room > 0):
        return WAYS if math.isfinite(excess) else 4
    return max(2, min(WAYS, math.ceil(math.sqrt(excess / room))))


def search(instance: Instance, budget: float) -> dict:
    """Close the bracket, leftmost intervals first, so that a stopped search covers a part."""
    plain = load(instance)
    net = bounded(plain)
    wall, cpu = time.perf_counter(), time.process_time()
    best = float(plain(torch.linspace(-1, 1, GRID)[:, None]).abs().max())
    edges = torch.linspace(-1, 1, instance.first + 1).tolist()
    todo = list(zip(edges[:-1], edges[1:], strict=True))[::-1]  # a stack, leftmost on top
    boxes = leaves = 0
    covered = worst = 0.0
    while todo and time.process_time() - cpu < budget:
        taken = [todo.pop() for _ in range(min(instance.batch, len(todo)))]
        low, high = torch.tensor(taken).T
        bound, value = errors(net, low, high), sampled(plain, low, high)
        boxes += len(taken)
        best = max(best, float(value.max()))  # a kink's peak may lie between the first samples
        goal = (1 + instance.gap) * best
        rows = list(zip(taken, bound.tolist(), value.tolist(), strict=True))
        for (a, b), top, inner in reversed(rows):
            if top <= goal or b - a < SMALLEST:
                covered, leaves, worst = covered + (b - a), leaves + 1, max(worst, top)
                continue
            count = parts(top - inner, goal - inner)
            cuts = [a + (b - a) * k / count for k in range(count)] + [b]
            todo += list(zip(cuts[:-1], cuts[1:], strict=True))[::-1]
    return {
        "version": VERSION,
        "torch": torch.__version__,
        "cpu": time.process_time() - cpu,
        "seconds": time.perf_counter() - wall,
        "closed": not todo and worst <= (1 + instance.gap) * best,
        "covered": covered / 2,
        "boxes": boxes,
        "leaves": leaves,
        "sup": [best, worst if not todo else None],
        "batch": instance.batch,
    }


def main(arguments: list[str]) -> None:
    """Run the instance that the arguments name and print what came of it."""
    print(json.dumps(search(find(arguments[0]), float(arguments[1]))))


if __name__ == "__main__":
    main(sys.argv[1:])
