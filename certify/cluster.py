"""Batches of boxes on a dask cluster (the extra "dask"). See docs/scale.md."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from certify.errors import BadRequest
from certify.report.data import versions
from certify.search import Problem
from certify.sources import sources
from certify.workers import Payloads, Workers, enclosed

WAIT = 10.0  # seconds for a scheduler to answer
ALONE = 5.0  # seconds without any worker after which the work is done here
RETRIES = 2  # of a piece whose worker was lost


class Cluster(Workers):
    """Every worker of a cluster; the process that searches only waits.

    The messages are pickled, both ways: a cluster is trusted like this machine.
    """

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            BadRequest: dask is not installed, nobody answers, there are no workers, or they run
                other versions.
        """
        try:
            import distributed
        except ImportError:
            raise BadRequest(
                "--dask needs the package distributed: pip install 'plateau[dask]'"
            ) from None
        self.dask, self.payloads = distributed, Payloads()
        self.shipped: dict[bytes, Any] = {}
        try:
            self.client = distributed.Client(address, timeout=WAIT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise _refused(address, f"no cluster that can be used ({_says(error)})") from None
        try:
            self._compare(address)
        except BaseException:
            self.client.close()
            raise

    def _compare(self, address: str) -> None:
        """Every worker must run what runs here."""
        try:
            found = self.client.run(running)
        except (OSError, TimeoutError, ImportError, AttributeError, TypeError) as error:
            raise _refused(address, f"its workers cannot run certify ({_says(error)})") from None
        if not found:
            raise _refused(address, "the scheduler has no workers; start some first")
        mine = running()
        for worker, theirs in sorted(found.items()):
            wrong = [name for name in mine if theirs.get(name) != mine[name]]
            if wrong:
                what = ", ".join(f"{n} {theirs.get(n)} (here {mine[n]})" for n in wrong)
                raise _refused(address, f"{worker} runs {what}; use the same versions")

    def ready(self) -> bool:
        return self.client.status == "running"

    def answers(self, problem: Problem, asked: list[tuple], here: list) -> list[object]:
        """A piece runs again elsewhere if its worker is lost, and here if there is nobody left."""
        payload = self._ship(self.payloads.of(problem))
        more = {"pure": False, "retries": RETRIES}
        tasks = [self.client.submit(enclosed, payload, *piece, **more) for piece in asked]
        self._wait(tasks)
        return [_result(task) for task in tasks]

    def _ship(self, payload: bytes) -> Any:
        """The bytes as the result of a task: data that was scattered dies with its worker, a
        task is run again."""
        if payload not in self.shipped:
            key = f"plateau-{hashlib.sha256(payload).hexdigest()}"
            self.shipped[payload] = self.client.submit(_same, payload, key=key)
        return self.shipped[payload]

    def _wait(self, tasks: list[Any]) -> None:
        """Until all are done, or nobody has been there to do them for a while."""
        seen = time.perf_counter()
        while any(task.status == "pending" for task in tasks) and self.ready():
            with suppress(TimeoutError, CancelledError), self.client.as_current():
                self.dask.wait(tasks, timeout=0.5)
            if self.client.scheduler_info()["workers"]:
                seen = time.perf_counter()
            elif time.perf_counter() - seen > ALONE:
                return

    def close(self) -> None:
        self.shipped.clear()
        self.client.close()


def running() -> dict[str, str]:
    """Everything that the bits of an answer depend on, but the processor."""
    return versions() | {"source code": sources()}


def _refused(address: str, why: str) -> BadRequest:
    return BadRequest(f"--dask {address}: {why}")


def _says(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _same(payload: bytes) -> bytes:
    return payload


def _result(task: Any) -> object:
    """What a finished task returned; None for every kind of failure: it is computed here then."""
    return task.result() if task.status == "finished" else None
