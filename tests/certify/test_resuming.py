"""Searches kept in a file: same bracket wherever they are cut, nothing damaged is ever read."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import certify.resuming as resuming
from certify.checking import check
from certify.cli import app
from certify.errors import BadRequest, UnreadableFile
from certify.frontend import load
from certify.options import Options
from certify.resuming import StateFile, as_bytes, problem_digest
from certify.run import Limits

ROOT = Path(resuming.__file__).parents[1]
# So much time that none of the shares of it runs out: what is left of the budget decides nothing.
OPTIONS = Options(cells=3, gap=1e-6, limits=Limits(3600))


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    """The file is written after each step; small batches make many steps."""
    import certify.run as loop

    monkeypatch.setattr(resuming, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(resuming, "SHARE", 0)
    monkeypatch.setattr(loop, "BATCH", 8)
    monkeypatch.setattr(loop, "FIRST", 4)


@pytest.fixture(scope="module")
def model(tiny_file):
    return load(tiny_file)


def ends(report):
    """Everything the brackets say, to the bit."""
    known = report.known
    numbers = [*known.sup, *known.witness]
    tensors = (known.cell_sup, known.range, known.variation, known.target_variation)
    return [n.hex() for n in numbers] + [t.tolist() for t in tensors]


class Stop(Exception):
    """Stands for the end of the process."""


def stopped_after(steps):
    seen = []

    def watch(progress):
        seen.append(progress)
        if len(seen) == steps:
            raise Stop

    return watch


@pytest.fixture(scope="module")
def unbroken(model):
    import certify.run as loop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "BATCH", 8)
        patch.setattr(loop, "FIRST", 4)
        steps = []
        return check(model, "exp", OPTIONS, steps.append), len(steps)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_cut_anywhere_it_ends_with_the_same_bracket(model, unbroken, share, tmp_path):
    report, steps = unbroken
    at = 1 + int(share * (steps - 1))
    with pytest.raises(Stop):
        check(model, "exp", OPTIONS, stopped_after(at), resume=tmp_path / "state")
    seen = []
    again = check(model, "exp", OPTIONS, seen.append, resume=tmp_path / "state")
    assert ends(again) == ends(report) and len(seen) == steps - at + 1
    assert again.outcome.before > 0 and again.outcome.state.boxes == report.outcome.state.boxes
    assert os.listdir(tmp_path) == ["state"]


def test_at_the_end_there_is_nothing_left_to_do(model, unbroken, tmp_path):
    first = check(model, "exp", OPTIONS, resume=tmp_path / "state")
    seen = []
    second = check(model, "exp", OPTIONS, seen.append, resume=tmp_path / "state")
    assert len(seen) == 1 and ends(second) == ends(first) == ends(unbroken[0])


def test_a_stricter_gap_goes_on(model, tmp_path):
    rough = replace(OPTIONS, gap=0.5)
    first = check(model, "exp", rough, resume=tmp_path / "state")
    again = check(model, "exp", OPTIONS, resume=tmp_path / "state")
    assert again.closed and again.outcome.stopped_by == "closed"
    low, high = first.known.sup
    assert low <= again.known.sup[0] <= again.known.sup[1] <= high


def test_the_derivative_is_kept_too(model, tmp_path):
    options = replace(OPTIONS, gap=1e-3, monotone=True, lipschitz=3.0)
    first = check(model, "exp", options, resume=tmp_path / "state")
    seen = []
    second = check(model, "exp", options, seen.append, resume=tmp_path / "state")
    assert len(seen) == 2 and second.slopes.outcome.before > 0
    assert [c.verdict for c in second.claims] == [c.verdict for c in first.claims]
    for name in ("least", "greatest", "rising", "falling"):
        assert getattr(second.slopes, name) == getattr(first.slopes, name)


@pytest.mark.parametrize(
    ("target", "change", "named"),
    [
        ("sin(x)", {}, "target"), ("exp", {"domain": (-1.0, 0.5)}, "domain"),
        ("exp", {"cells": 4}, "cells"), ("exp", {"width": 0.5}, "cells"),
    ],
)  # fmt: skip
def test_another_question_is_refused_by_name(model, tmp_path, target, change, named):
    options = replace(OPTIONS, gap=0.5, domain=(-1.0, 1.0))
    check(model, "exp", options, resume=tmp_path / "state")
    before = (tmp_path / "state").read_bytes()
    with pytest.raises(BadRequest, match=f"the state of another search: .*{named}: "):
        check(model, target, replace(options, **change), resume=tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == before


def test_the_engine_is_all_that_enclosures_are_made_of(monkeypatch):
    """Every module of theory that one of the domains imports."""
    read, seen = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen.append(path) or read(path))
    resuming.engine_digest()
    for source in (ROOT / "certify" / "domains").glob("*.py"):
        assert source in seen
        for name in re.findall(r"^from theory\.(\w+) import|^from theory import (\w+)",
                               source.read_text(), re.MULTILINE):  # fmt: skip
            assert ROOT / "theory" / f"{''.join(name)}.py" in seen, name


def test_another_model_or_engine_is_refused_by_name(model, tmp_path, monkeypatch):
    check(model, "exp", replace(OPTIONS, gap=0.5), resume=tmp_path / "state")
    with pytest.raises(BadRequest, match="another search: model: "):
        check(replace(model, sha256="0" * 64), "exp", OPTIONS, resume=tmp_path / "state")
    monkeypatch.setattr(resuming, "engine_digest", lambda: "another")
    with pytest.raises(BadRequest, match="another search: engine: "):
        check(model, "exp", OPTIONS, resume=tmp_path / "state")


def test_the_digest_of_a_problem_sees_every_part(model):
    problem = check(model, "exp", replace(OPTIONS, gap=0.5)).outcome.problem
    graph = problem.graph
    seen = {problem_digest(problem), problem_digest(replace(problem, cells=problem.cells[:2]))}
    ways = ("order", "back", "margin", "floor")
    seen |= {problem_digest(replace(problem, **{n: 3})) for n in ways}
    for place, node in enumerate(graph.nodes):
        for field in fields(node.primitive):
            value = getattr(node.primitive, field.name)
            if value is not None and field.name != "function":
                changed = replace(node.primitive, **{field.name: value + 1})
                nodes = list(graph.nodes)
                nodes[place] = replace(node, primitive=changed)
                seen.add(problem_digest(replace(problem, graph=replace(graph, nodes=tuple(nodes)))))
    parts = sum(
        getattr(n.primitive, f.name) is not None and f.name != "function"
        for n in graph.nodes for f in fields(n.primitive)
    )  # fmt: skip
    assert len(seen) == 6 + parts and parts > 5


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory):
    """The bytes of a state, with its question and its problem."""
    path = tmp_path_factory.mktemp("state") / "state"
    report = check(model, "exp", replace(OPTIONS, gap=0.5), resume=path)
    keeper = report.options.limits.keeper
    return path.read_bytes(), keeper._question, report.outcome.problem, report.options.goal


def test_every_damaged_byte_is_seen(kept, tmp_path):
    data, asked, problem, goal = kept
    rng = random.Random(0)
    for _ in range(200):
        broken = bytearray(data)
        broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "state").write_bytes(broken)
        with pytest.raises(UnreadableFile, match="state"):
            StateFile(tmp_path / "state", asked)
    for size in (0, 10, 80, 500, len(data) - 1):
        (tmp_path / "state").write_bytes(data[:size])
        with pytest.raises(UnreadableFile):
            StateFile(tmp_path / "state", asked)


def change(kept, path, edit):
    """A state with right checksum in which `edit` changed the one search's data and tensors."""
    data, asked, problem, goal = kept
    path.write_bytes(data)
    sections = StateFile(path, asked)._sections
    (section,) = sections.values()
    edit(section.data, section.tensors)
    path.write_bytes(as_bytes(asked, sections))
    return StateFile(path, asked).found(problem, goal)


def test_unchanged_it_is_found(kept, tmp_path):
    assert change(kept, tmp_path / "state", lambda data, tensors: None).state.boxes > 0


@pytest.mark.parametrize("name", ["leaves.box", "leaves.bounds", "points.x", "leaves.stale"])
def test_tensors_of_another_form_are_refused(kept, tmp_path, name):
    def gone(data, tensors):
        del tensors[name]

    def other_type(data, tensors):
        tensors[name] = tensors[name].float()

    def shorter(data, tensors):
        tensors[name] = tensors[name][..., :-1].contiguous()

    def flat(data, tensors):
        tensors[name] = tensors[name].reshape(-1, 1, 1, 1)

    def more(data, tensors):
        tensors[name + "2"] = tensors[name].clone()

    for edit in (gone, other_type, shorter, flat, more):
        with pytest.raises(UnreadableFile, match="not a sound state"):
            change(kept, tmp_path / "state", edit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": -1}, {"boxes": 1.5}, {"boxes": True}, {"batch": 0}, {"batch": "8"},
        {"before": "nan"}, {"before": "-0x1.0p+0"}, {"before": 1.0}, {"orders": {"3": "0x1.0p+0"}},
        {"orders": []}, {"orders": {"8": "inf"}}, {"more": 1},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(kept, tmp_path, wrong):
    with pytest.raises(UnreadableFile, match="not a sound state"):
        change(kept, tmp_path / "state", lambda data, tensors: data.update(wrong))


def test_another_goal_tries_leaves_again(kept, tmp_path):
    def old(data, tensors):
        tensors["leaves.stale"] = torch.full_like(tensors["leaves.stale"], 2)

    def asked_differently(data, tensors):
        old(data, tensors)
        data["goal"] = "another"

    assert int(change(kept, tmp_path / "state", old).state.leaves.stale.min()) == 2
    found = change(kept, tmp_path / "state", asked_differently)
    assert int(found.state.leaves.stale.max()) == 0


def test_a_file_that_is_no_state_is_left_alone(model, tiny_file):
    before = tiny_file.read_bytes()
    with pytest.raises(UnreadableFile, match="not the state of a search, and left as it is"):
        check(model, "exp", OPTIONS, resume=tiny_file)
    assert tiny_file.read_bytes() == before


def test_a_full_disk_does_not_end_the_search(model, unbroken, tmp_path, monkeypatch):
    def full(path, data):
        raise BadRequest("cannot write: No space left on device")

    monkeypatch.setattr(resuming, "replace_file", full)
    report = check(model, "exp", OPTIONS, resume=tmp_path / "state")
    assert ends(report) == ends(unbroken[0])
    assert "No space left" in report.options.limits.keeper.failure


def test_killed_at_random_moments(model, unbroken, tmp_path):
    """SIGKILL, five times, to a process that is searching; then once more to the end."""
    rng, path = random.Random(os.environ.get("PLATEAU_SEED", "0")), tmp_path / "state"
    for _ in range(5):
        child = os.fork()
        if not child:
            try:
                check(model, "exp", OPTIONS, lambda p: time.sleep(0.02), resume=path)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.01, 0.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if path.exists():
            data = path.read_bytes()
            line = resuming.LINE.match(data)
            assert resuming.hashlib.sha256(data[line.end() :]).hexdigest().encode() == line[1]
    assert ends(check(model, "exp", OPTIONS, resume=path)) == ends(unbroken[0])


def test_on_the_command_line(tiny_file, tmp_path):
    state = tmp_path / "state"
    command = ["check", str(tiny_file), "--target", "exp", "--cells", "2", "--json", "-"]
    runs = [CliRunner().invoke(app, [*command, "--resume", str(state)]) for _ in range(2)]
    found = [json.loads(run.stdout) for run in runs]
    assert [run.exit_code for run in runs] == [0, 0]
    assert found[0]["sup_error"] == found[1]["sup_error"] and found[0]["cells"] == found[1]["cells"]
    before = [one["search"]["seconds_of_earlier_runs"] for one in found]
    assert before[0] == 0 < before[1]
    wrong = CliRunner().invoke(app, [*command, "--domain", "0", "1", "--resume", str(state)])
    assert wrong.exit_code == 2 and "domain" in wrong.output and "Traceback" not in wrong.output


def test_two_processes_with_one_state(tiny_file, tmp_path):
    """The second one is refused; when the first one is killed the file is free again."""
    state, ours = str(tmp_path / "state"), os.pipe()
    child = os.fork()
    if not child:
        with resuming.kept(state):
            os.write(ours[1], b"held")
            time.sleep(60)
        os._exit(0)
    os.read(ours[0], 4)
    command = ["check", str(tiny_file), "--target", "exp", "--cells", "2", "--resume", state]
    refused = CliRunner().invoke(app, command)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert refused.exit_code == 2 and "another process keeps its search" in refused.output
    with resuming.kept(state):
        pass
