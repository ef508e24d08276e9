"""Damaged files for every reader, by the thousand: `python -m benchmarks.fuzz --cases 100000`.

A case fails if the reader raises anything but the project's own exceptions, takes more than 5 s
of CPU time (others may be using the machine), adds more than 1 GiB to the process, ends it, or does
what reading has no business to do: start a process, open a connection, write or remove a file.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from readers import Reader, readers

from theory.errors import PlateauError

SECONDS, BYTES = 5.0, 1 << 30
MOST_CPU = 20.0  # CPU seconds after which the system ends a case that does not come back
PATIENCE = 300.0  # seconds after which a case that does nothing at all is ended
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen",
             "socket.connect", "os.mkdir", "os.remove", "os.rename", "shutil.rmtree",
             "ctypes.dlopen")  # fmt: skip

_seen: list[str] = []  # forbidden events of the case at hand
_watching = [False]


@dataclass(frozen=True)
class Failure:
    """What a reader did that it must not do, and the file that made it."""

    reader: str
    seed: int
    what: str
    data: bytes


def _audit(event: str, arguments: tuple) -> None:
    if not _watching[0]:
        return
    if event in FORBIDDEN:
        _seen.append(f"{event}{arguments[:1]!r}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        _seen.append(f"{event}{arguments[:2]!r}")


def case(reader: Reader, name: str, seed: int, folder: Path) -> Failure | None:
    """Make the file number `seed` for a reader and read it."""
    rng = random.Random(f"{name} {seed}")
    data = rng.choice(reader.make)(rng)
    path = folder / "case"
    path.write_bytes(data)
    _seen.clear()
    before, began = _peak(), time.process_time()
    wrong = ""
    try:
        # The readers of a folder copy the case to its place first, which is not theirs to answer.
        _watching[0] = name not in ("BERT config", "result of probes paper")
        reader.read(path)
    except (PlateauError, *reader.allowed) as error:
        if not str(error):
            wrong = "an error without words"
        elif "Traceback" in str(error):
            wrong = "a traceback in an error"
    except BaseException as error:  # noqa: BLE001
        line = traceback.extract_tb(error.__traceback__)[-1]
        wrong = f"{type(error).__name__}: {str(error)[:200]} ({line.filename}:{line.lineno})"
    finally:
        _watching[0] = False
    took = time.process_time() - began
    if took > SECONDS:
        wrong = wrong or f"took {took:.1f} s"
    if _peak() - before > BYTES:
        wrong = wrong or f"took {(_peak() - before) >> 20} MiB"
    if _seen or (folder / "executed").exists():
        wrong = wrong or f"did {_seen[:3]}"
    return Failure(name, seed, wrong, data) if wrong else None


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run_here(found: dict[str, Reader], seeds: dict[str, range], folder: Path) -> list[Failure]:
    """All cases in this process."""
    sys.addaudithook(_audit)
    failures = (case(found[n], n, s, folder) for n, many in seeds.items() for s in many)
    return [failure for failure in failures if failure]


def _child(found: dict[str, Reader], name: str, seeds: range, folder: Path, pipe) -> None:
    sys.addaudithook(_audit)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for seed in seeds:
        pipe.send(("begun", seed, None))
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU)
        pipe.send(("done", seed, case(found[name], name, seed, folder)))


def run(
    found: dict[str, Reader], seeds: dict[str, range], folder: Path
) -> Iterator[tuple[str, int, Failure | None]]:
    """All cases in processes of their own, so that no case can end the fuzzer.

    Yields:
        (reader, cases done by now, failure or None) after every case.
    """
    context = multiprocessing.get_context("fork")
    for name, many in seeds.items():
        done = collections.Counter()
        while len(many):
            ours, theirs = context.Pipe(False)
            worker = context.Process(target=_child, args=(found, name, many, folder, theirs))
            worker.start()
            theirs.close()
            seed, ended = many[0], ""
            try:
                while ours.poll(PATIENCE):
                    kind, seed, failure = ours.recv()
                    if kind == "done":
                        done[name] += 1
                        many = range(seed + 1, many.stop)
                        yield name, done[name], failure
                else:
                    ended = f"still reading after {PATIENCE:g} s"
            except EOFError:
                worker.join()
                ended = "" if not len(many) else f"the process ended with {worker.exitcode}"
            worker.kill()
            worker.join()
            if ended:
                done[name] += 1
                many = range(seed + 1, many.stop)
                rng = random.Random(f"{name} {seed}")
                data = rng.choice(found[name].make)(rng)
                yield name, done[name], Failure(name, seed, ended, data)


def made(folder: Path) -> dict[str, Reader]:
    """The readers, ready."""
    return readers(folder)
