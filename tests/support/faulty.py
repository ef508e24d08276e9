"""What can happen to a process, done to it on purpose: `python -m benchmarks.faults --trials 50`.

Each trial forks this process, in which torch is loaded already, and runs a command in the child.
A trial returns what went wrong, or nothing; a trial with a number to tell returns it as a note.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from forking import (
    Task,
    World,
    certify,
    ended,
    forked,
    searching,
    streams_of,
    whole_json,
    whole_state,
)
from killing import killed_paper, killed_search, killed_training, killed_writing

__all__ = ["TRIALS", "Task", "World", "ended", "forked", "killed_writing", "run"]


def _wait_for_search(pipe: int) -> None:
    if not os.read(pipe, 1):
        raise RuntimeError("the search came to its end without a word of its progress")


def interrupted(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGINT while searching: a report of what is proved so far, and a state to go on from."""
    place, (ours, theirs) = world.place(), os.pipe()
    child = forked(searching(world, place, theirs), streams_of(place))
    os.close(theirs)
    _wait_for_search(ours)
    time.sleep(rng.uniform(0, 0.5))
    os.kill(child, signal.SIGINT)
    code = ended(child)
    os.close(ours)
    text = (place / "out").read_text()
    if "Traceback" in (place / "err").read_text():
        return (place / "err").read_text()[-300:], ""
    if code not in (0, 3) or "sup |model" not in text:
        return f"exit code {code}: {text[:100]}{(place / 'err').read_text()[:200]}", ""
    data = json.loads((place / "report.json").read_text())
    stopped = data["search"]["stopped_by"]
    if stopped not in ("interrupt", "closed", "resolution"):
        return f"stopped by {stopped}", ""
    return whole_state(place / "state") or whole_json(place / "model.cert.json"), stopped


def interrupted_twice(world: World, rng: random.Random) -> tuple[str, str]:
    """Two SIGINT, one after the other: the end, at once."""
    place, (ours, theirs) = world.place(), os.pipe()
    child = forked(searching(world, place, theirs), streams_of(place))
    os.close(theirs)
    _wait_for_search(ours)
    os.kill(child, signal.SIGINT)
    time.sleep(rng.uniform(0.02, 0.1))
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGINT)
    code = ended(child)
    os.close(ours)
    took = time.monotonic() - began
    if "Traceback" in (place / "err").read_text():
        return (place / "err").read_text()[-300:], ""
    if code == 130 and took > 2:
        return f"took {took:.1f} s to end", ""
    problem = whole_state(place / "state") or whole_json(place / "report.json")
    return (problem if code in (0, 3, 130) else f"exit code {code}"), f"exit code {code}"


def _easy(world: World, place: Path, *more: str) -> Callable[[], None]:
    few = () if "--cells" in more else ("--cells", "4")
    return lambda: certify("check", str(world.model), "--target", "exp", *few, *more)


def full_disk(world: World, rng: random.Random) -> tuple[str, str]:
    """No file may grow beyond a limit: the report is told, no part of a file is left."""
    place, limit = world.place(), rng.choice((1, 100, 4096, 20_000))
    names = ("report.json", "model.cert.json", "state")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        _easy(world, place, "--json", str(place / names[0]), "--certificate",
              str(place / names[1]), "--resume", str(place / names[2]))()  # fmt: skip

    # Pipes have no size, so what is printed is not limited.
    out, err = os.pipe(), os.pipe()

    def piped() -> None:
        os.dup2(out[1], 1)
        os.dup2(err[1], 2)
        work()

    child = forked(piped)
    os.close(out[1])
    os.close(err[1])
    with open(out[0]) as one, open(err[0]) as two:
        told, errors = one.read(), two.read()
    code = ended(child)
    if code != 2 or "Traceback" in errors or "cannot write" not in errors:
        return f"exit code {code}: {errors[-200:]}", ""
    if "sup |model" not in told:
        return "the report was not told", ""
    left = sorted(set(os.listdir(place)) - {".state.lock"})
    bad = [n for n in left if (place / n).stat().st_size > limit or n.endswith(".tmp")]
    return (f"left {bad}" if bad else ""), f"{limit} bytes"


def read_only(world: World, rng: random.Random) -> tuple[str, str]:
    """A folder in which nothing can be made: refused before the search, in words."""
    place = world.place()
    shut = place / "shut"
    shut.mkdir()
    option = rng.choice(("--json", "--certificate", "--resume"))

    def work() -> None:
        if os.geteuid() == 0:  # whom permissions do not stop
            for path in [world.model, *world.model.parents]:
                with contextlib.suppress(OSError):
                    os.chmod(path, os.stat(path).st_mode | 0o055)
            with contextlib.suppress(SystemExit):  # all is imported before rights are given up
                _easy(world, place)()
            os.setuid(65534)
        _easy(world, place, option, str(shut / "file"))()

    streams = streams_of(place)
    shut.chmod(0o555)
    began = time.monotonic()
    code = ended(forked(work, streams))
    errors = streams[1].read_text()
    good = code == 2 and "Traceback" not in errors and "ermission denied" in errors
    return ("" if good else f"exit code {code}: {errors[-300:]}"), (
        f"{option} {time.monotonic() - began:.1f} s"
    )


def little_memory(world: World, rng: random.Random) -> tuple[str, str]:
    """A limit of memory somewhere above what is used already: a result, or words."""
    place = world.place()
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit = max(used, 1 << 30) + int(2 ** rng.uniform(18, 29))

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        certify("check", str(world.model), "--target", "exp", "--cells",
                str(rng.choice((4, 300, 20_000))), "--budget", "3", "--json",
                str(place / "report.json"))  # fmt: skip

    streams = streams_of(place)
    code, errors = ended(forked(work, streams)), streams[1].read_text()
    if "Traceback" in errors or code not in (0, 2, 3):
        return f"exit code {code}: {errors[-300:]}", ""
    if code == 2 and "memory" not in errors and "ulimit" not in errors:
        return f"not told: {errors[-300:]}", ""
    return whole_json(place / "report.json"), f"exit code {code}"


def closed_pipe(world: World, rng: random.Random) -> tuple[str, str]:
    """A reader that goes away after the first bytes, or before: no word about it."""
    place, (ours, theirs) = world.place(), os.pipe()
    early = rng.random() < 0.5
    form = rng.choice(((), ("--json", "-")))

    def work() -> None:
        os.close(ours)
        os.dup2(theirs, 1)
        os.dup2(os.open(place / "err", os.O_WRONLY | os.O_CREAT), 2)
        _easy(world, place, "--cells", "200" if form else "4", "--budget", "2", *form)()

    child = forked(work)
    os.close(theirs)
    if not early:
        os.read(ours, 10)
    os.close(ours)
    code, errors = ended(child), (place / "err").read_text()
    good = code in (0, 3, 141) and not errors
    return ("" if good else f"exit code {code}: {errors[-300:]}"), f"exit code {code}"


def two_writers(world: World, rng: random.Random) -> tuple[str, str]:
    """Two commands that write the same report and certificate: whole files, of one of them; and
    of two with one state, one is refused."""
    place, same = world.place(), rng.random() < 0.5
    more = ["--json", str(place / "report.json"), "--certificate", str(place / "model.cert.json")]
    more += ["--resume", str(place / "state")] if same else []
    folders = [world.place(), world.place()]
    children = [forked(_easy(world, place, *more), streams_of(f)) for f in folders]
    codes = [ended(child) for child in children]
    errors = [(f / "err").read_text() for f in folders]
    if any("Traceback" in text for text in errors):
        return errors[0][-200:] + errors[1][-200:], ""
    good = [0, 0] if not same else [0, 2]
    if sorted(codes) != good and not (same and codes == [0, 0]):  # one after the other
        return f"exit codes {codes}: {errors}", ""
    if 2 in codes and "another process" not in errors[codes.index(2)]:
        return errors[codes.index(2)][-200:], ""
    from certify.certificate.reading import read

    read(place / "model.cert.json")
    return whole_json(place / "report.json"), f"exit codes {sorted(codes)}"


TRIALS: dict[str, Callable[[World, random.Random], tuple[str, str]]] = {
    "kill -9 while searching (--resume)": killed_search,
    "kill -9 while writing a file": killed_writing,
    "kill -9 while training (probes train)": killed_training,
    "kill -9 in the experiments (probes paper)": killed_paper,
    "Ctrl-C while searching": interrupted,
    "Ctrl-C twice": interrupted_twice,
    "full disk": full_disk,
    "read-only folder": read_only,
    "limit of memory": little_memory,
    "closed pipe": closed_pipe,
    "two commands with the same output": two_writers,
}


def run(world: World, name: str, count: int, seed: int = 0) -> Iterator[tuple[int, str, str]]:
    """(number, failure, note) of every trial of one kind."""
    for number in range(count):
        try:
            wrong, note = TRIALS[name](world, random.Random(f"{seed} {name} {number}"))
        except Exception as error:  # noqa: BLE001
            wrong, note = f"{type(error).__name__}: {error}", ""
        yield number, wrong, note
