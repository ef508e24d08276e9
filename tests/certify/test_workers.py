"""Whoever encloses the boxes, the answer is the same, bit for bit; what is lost is done again."""

from __future__ import annotations

import os
import pickle
import signal
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import textbook
import torch
from questions import problem, same

import certify.workers as workers
from certify.goal import Goal
from certify.graph import Builder
from certify.options import Options
from certify.run import Limits, search
from certify.search import Leaves, Problem, assess, start, step
from certify.workers import Here, Payloads, Processes, enclosed, pieces, received
from theory.functions import FUNCTIONS


@pytest.fixture
def divided(monkeypatch):
    """Pieces of a few boxes, whatever the graph."""
    monkeypatch.setattr(workers, "SMALL", 0)
    monkeypatch.setattr(workers, "PIECE", 1500)


@pytest.fixture(scope="module")
def pool():
    with Processes(2, patience=0.0) as found:
        deadline = time.monotonic() + 120
        while not found.ready():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield found


class Counting(Here):
    """Never helps, and counts the pieces."""

    def __init__(self):
        self.seen, self.again = [], []  # once, and again by blocks

    def __call__(self, problem, box, old, enough, *, deep=False):
        seen = self.again if deep else self.seen
        seen.append(pieces(problem.graph, len(box), deep))
        return super().__call__(problem, box, old, enough, deep=deep)


def test_pieces_cover_and_depend_on_the_graph_alone(monkeypatch):
    graph = problem().graph
    assert pieces(graph, 256) == [slice(0, 256)]
    monkeypatch.setattr(workers, "SMALL", 0)
    for piece in (1, 5000, 10**5):
        monkeypatch.setattr(workers, "PIECE", piece)
        for boxes in (1, 7, 64, 256):
            found = pieces(graph, boxes)
            assert [i for p in found for i in range(p.start, p.stop)] == list(range(boxes))
            assert (
                max(p.stop - p.start for p in found) - 1 <= min(p.stop - p.start for p in found) * 2
            )


@pytest.mark.parametrize("deep", [False, True])
def test_a_worker_answers_what_is_computed_here(deep):
    question = problem()
    state = start(question, 8)
    box, cell = state.leaves.box, state.leaves.cell
    payload = pickle.dumps(replace(question, order=3))
    answer = enclosed(payload, 8, box.numpy(), cell.numpy(), 0.0, deep)
    here = assess(question, box, cell, 0.0, deep=deep)
    assert same(received(answer, box, state.leaves), here)
    assert deep != same(here, assess(question, box, cell, 0.0))


def test_only_the_form_that_was_asked_for_is_taken():
    question = problem()
    state = start(question, 8)
    box, like = state.leaves.box, state.leaves
    good = enclosed(pickle.dumps(question), 8, box.numpy(), like.cell.numpy(), 0.0, False)
    names = [f.name for f in fields(Leaves)]

    def changed(name, value):
        out = list(good)
        out[names.index(name)] = value
        return tuple(out)

    def spoiled(value):
        bounds = good[names.index("bounds")].copy()
        bounds[0, 1, 3] = value
        return bounds

    assert received(good, box, like) is not None
    for bad in (
        None,
        "leaves",
        good[:-1],
        list(good),
        changed("rem", good[names.index("rem")][:-1]),
        changed("rem", good[names.index("rem")].astype(np.float32)),
        changed("rem", good[names.index("rem")].tolist()),
        changed("bounds", spoiled(np.nan)),
        changed("bounds", spoiled(-np.inf)),
        changed("box", good[names.index("box")] + 1e-9),
        changed("cell", good[names.index("cell")][::-1].copy() + 1),
    ):
        assert received(bad, box, like) is None


def test_processes_give_the_same_search(pool, divided, monkeypatch):
    """The same brackets, leaves and points; and the other process did work."""
    question, goal = problem(), Goal(gap=1e-9, plateaus=False)
    answers, helped = Processes.answers, []

    def watched(self, *args):
        found = answers(self, *args)
        helped.extend(isinstance(a, tuple) for a in found)
        return found

    monkeypatch.setattr(Processes, "answers", watched)
    here, there = (search(question, goal, Limits(300, workers=w)) for w in (Here(), pool))
    assert same(here.state.leaves, there.state.leaves) and any(helped)
    assert here.known.sup == there.known.sup
    assert torch.equal(here.state.points.bounds, there.state.points.bounds)
    assert torch.equal(here.known.variation, there.known.variation)


def test_a_killed_process_loses_nothing(pool, divided):
    question = problem()
    state, left = start(question, 64), pool.left
    which = torch.arange(len(state.leaves))
    for pid in list(pool.pool._processes):
        os.kill(pid, signal.SIGKILL)
    after, _ = step(question, state, which, 1e-6, by=pool)
    expected, _ = step(question, state, which, 1e-6, by=Here())
    assert same(after.leaves, expected.leaves) and pool.pool is None
    deadline = time.monotonic() + 120
    while not pool.ready():  # a new one takes its place
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert pool.left == left - 1
    assert same(step(question, state, which, 1e-6, by=pool)[0].leaves, expected.leaves)


def test_processes_wait_until_it_pays():
    pool = Processes(3)
    assert not pool.ready() and pool.pool is None
    assert not Processes(1, patience=0.0).ready()
    pool.close()


def test_every_search_asks_the_workers(tiny_file, divided):
    """Values and slopes both."""
    from certify import checking

    counting = Counting()
    options = Options(cells=2, slopes=True, limits=Limits(5, workers=counting))
    report = checking.check(str(tiny_file), "exp", options)
    total = report.outcome.state.boxes + report.slopes.outcome.state.boxes
    assert sum(p[-1].stop for p in counting.seen) == total and counting.again


def test_payloads_are_made_once():
    payloads, question = Payloads(), problem()
    first = payloads.of(question)
    assert payloads.of(replace(question, order=5)) is first
    assert payloads.of(replace(question, floor=0.5)) is not first
    b = Builder((1,))
    other = Problem(textbook.difference(b, 0, b.apply(FUNCTIONS["exp"], 0)), question.cells)
    assert payloads.of(other) is not first and len(payloads.known) == 3
