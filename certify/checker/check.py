"""The whole check of a certificate: coverage, numbers, claims, points, leaves."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from certify.certificate import Certificate, Leaf, Point
from certify.certificate.reading import read
from certify.checker.evaluate import Evaluator
from certify.checker.frame import SLOPES, Rejected, check_frame
from certify.checker.prove import prove_leaf, prove_point
from theory.errors import BadRequest


@dataclass(frozen=True)
class Result:
    """What became of a certificate: why it was rejected, how many of its leaves were proved, how
    many inequalities by which judge, in how many pieces, how many points, and the seconds taken."""

    accepted: bool
    reason: str
    checked: int
    leaves: int
    judged: Counter[str]
    seconds: float


def verify(
    certificate: Certificate | str | os.PathLike[str],
    jobs: int | None = None,
    sample: float = 1.0,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Prove everything that a certificate says.

    Args:
        certificate: the file, or as read.
        jobs: processes; as many as there are cores by default.
        sample: part of the leaves to prove, chosen at random; the rest is believed.
        watch: told how many leaves are proved, of how many.

    Raises:
        UnreadableFile: there is no such file, or it is no certificate.
        BadRequest: jobs is below 1, or sample not above 0 and at most 1.
    """
    if not 0 < sample <= 1 or (jobs is not None and jobs < 1):
        raise BadRequest(f"--sample must be in (0, 1], not {sample}; --jobs at least 1, not {jobs}")
    if not isinstance(certificate, Certificate):
        certificate = read(certificate)
    began, judged, reason = time.perf_counter(), Counter(), ""
    leaves: list[tuple[str, Leaf]] = []
    try:
        leaves = chosen = check_frame(certificate)
        if sample < 1:
            count = math.ceil(sample * len(leaves))
            chosen = [leaves[i] for i in sorted(random.sample(range(len(leaves)), count))]
        for reason, part in _run(
            certificate, _points(certificate) + chosen, jobs or os.cpu_count() or 1
        ):
            judged += part
            watch(judged["leaves"], len(chosen))
            if reason:
                break
        if not reason and judged["leaves"] != len(chosen):
            reason = "not every leaf was looked at"
    except Rejected as why:
        reason = str(why)
    seconds = time.perf_counter() - began
    return Result(not reason, reason, judged["leaves"], len(leaves), judged, seconds)


def _points(certificate: Certificate) -> list[tuple[str, Point]]:
    slopes = certificate.slopes.points if certificate.slopes else ()
    named = (("points", certificate.points), (SLOPES + "points", slopes))
    return [(f"{name}[{i}]", point) for name, many in named for i, point in enumerate(many)]


def _run(certificate: Certificate, tasks: list, jobs: int) -> Iterator[tuple[str, Counter]]:
    """Outcomes of chunks of tasks, in order, so that the first failure is the one reported."""
    size = max(4, len(tasks) // 4096)
    chunks = [tasks[i : i + size] for i in range(0, len(tasks), size)]
    if jobs == 1 or len(chunks) == 1:
        _prepare(certificate)
        yield from map(_work, chunks)
        return
    fork = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context(fork), _prepare, (certificate,))
    try:
        yield from pool.map(_work, chunks)
    except BrokenProcessPool:
        raise Rejected("a worker process ended before its leaves were proved") from None
    finally:
        pool.shutdown(cancel_futures=True)


EVALUATOR: list[Evaluator] = []  # of this process


def _prepare(certificate: Certificate) -> None:
    EVALUATOR[:] = [Evaluator(certificate, slopes) for slopes in (False, True)]


def _work(chunk: list[tuple[str, Leaf | Point]]) -> tuple[str, Counter]:
    """Prove a few leaves and points; whatever goes wrong is a reason to reject."""
    judged: Counter[str] = Counter()
    for where, item in chunk:
        evaluator = EVALUATOR[where.startswith(SLOPES)]
        try:
            if isinstance(item, Point):
                prove_point(evaluator, item, where)
                judged["points"] += 1
            else:
                judged += prove_leaf(evaluator, item, where)
                judged["leaves"] += 1
        except Rejected as why:
            return str(why), judged
        except Exception as problem:
            return f"{where}: the proof broke off: {problem!r}", judged
    return "", judged
