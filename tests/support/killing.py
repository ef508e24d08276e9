"""SIGKILL at random moments: trials of `faulty.py`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from forking import (
    World,
    ended,
    forked,
    kept_seconds,
    searching,
    streams_of,
    sup_of,
    whole_json,
    whole_state,
)

KILLS = 4  # of one search, before it is let go on to its end


def killed_search(world: World, rng: random.Random) -> tuple[str, str]:
    """SIGKILL while searching, until the search comes to its end: the bracket of an unbroken one.

    One trial is one kill; the search goes on from trial to trial.
    """
    if "unbroken" not in world.known:
        place = world.place()
        began = time.monotonic()
        if ended(forked(searching(world, place), streams_of(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known |= {"unbroken": sup_of(place), "long": time.monotonic() - began}
    place = world.known.setdefault("place", None) or world.place()
    world.known["place"] = place
    ours, theirs = os.pipe()
    had = kept_seconds(place / "state") if (place / "state").exists() else 0.0
    child = forked(searching(world, place, theirs), streams_of(place))
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
    code = ended(forked(searching(world, place), streams_of(place)))
    return _came_to_its_end(world, place, code)


def _came_to_its_end(world: World, place: Path, code: int) -> tuple[str, str]:
    """Whether a search that was killed now and then says what an unbroken one does."""
    world.known["place"] = None
    if code != 0:
        return f"ended with {code}: {(place / 'err').read_text()[-300:]}", ""
    found, wanted = sup_of(place), world.known["unbroken"]
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
        if ended(forked(work(place), streams_of(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known["train long"] = time.monotonic() - began
        world.known["trained"] = (place / "model.pt").read_bytes()
        place = world.place()
    child = forked(work(place), streams_of(place))
    time.sleep(rng.uniform(0.02, 1.0) * world.known["train long"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if (place / "model.pt").exists():
        good = (place / "model.pt").read_bytes() == world.known["trained"]
        return ("" if good else "a damaged model under the final name"), "came to its end"
    if (code := ended(forked(work(place), streams_of(place)))) != 0:
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
        if ended(forked(work(place), streams_of(place))) != 0:
            return f"unbroken: {(place / 'err').read_text()[-300:]}", ""
        world.known |= {"paper": results(place), "paper long": time.monotonic() - began}
    place = world.place()
    child = forked(work(place), streams_of(place))
    time.sleep(rng.uniform(0.02, 1.0) * world.known["paper long"])
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    before = results(place)  # fails on a damaged file
    if ended(forked(work(place), streams_of(place))) != 0:
        return f"does not go on: {(place / 'err').read_text()[-300:]}", ""
    if results(place) != world.known["paper"]:
        return "other results than an unbroken run", ""
    return "", f"{len(before)} of {len(grid)} done before"
