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

from certify.certificate import SLOPES, Bundle, Certificate, Leaf, Point
from certify.certificate.reading import read
from certify.certificate.words import Result
from certify.checker.evaluate import Evaluator
from certify.checker.frame import Rejected, check_bundle, check_frame
from certify.checker.prove import prove_leaf, prove_point
from theory.errors import BadRequest


def verify(
    certificate: Certificate | Bundle | str | os.PathLike[str],
    jobs: int | None = None,
    sample: float = 1.0,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Prove everything that a certificate says, or a bundle of them.

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
    if not isinstance(certificate, Certificate | Bundle):
        certificate = read(certificate)
    if isinstance(certificate, Bundle):
        return _every(certificate, lambda part, told: verify(part, jobs, sample, told), watch)
    began, judged, reason, leaves = time.perf_counter(), Counter(), "", []
    try:
        leaves = chosen = check_frame(certificate)
        if sample < 1:
            count = math.ceil(sample * len(leaves))
            chosen = [leaves[i] for i in sorted(random.sample(range(len(leaves)), count))]
        tasks = certificate.named_points + chosen
        for reason, part in _run(certificate, tasks, jobs or os.cpu_count() or 1):
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


def _every(bundle: Bundle, prove: Callable[..., Result], watch: Callable[..., None]) -> Result:
    """All parts one after the other, then what is stated of them together."""
    judged, seconds, reason, total = Counter(), 0.0, "", bundle.leaves
    try:
        for name, part in bundle.every:
            done = judged["leaves"]
            found = prove(part, lambda now, _, done=done: watch(done + now, total))
            judged, seconds = judged + found.judged, seconds + found.seconds
            if not found.accepted:
                raise Rejected(f"{name}: {found.reason}")
        check_bundle(bundle)
    except Rejected as why:
        reason = str(why)
    return Result(not reason, reason, judged["leaves"], total, judged, seconds)


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
