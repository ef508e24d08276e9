"""A command in a child process, for trials of `faulty.py`: it is forked, watched and judged.

Each trial forks this process, in which torch is loaded already, and runs a command in the child.
A trial returns what went wrong, or nothing; a trial with a number to tell returns it as a note.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Task:
    """A search that takes a few seconds: a model of tests, or one with more to do."""

    model: Path | None = None
    target: str = "exp"
    cells: int = 8
    gap: float = 1e-7


def forked(work: Callable[[], None], streams: tuple[Path, Path] | None = None) -> int:
    """Run `work` in a child; its number comes back at once. SystemExit is its exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        if streams:
            for number, path in zip((1, 2), streams, strict=True):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        # A test runner may have put something of its own in their place.
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def ended(child: int, patience: float = 300.0) -> int:
    """The exit code, minus the signal for a child that was killed; -1000 for one that hangs."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1000


def certify(*arguments: str) -> None:
    """The command line of certify, in this process."""
    from certify.cli import app

    torch.set_num_threads(1)
    app(list(arguments), prog_name="certify")


class World:
    """Models to work on, made once."""

    def __init__(self, folder: Path, task: Task) -> None:
        from readers import Tiny

        from certify.frontend.export import export

        torch.set_num_threads(1)
        self.folder, self.count, self.task = folder, 0, task
        torch.manual_seed(0)
        self.model = folder / "model.pt"
        export(Tiny().double().eval(), torch.zeros(1, 1, dtype=torch.float64), self.model)
        self.known: dict[str, object] = {}

    def place(self) -> Path:
        """An empty folder."""
        self.count += 1
        path = self.folder / f"trial-{self.count}"
        path.mkdir()
        return path


def whole_state(path: Path) -> str:
    """Why a state file is not whole; nothing for one that is, or is not there."""
    if not path.exists():
        return ""
    line, _, payload = path.read_bytes().partition(b"\n")
    good = line.split(b" ")[-1] == hashlib.sha256(payload).hexdigest().encode()
    return "" if good else "the state is damaged"


def whole_json(path: Path) -> str:
    """The same for JSON, certificates included."""
    try:
        json.loads(path.read_bytes()) if path.exists() else None
    except ValueError as error:
        return f"{path.name} is damaged: {error}"
    return ""


def kept_seconds(path: Path) -> float:
    """How long the searches of a state took, as it says."""
    payload = path.read_bytes().partition(b"\n")[2]
    size = int.from_bytes(payload[:8], "little")
    searches = json.loads(json.loads(payload[8 : 8 + size])["__metadata__"]["searches"])
    return max(float.fromhex(one["before"]) for one in searches.values())


def searching(world: World, place: Path, pipe: int | None = None) -> Callable[[], None]:
    def watch(progress) -> None:
        if pipe is not None:
            os.write(pipe, f"{progress.seconds:.3f}\n".encode())

    def work() -> None:
        import certify.cli as cli

        assert callable(cli.progress_of_search)  # another name would leave the watcher unheard
        cli.progress_of_search = lambda: contextlib.nullcontext(watch)
        task = world.task
        certify("check", str(task.model or world.model), "--target", task.target,
                "--gap", str(task.gap), "--cells", str(task.cells),
                "--json", str(place / "report.json"),
                "--certificate", str(place / "model.cert.json"),
                "--resume", str(place / "state"))  # fmt: skip

    return work


def streams_of(place: Path) -> tuple[Path, Path]:
    return place / "out", place / "err"


def sup_of(place: Path) -> dict:
    data = json.loads((place / "report.json").read_text())
    return {"sup": data["sup_error"], "cells": [c["variation_hex"] for c in data["cells"]]
            if "variation_hex" in data["cells"][0] else [c["variation"] for c in data["cells"]],
            "stopped": data["search"]["stopped_by"]}  # fmt: skip
