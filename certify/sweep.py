"""Many models against one target: a row each, kept, so that a sweep started again goes on.

A row is plain data. It is kept in a folder under the digest of everything it depends on: the bytes
of the model file, the target, the options, and the versions of what computed. What failed for a
reason that may pass, such as a process that died, is not kept.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from certify.checking import Report, check
from certify.errors import BadRequest, PlateauError
from certify.frontend.agree import InternalError
from certify.options import Options
from certify.report.data import guaranteed, versions
from certify.sources import sources
from theory.files import replace_file
from theory.targets import Target

Row = dict[str, Any]

SCHEMA = "certify-sweep/1"
WORDS = {
    0: "PROVED",
    1: "REFUTED",
    2: "UNREADABLE",
    3: "UNDECIDED",
    4: "UNSUPPORTED",
    5: "FAILED",
}
#: Exit codes, the worst first: what went wrong, then what is refuted, then what is not known.
WORST = (5, 4, 2, 1, 3, 0)
BLOCK = 2**20


@dataclass(frozen=True)
class Job:
    """One model to check."""

    path: str
    target: Target
    options: Options


def worst(codes: Sequence[int]) -> int:
    """The exit code of a sweep."""
    return min(codes, key=WORST.index)


def asked(options: Options) -> dict[str, Any]:
    """The options as plain data, without who computes."""
    plain = {f.name: getattr(options, f.name) for f in fields(Options) if f.name != "limits"}
    return plain | {"budget": options.limits.budget, "memory": options.limits.memory}


def digest(job: Job) -> tuple[str | None, str | None]:
    """SHA-256 of the model file, and the name under which its row is kept; None twice if it
    cannot be read."""
    found = hashlib.sha256()
    try:
        with open(job.path, "rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
    except (OSError, ValueError):
        return None, None
    model, target = found.hexdigest(), job.target
    about = [target.name, target.text, target.domain, asked(job.options)]
    text = json.dumps([SCHEMA, versions(), sources(), model, *about], sort_keys=True)
    return model, hashlib.sha256(text.encode()).hexdigest()


def row(job: Job) -> Row:
    """Check one model; whatever happens, a row comes back."""
    try:
        report = check(job.path, job.target, job.options)
    except (PlateauError, InternalError) as problem:
        return failed(job, problem.exit_code, str(problem))
    except Exception as problem:  # one model must not end the others
        return failed(job, 5, f"{type(problem).__name__}: {problem}")
    return _found(job, report)


def failed(job: Job, code: int, reason: str) -> Row:
    """The row of a model about which nothing is known but why."""
    nothing = {"sup_error": None, "plateau": None, "longest_plateau": None, "claims": {}}
    about = {"boxes": None, "seconds": None, "stopped_by": None}
    return {"model": job.path, "sha256": None, "exit_code": code, "verdict": WORDS[code],
            **nothing, **about, "reason": reason}  # fmt: skip


def _found(job: Job, report: Report) -> Row:
    known, outcome = report.known, report.outcome
    longest = report.longest
    bracket = guaranteed(lo=known.sup[0], hi=known.sup[1])
    sup = {**bracket, **guaranteed(witness=list(known.witness)), "closed": report.closed}
    undecided = report.exit_code == 3
    return {
        "model": job.path,
        "sha256": report.model.sha256,
        "exit_code": report.exit_code,
        "verdict": WORDS[report.exit_code],
        "sup_error": sup,
        "plateau": report.plateaus.overall().value,
        "longest_plateau": longest and guaranteed(lo=longest[0], hi=longest[1]),
        "claims": {claim.label: claim.verdict.value for claim in report.claims},
        "boxes": outcome.state.boxes,
        "seconds": outcome.seconds,
        "stopped_by": outcome.stopped_by,
        "reason": f"stopped by {outcome.stopped_by}" if undecided else "",
    }


class Kept:
    """Rows in a folder, one file each, written whole or not at all."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Use a folder; it is made if it is not there.

        Raises:
            BadRequest: that cannot be.
        """
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(f"cannot keep results in {folder}: {error.strerror}") from None

    def read(self, name: str, model: str, path: str) -> Row | None:
        """The row kept under a name, about a file with this digest; None if it cannot be used."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        blank = failed(Job(path, None, None), 5, "")
        if not isinstance(found, dict) or set(found) != set(blank):
            return None
        code, sup = found["exit_code"], found["sup_error"]
        if code not in WORDS or found["verdict"] != WORDS[code] or found["sha256"] != model:
            return None
        if sup is not None and not {"lo", "hi", "witness"} <= set(sup):
            return None
        return found | {"model": path}

    def write(self, name: str, found: Row) -> None:
        """Keep a row, unless it failed for a reason that may pass."""
        if found["exit_code"] != 5 and found["stopped_by"] not in ("interrupt", "memory"):
            text = json.dumps(found, allow_nan=False, indent=1)
            replace_file(self.folder / f"{name}.json", text.encode())


def sweep(jobs: Sequence[Job], kept: Kept, count: int, *, again: bool = False) -> Iterator[
    tuple[int, Row, bool]
]:  # fmt: skip
    """Every job's number, its row, and whether it was kept from before; in the order of finishing.

    Args:
        jobs: what to check.
        kept: where rows are read from and written to.
        count: processes.
        again: compute also what is kept.
    """
    missing: list[tuple[int, Job]] = []
    names: dict[int, tuple[str | None, str | None]] = {}
    for i, job in enumerate(jobs):
        names[i] = digest(job)
        model, name = names[i]
        old = None if again or name is None else kept.read(name, model, job.path)
        if old is None:
            missing.append((i, job))
        else:
            yield i, old, True
    for i, found in _computed(missing, count):
        model, name = names[i]
        found["sha256"] = found["sha256"] or model
        # A file that was changed in the meantime must not answer for the one that was asked about.
        if name is not None and found["sha256"] == model and digest(jobs[i]) == names[i]:
            kept.write(name, found)
        yield i, found, False


def _computed(jobs: list[tuple[int, Job]], count: int) -> Iterator[tuple[int, Row]]:
    """Rows from processes. When one dies, the models it may have died of run again alone."""
    waiting = deque(jobs)
    while waiting:
        running: dict[Future, tuple[int, Job]] = {}
        with _pool(min(count, len(waiting))) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < count:
                        future = pool.submit(row, waiting[0][1])
                        running[future] = waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        found = future.result()
                        yield running.pop(future)[0], found
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
        for i, job in running.values():
            yield i, _alone(job)


def _alone(job: Job) -> Row:
    with _pool(1) as pool:
        try:
            return pool.submit(row, job).result()
        except BrokenProcessPool:
            return failed(job, 5, "its process died, for want of memory or by a signal")


def _pool(count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=_quiet)


def _quiet() -> None:
    """One thread; Ctrl-C ends the process at once, the one that waits for it tells why."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
