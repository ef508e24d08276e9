"""What can happen to a process, done to it on purpose: `python -m benchmarks.faults --trials 50`.

Each trial forks this process, in which torch is loaded already, and runs a command in the child.
A trial returns what went wrong, or nothing; a trial with a number to tell returns it as a note.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

KILLS = 4  # of one search, before it is let go on to its end


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


def _searching(world: World, place: Path, pipe: int | None = None) -> Callable[[], None]:
    def watch(progress) -> None:
        if pipe is not None:
            os.write(pipe, f"{progress.seconds:.3f}\n".encode())

    def work() -> None:
        import certify.cli as cli

        cli._progress = lambda: contextlib.nullcontext(watch)
        task = world.task
        certify("check", str(task.model or world.model), "--target", task.target,
                "--gap", str(task.gap), "--cells", str(task.cells),
                "--json", str(place / "report.json"),
                "--certificate", str(place / "model.cert.json"),
                "--resume", str(place / "state"))  # fmt: skip

    return work


def _streams(place: Path) -> tuple[Path, Path]:
    return place / "out", place / "err"


def _sup(place: Path) -> dict:
    data = json.loads((place / "report.json").read_text())
    return {"sup": data["sup_error"], "cells": [c["variation_hex"] for c in data["cells"]]
            if "variation_hex" in data["cells"][0] else [c["variation"] for c in data["cells"]],
            "stopped": data["search"]["stopped_by"]}  # fmt: skip


def killed_search(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGKILL while searching, until the search comes to its end: the bracket of an unbroken one.

    One trial is one kill; the search goes on from trial to trial.
    """
    if "unbroken" not in world.known:
        place = world.place()
        began = time.monotonic()
        if ended(forked(_searching(world, place), _streams(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known |= {"unbroken": _sup(place), "long": time.monotonic() - began}
    place = world.known.setdefault("place", None) or world.place()
    world.known["place"] = place
    ours, theirs = os.pipe()
    had = kept_seconds(place / "state") if (place / "state").exists() else 0.0
    child = forked(_searching(world, place, theirs), _streams(place))
    os.close(theirs)
    began, moment = time.monotonic(), rng.uniform(0.02, 1.0) * world.known["long"]
    done, status = 0, 0
    while not done and time.monotonic() - began < moment:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.002)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with open(ours) as pipe:
        lines = pipe.read().split("\n")[:-1]
    for check in (whole_state(place / "state"), whole_json(place / "report.json"),
                  whole_json(place / "model.cert.json")):  # fmt: skip
        if check:
            return check, ""
    if done:
        return _came_to_its_end(world, place, os.waitstatus_to_exitcode(status))
    had_now = kept_seconds(place / "state") if (place / "state").exists() else 0.0
    reached = had + float(lines[-1]) if lines else 0.0
    lost = max(0.0, reached - had_now)
    if lost > 5.0:
        return f"lost {lost:.1f} s", ""
    world.known["kills"] = world.known.get("kills", 0) + 1
    if world.known["kills"] % KILLS:
        return "", f"lost {lost:.2f} s"
    code = ended(forked(_searching(world, place), _streams(place)))
    return _came_to_its_end(world, place, code)


def _came_to_its_end(world: World, place: Path, code: int) -> tuple[str, str]:
    """Whether a search that was killed now and then says what an unbroken one does."""
    world.known["place"] = None
    if code != 0:
        return f"ended with {code}: {(place / 'err').read_text()[-300:]}", ""
    found, wanted = _sup(place), world.known["unbroken"]
    lo = max(found["sup"]["lo"], wanted["sup"]["lo"])
    hi = min(found["sup"]["hi"], wanted["sup"]["hi"])
    if not lo <= hi or found["stopped"] != wanted["stopped"]:
        return f"another bracket than an unbroken search: {found} {wanted}"[:600], ""
    if found["sup"] == wanted["sup"]:
        return "", "went on to its end: the same sup bracket to the bit"
    return "", "went on to its end: closed to the same gap"


def killed_writing(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGKILL while files of a megabyte replace each other: what is there is one of them."""
    from theory.files import replace_file

    place, contents = world.place(), [bytes([65 + i]) * 2**20 for i in range(3)]

    def work() -> None:
        while True:
            for content in contents:
                replace_file(place / "file", content)

    child = forked(work)
    time.sleep(rng.uniform(0.005, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if (place / "file").exists() and (place / "file").read_bytes() not in contents:
        return "a mixture under the final name", ""
    replace_file(place / "file", b"new")  # left-overs are in nobody's way
    return "", f"{len(os.listdir(place)) - 1} left-over"


def killed_training(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGKILL to `probes train` with a checkpoint, then the same command to the end: the same
    model, byte for byte."""
    place = world.place()

    def work(where: Path) -> Callable[[], None]:
        def train() -> None:
            import probes.fitting
            from probes.cli import app

            probes.fitting.SAVE_EVERY = 0.05
            app(["train", "--target", "scheme-one", "--recipe", "fair", "--dim", "4", "--layers",
                 "1", "--steps", "200", "--batch", "32", "-o", str(where / "model.pt"),
                 "--checkpoint", str(where / "ckpt")], prog_name="probes")  # fmt: skip

        return train

    if "trained" not in world.known:
        began = time.monotonic()
        if ended(forked(work(place), _streams(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known["train long"] = time.monotonic() - began
        world.known["trained"] = (place / "model.pt").read_bytes()
        place = world.place()
    child = forked(work(place), _streams(place))
    time.sleep(rng.uniform(0.02, 1.0) * world.known["train long"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if (place / "model.pt").exists():
        good = (place / "model.pt").read_bytes() == world.known["trained"]
        return ("" if good else "a damaged model under the final name"), "came to its end"
    if (code := ended(forked(work(place), _streams(place)))) != 0:
        return f"went on with {code}: {(place / 'err').read_text()[-300:]}", ""
    good = (place / "model.pt").read_bytes() == world.known["trained"]
    return ("" if good else "another model than an unbroken training"), "went on"


def killed_paper(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGKILL to the runner of `probes paper` on three tiny settings, then again to the end."""
    from dataclasses import replace

    from probes import fitting, paper
    from probes.recipes import setting
    from probes.store import Store

    training = {"steps": 60, "batch": 8, "every": 5, "warmup": 2}
    grid = [replace(setting(recipe, "scheme-one", 4, training=training, model={"layers": 1}),
                    tests=200) for recipe in ("released", "fair", "obstructed")]  # fmt: skip

    def work(where: Path) -> Callable[[], None]:
        def measure() -> None:
            fitting.SAVE_EVERY, paper.LARGEST_SAVED = 0.0, 0
            with Store(where).opened() as store:
                paper.run(grid, store, budget=1000)

        return measure

    def results(where: Path) -> dict[str, object]:
        found = {}
        for file in sorted((where / "results").glob("*.json")):
            result = json.loads(file.read_text())["result"]
            found[file.name] = {k: v for k, v in result.items() if k == "measured"}
        return found

    if "paper" not in world.known:
        place, began = world.place(), time.monotonic()
        if ended(forked(work(place), _streams(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known |= {"paper": results(place), "paper long": time.monotonic() - began}
    place = world.place()
    child = forked(work(place), _streams(place))
    time.sleep(rng.uniform(0.02, 1.0) * world.known["paper long"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    before = results(place)  # fails on a damaged file
    if ended(forked(work(place), _streams(place))) != 0:
        return f"does not go on: {(place / 'err').read_text()[-300:]}", ""
    if results(place) != world.known["paper"]:
        return "other results than an unbroken run", ""
    return "", f"{len(before)} of {len(grid)} done before"


def _wait_for_search(pipe: int) -> None:
    os.read(pipe, 1)


def interrupted(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGINT while searching: a report of what is proved so far, and a state to go on from."""
    place, (ours, theirs) = world.place(), os.pipe()
    child = forked(_searching(world, place, theirs), _streams(place))
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
    child = forked(_searching(world, place, theirs), _streams(place))
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
    return lambda: certify("check", str(world.model), "--target", "exp", "--cells", "4", *more)


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

    streams = _streams(place)
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

    streams = _streams(place)
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
    children = [forked(_easy(world, place, *more), _streams(f)) for f in folders]
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
