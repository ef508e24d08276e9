"""Ctrl-C: the first one ends the search, whose bounds are then told; the second one ends it all."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from theory.terminal import INTERRUPTED

SHOW_CURSOR = "\x1b[?25h"  # a progress line hides it


def twice(command: Callable[..., None]) -> Callable[..., None]:
    """A command in which the first SIGINT is a KeyboardInterrupt, as ever, and the second one ends
    the process at once, whatever library is at work. Files appear whole or not at all either way.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        ours = threading.current_thread() is threading.main_thread()
        if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return command(*args, **kwargs)
        signal.signal(signal.SIGINT, _first)
        try:
            return command(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    return run


def _first(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> None:
    # Not by print: the first interrupt may have come in the middle of one.
    text = "stopped at once; what was proved is not reported\n"
    os.write(2, ((SHOW_CURSOR if sys.stderr.isatty() else "") + text).encode())
    os._exit(INTERRUPTED)
