"""A limit on how long a computation may take, where the system has alarms."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RING_AGAIN = 0.05  # seconds between alarms after the first


@contextmanager
def seconds(limit: float) -> Iterator[None]:
    """Raise TimeoutError after so many seconds, where the system and the thread have alarms.

    The alarm rings again and again: Python swallows an exception raised inside a callback of
    a weak reference, and SymPy's caches are full of these.
    """
    alarms = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not alarms or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    over = False

    def stop(number: int, frame: object) -> None:
        if not over:
            raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit, RING_AGAIN)
    try:
        try:
            yield
        finally:
            over = True
    finally:  # even if the alarm rang on the way out
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
