"""Where batches of boxes are enclosed: in this process, in several, or on a dask cluster.

Leaves do not depend on each other. A batch is cut into pieces by a rule that knows the graph and
nothing of who computes, so whoever does, the answer is the same, bit for bit, on processors of one
kind. What comes back is data: it is taken only in the form that was asked for, and what is lost
with a worker, or comes in another form, is computed here. Nothing is decided anywhere else.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import pickle
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from certify.graph import Graph
from certify.search import Leaves, Problem, assess

SMALL = 2**14  # entries of a graph whose batches stay whole: they take a second at most
PIECE = 5 * 2**19  # entries times boxes of one piece of the others
BLOCKS = 8  # times as long as without them, about
PATIENCE = 2.0  # seconds of work before processes are started: each imports torch first
RESTARTS = 3  # of a pool that lost a process

Answer = tuple[np.ndarray, ...]


def pieces(graph: Graph, boxes: int, deep: bool = False) -> list[slice]:
    """How a batch is cut; a function of the graph, the number of boxes and the method alone."""
    entries = sum(math.prod(node.shape) for node in graph.nodes) * (BLOCKS if deep else 1)
    size = boxes if entries < SMALL else max(1, PIECE // entries)
    size = -(-boxes // -(-boxes // size))  # no small piece at the end
    return [slice(i, min(i + size, boxes)) for i in range(0, boxes, size)]


def enclosed(
    payload: bytes, order: int, box: np.ndarray, cell: np.ndarray, enough: float, deep: bool
) -> Answer:
    """One piece, in a worker: the fields of its leaves, in their order.

    Args:
        payload: a pickled problem, from the process that started the search and from nobody else.
        order: of the polynomials.
        box, cell, enough, deep: see `certify.search.assess`.
    """
    with _ONE:
        torch.set_num_threads(1)
        problem = replace(_problem(payload), order=order)
        place = torch.from_numpy(box.copy()), torch.from_numpy(cell.copy())
        leaves = assess(problem, *place, enough, deep=deep)
    return tuple(getattr(leaves, f.name).numpy() for f in fields(Leaves))


_ONE = threading.Lock()  # Arb's precision belongs to the process, so threads take turns


@functools.lru_cache(maxsize=4)
def _problem(payload: bytes) -> Problem:
    return pickle.loads(payload)


def received(answer: object, box: Tensor, like: Leaves) -> Leaves | None:
    """A worker's answer as leaves, or None unless it has the form that was asked for.

    Args:
        answer: whatever came back.
        box: the boxes that were sent.
        like: leaves of the same number, whose types and shapes the new ones must have.
    """
    names = [f.name for f in fields(Leaves)]
    if not isinstance(answer, tuple) or len(answer) != len(names):
        return None
    parts = []
    for name, array in zip(names, answer, strict=True):
        old = getattr(like, name)
        if not isinstance(array, np.ndarray) or array.dtype != old.numpy().dtype:
            return None
        if array.shape != tuple(old.shape):
            return None
        parts.append(torch.from_numpy(array.copy()))
    leaves = Leaves(*parts)
    same = torch.equal(leaves.box, box) and torch.equal(leaves.cell, like.cell)
    lo, hi = leaves.bounds[:, 0], leaves.bounds[:, 1]
    return leaves if same and bool((lo <= hi).all()) else None  # nan is not <= anything


class Workers(ABC):
    """Encloses batches of boxes."""

    def __call__(
        self, problem: Problem, box: Tensor, old: Leaves, enough: float, *, deep: bool = False
    ) -> Leaves:
        """The leaves of `box`; `old` are those of the parents, one for each box."""
        parts = pieces(problem.graph, len(box), deep)
        here = [
            functools.partial(assess, problem, box[p], old.cell[p], enough, deep=deep)
            for p in parts
        ]
        if len(parts) == 1 or not self.ready():
            answers: Iterable[Leaves | None] = [None] * len(parts)
        else:
            asked = [
                (problem.order, box[p].numpy(), old.cell[p].numpy(), enough, deep) for p in parts
            ]
            found = self.answers(problem, asked, here)
            answers = [
                a if isinstance(a, Leaves) else received(a, box[p], old.take(_indices(p)))
                for a, p in zip(found, parts, strict=True)
            ]
        done = [a if a is not None else compute() for a, compute in zip(answers, here, strict=True)]
        return functools.reduce(Leaves.join, done)

    @abstractmethod
    def ready(self) -> bool:
        """Whether somebody else can help now."""

    @abstractmethod
    def answers(
        self, problem: Problem, asked: list[tuple], here: list[Callable[[], Leaves]]
    ) -> list[object]:
        """What came back for each piece, unchecked; leaves for those computed here; or None."""

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Let go of whatever was started."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _indices(part: slice) -> Tensor:
    return torch.arange(part.start, part.stop)


class Here(Workers):
    """This process alone."""

    def ready(self) -> bool:
        return False

    def answers(self, problem: Problem, asked: list[tuple], here: list) -> list[object]:
        raise AssertionError("never ready")


class Payloads:
    """Problems as bytes, made once for every graph; the order travels by itself."""

    def __init__(self) -> None:
        self.known: list[tuple[Problem, bytes]] = []

    def of(self, problem: Problem) -> bytes:
        names = [f.name for f in fields(Problem) if f.name != "order"]
        for known, payload in self.known:
            if all(getattr(known, name) is getattr(problem, name) for name in names):
                return payload
        payload = pickle.dumps(problem)
        self.known = [*self.known[-3:], (problem, payload)]
        return payload


class Processes(Workers):
    """This process and `count` - 1 others, started once the work has lasted a while."""

    def __init__(self, count: int, patience: float = PATIENCE) -> None:
        self.count = count - 1
        self.began, self.patience = time.perf_counter(), patience
        self.payloads = Payloads()
        self.pool: ProcessPoolExecutor | None = None
        self.starting: list[Future] = []
        self.left = 1 + RESTARTS

    def ready(self) -> bool:
        """Whether all processes are up; starts them when it is time."""
        if self.count < 1 or time.perf_counter() - self.began < self.patience:
            return False
        if self.pool is None:
            if not self.left:
                return False
            self.left -= 1
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(self.count, context, initializer=_deaf)
            self.starting = [self.pool.submit(torch.get_num_threads) for _ in range(self.count)]
        if any(f.done() and f.exception() for f in self.starting):
            self._lost()
            return False
        return all(f.done() for f in self.starting)

    def answers(self, problem: Problem, asked: list[tuple], here: list) -> list[object]:
        """The others begin at the front, this process at the end.

        Nothing is cancelled: a pool that breaks with cancelled tasks in it hangs (Python 3.11).
        """
        payload, found = self.payloads.of(problem), [None] * len(asked)
        waiting = list(range(len(asked)))
        futures: dict[int, Future] = {}

        def feed() -> None:
            while waiting and sum(not f.done() for f in futures.values()) < 2 * self.count:
                futures[waiting[0]] = self.pool.submit(enclosed, payload, *asked[waiting[0]])
                del waiting[0]

        try:
            feed()
            while waiting:
                i = waiting.pop()
                found[i] = here[i]()
                feed()
            for i, future in futures.items():
                found[i] = future.result()
        except BrokenProcessPool:
            self._lost()
        return found

    def _lost(self) -> None:
        self.close()
        self.pool = None

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)


def _deaf() -> None:
    """Ctrl-C reaches every process of a terminal; only the one that searches answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
