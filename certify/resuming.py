"""`check --resume`: a search kept in a file, written every few seconds, to go on from.

    certify-state/1 SHA-256-of-the-rest
    a safetensors file: every tensor of every search, and in its metadata, as JSON, what they are

Nothing in it is executed. A state is believed like the engine that wrote it: reading refuses what
no search can have written (`certify.coverage`), and a certificate is proved without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import Tensor

import certify
import theory.functions as theory_functions
from certify.coverage import Impossible, sound
from certify.errors import BadRequest, UnreadableFile
from certify.frontend import Model
from certify.goal import Goal
from certify.graph import Graph
from certify.options import Options
from certify.orders import Orders, candidates
from certify.run import Loop
from certify.search import Leaves, Points, Problem, State, start
from theory.files import alone, destination, replace_file

FORMAT = b"certify-state/1"
LINE = re.compile(rb"certify-state/1 ([0-9a-f]{64})\n")
MOST_BYTES = 4 << 30
MOST_SEARCHES = 4096  # one for every output, and a few
SAVE_EVERY = 2.0  # seconds between two writings
SPAN = 2.0  # seconds that one step of a kept search should take at most
SHARE = 4  # a file that takes long to write is written less often: a fifth of the time at most
PARTS = {"leaves": Leaves, "points": Points}


@dataclass(frozen=True)
class Section:
    """One search in the file: its tensors by name, and what JSON holds of it."""

    data: dict[str, Any]
    tensors: dict[str, Tensor]


@contextmanager
def kept(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """The place of a state tried, and held for this process alone; nothing without a path.

    Raises:
        BadRequest: nothing can be written there, or another process works with it.
    """
    if path is None:
        yield
        return
    place = destination(path)
    busy = f"{path}: another process keeps its search there; wait, or name another with --resume"
    with alone(place.with_name(f".{place.name}.lock"), busy):
        yield


class StateFile:
    """The searches of one question, in one file.

    Args:
        path: need not exist yet.
        question: what the searches are about, in words by name; another question's file is
            refused, and these words say why.

    Raises:
        UnreadableFile: the file is no state, or damaged.
        BadRequest: it belongs to another question.
    """

    span = SPAN

    def __init__(self, path: str | os.PathLike[str], question: dict[str, str]) -> None:
        self._path, self._question = os.fspath(path), question
        self._sections = _read(self._path, question)
        self._digests: dict[int, tuple[Problem, str]] = {}
        self._written, self._pause = time.monotonic(), SAVE_EVERY
        self.failure = ""

    def found(self, problem: Problem, goal: Goal) -> Loop | None:
        """Where the search for this problem was left; None if it was not begun.

        Raises:
            UnreadableFile: no search can have left this.
        """
        section = self._sections.get(self._digest(problem))
        if section is None:
            return None
        try:
            return _loop(section, problem, goal)
        except Impossible as why:
            raise _unreadable(self._path, str(why)) from None

    def put(self, problem: Problem, goal: Goal, loop: Loop, last: bool = False) -> None:
        """Keep a search; the file is written every few seconds, and at last for certain.

        A disk that is full does not end the search: `failure` says so.
        """
        if not last and time.monotonic() - self._written < self._pause:
            return
        self._sections[self._digest(problem)] = _section(loop, goal)
        began = time.monotonic()
        try:
            replace_file(self._path, as_bytes(self._question, self._sections))
            self.failure = ""
        except BadRequest as problem_with_it:
            self.failure = str(problem_with_it)
        self._written = time.monotonic()
        self._pause = max(SAVE_EVERY, SHARE * (self._written - began))

    def _digest(self, problem: Problem) -> str:
        """Of the problem; computed once, and the problem is kept, so that its id stays its own."""
        if id(problem) not in self._digests:
            self._digests[id(problem)] = problem, problem_digest(problem)
        return self._digests[id(problem)][1]


def engine_digest() -> str:
    """Of the sources that compute bounds: what a mistake of theirs left must not outlive it."""
    here, theory = Path(certify.__file__).parent, Path(theory_functions.__file__).parent
    names = (
        "graph", "normalized", "rounding", "enclosing", "search", "squares", "run", "witnesses",
        "slopes", "derivative",
    )  # fmt: skip
    sources = [here / f"{name}.py" for name in names]
    sources += sorted((here / "domains").glob("*.py"))
    names = "arb", "functions", "intervals", "norms", "polynomials"
    sources += [theory / f"{name}.py" for name in names]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def question(model: Model, expression: sp.Expr, options: Options, cells: Tensor) -> dict[str, str]:
    """What the searches of `check` are about. What may change between two starts is not in it:
    gap, claims and limits, by which no bound becomes wrong."""
    path = model.curve
    ends = hashlib.sha256(cells.numpy().tobytes()).hexdigest()[:16]
    lo, hi = options.domain
    return {
        "engine": engine_digest(),
        "model": model.sha256,
        "target": str(expression),
        "domain": f"[{lo!r}, {hi!r}]",
        "cells": f"{len(cells)}, with ends {ends}",
        "output": str(options.output or 0),
        "along": "the input" if path is None else json.dumps(path.data),
    }


def problem_digest(problem: Problem) -> str:
    """SHA-256 of the graph, the cells and the ways of cutting: what a state's numbers are about."""
    digest = hashlib.sha256()

    def note(value: Any) -> None:
        if isinstance(value, tuple) and all(isinstance(part, Graph) for part in value):
            for part in value:
                _walk(part, note)
            return
        if isinstance(value, Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            digest.update(repr((value.dtype.str, value.shape)).encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        elif hasattr(value, "expression"):
            digest.update(repr((value.name, str(value.expression))).encode())
        else:
            digest.update(repr(value).encode())
        digest.update(b"\0")

    _walk(problem.graph, note)
    for field in fields(problem):
        if field.name != "graph":
            note(getattr(problem, field.name))
    return digest.hexdigest()


def _walk(graph: Graph, note: Any) -> None:
    note((graph.input_shape, sorted(graph.outputs.items())))
    for node in graph.nodes:
        note((type(node.primitive).__name__, node.inputs, node.shape))
        for field in fields(node.primitive):
            note(field.name)
            note(getattr(node.primitive, field.name))


def as_bytes(question: dict[str, str], sections: dict[str, Section]) -> bytes:
    """The file."""
    from safetensors.torch import save

    tensors, data = {}, {}
    for name, section in sections.items():
        data[name] = section.data
        tensors |= {f"{name}.{part}": tensor for part, tensor in section.tensors.items()}
    payload = save(tensors, {"question": json.dumps(question), "searches": json.dumps(data)})
    return FORMAT + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def _section(loop: Loop, goal: Goal) -> Section:
    tensors = {
        f"{part}.{field.name}": getattr(getattr(loop.state, part), field.name).contiguous()
        for part, kind in PARTS.items()
        for field in fields(kind)
    }
    data = {
        "goal": repr(goal),
        "boxes": loop.state.boxes,
        "batch": loop.batch,
        "before": float(loop.before).hex(),
        "orders": {str(order): float(gain).hex() for order, gain in loop.orders.gains.items()},
    }
    return Section(data, tensors)


def _loop(section: Section, problem: Problem, goal: Goal) -> Loop:
    """What a section means for a problem.

    Raises:
        Impossible: no search for it can have left this.
    """
    data = section.data
    if set(data) != {"goal", "boxes", "batch", "before", "orders"}:
        raise Impossible("a search has other fields than are written here")
    parts = {}
    fresh = start(problem, 1)
    # The axis that counts leaves, or points, is the one that changes with their number.
    shapes = {
        "leaves": (fresh.leaves.take(torch.tensor([0])), fresh.leaves.take(torch.tensor([0, 0]))),
        "points": (fresh.points, fresh.points.join(fresh.points)),
    }
    for part, kind in PARTS.items():
        names = [field.name for field in fields(kind)]
        if {n for n in section.tensors if n.startswith(part)} != {f"{part}.{n}" for n in names}:
            raise Impossible(f"{part} has other tensors than are written here")
        count, read = None, []
        for name in names:
            tensor = section.tensors[f"{part}.{name}"]
            one, two = (getattr(template, name) for template in shapes[part])
            count = _count(tensor, one, two, count, f"{part}.{name}")
            read.append(tensor)
        parts[part] = kind(*read)
    boxes = data["boxes"]
    if type(boxes) is not int or not 0 <= boxes < 2**60:
        raise Impossible("the number of boxes is none")
    state = sound(problem, State(parts["leaves"], parts["points"], boxes))
    if data["goal"] != repr(goal):
        state = renewed(state)
    orders = _orders(data["orders"], candidates(problem.variables))
    return Loop(state, orders, _batch(data["batch"]), _seconds(data["before"]))


def _count(tensor: Tensor, one: Tensor, two: Tensor, count: int | None, name: str) -> int:
    """How many leaves or points a tensor is for; it has to be as many as `count`, if given."""
    axes = [i for i, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b]
    axis = axes[0] if axes else [i for i, size in enumerate(one.shape) if size == 0][0]
    rest = [(a, b) for i, (a, b) in enumerate(zip(tensor.shape, one.shape, strict=False))
            if i != axis]  # fmt: skip
    fits = tensor.ndim == one.ndim and all(a == b for a, b in rest)
    if tensor.dtype != one.dtype or not fits:
        raise Impossible(f"{name} has another shape or type than is written here")
    if count is not None and tensor.shape[axis] != count:
        raise Impossible(f"{name} has another length than its neighbors")
    return tensor.shape[axis]


def renewed(state: State) -> State:
    """The state for another goal: leaves that were given up are tried again."""
    parts = {f.name: getattr(state.leaves, f.name) for f in fields(Leaves)}
    parts["stale"] = parts["stale"].clamp(max=0)
    return State(Leaves(**parts), state.points, state.boxes)


def _orders(data: Any, known: tuple[int, ...]) -> Orders:
    if not isinstance(data, dict) or not set(data) <= set(map(str, known)):
        raise Impossible("the gains of the orders are none")
    return Orders(known, {int(order): _number(gain) for order, gain in data.items()})


def _batch(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value < 2**31):
        raise Impossible("the size of a batch is none")
    return value


def _seconds(text: Any) -> float:
    if (value := _number(text)) < 0:
        raise Impossible("a negative time")
    return value


def _number(text: Any) -> float:
    try:
        value = float.fromhex(text) if isinstance(text, str) and len(text) < 32 else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise Impossible("a number that is none")
    return value


def _unreadable(path: str, why: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path}: not a sound state of a search: {why}; remove it to start anew, or name another "
        "file with --resume"
    )


def _read(path: str, question: dict[str, str]) -> dict[str, Section]:
    """The sections of the file; none if there is no file."""
    try:
        with open(path, "rb") as file:
            raw = file.read(128)
            line = LINE.match(raw)
            if line is None:
                raise UnreadableFile(
                    f"{path}: not the state of a search, and left as it is; name another file "
                    "with --resume"
                )
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise _unreadable(path, f"more than {MOST_BYTES >> 30} GiB")
            file.seek(line.end())
            payload = file.read(MOST_BYTES)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"{path}: cannot be read ({why})") from error
    if hashlib.sha256(payload).hexdigest().encode() != line[1]:
        raise _unreadable(path, "the checksum does not fit: it was changed or damaged")
    try:
        asked, searches, tensors = _parsed(payload)
    except Impossible as why:
        raise _unreadable(path, str(why)) from None
    _same(path, asked, question)
    return {
        name: Section(data, {k[len(name) + 1 :]: t for k, t in tensors.items()
                             if k.startswith(name + ".")})
        for name, data in searches.items()
    }  # fmt: skip


def _parsed(payload: bytes) -> tuple[dict[str, str], dict[str, Any], dict[str, Tensor]]:
    """Question, searches and tensors of the safetensors part."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(payload)
        size = int.from_bytes(payload[:8], "little")
        words = json.loads(payload[8 : 8 + size])["__metadata__"]
        asked, searches = (json.loads(words[name]) for name in ("question", "searches"))
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Impossible(f"no safetensors file of this kind ({str(error)[:120]!r})") from None
    if not isinstance(asked, dict) or not all(isinstance(v, str) for v in asked.values()):
        raise Impossible("it does not say what it is about")
    if not isinstance(searches, dict) or len(searches) > MOST_SEARCHES:
        raise Impossible("it does not say which searches it holds")
    if not all(
        re.fullmatch("[0-9a-f]{64}", n) and isinstance(d, dict) for n, d in searches.items()
    ):
        raise Impossible("a search has no name")
    return asked, searches, tensors


def _same(path: str, asked: dict[str, str], question: dict[str, str]) -> None:
    """Refuse the state of another question.

    Raises:
        BadRequest: naming everything in which they differ.
    """
    pairs = [(n, asked.get(n, ""), question.get(n, "")) for n in sorted({*asked, *question})]
    differ = [f"{n}: {ascii(a)[:80]} there, {ascii(b)[:80]} here" for n, a, b in pairs if a != b]
    if differ:
        raise BadRequest(
            f"{path}: the state of another search: {'; '.join(differ)}; ask the same question, "
            "or name another file with --resume"
        )
