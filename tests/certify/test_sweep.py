"""Sweeps: one row a model whatever happens, results kept by content, the worst exit code."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from certify import sweep as sweeping
from certify.cli import app
from certify.cli_sweep import as_csv
from certify.options import Options
from certify.run import Limits
from certify.sources import sources
from certify.sweep import Job, Kept, digest, failed, row, sweep, worst
from theory.targets import find_target


@pytest.fixture
def job(tiny_file):
    options = Options(cells=2, within=5.0, limits=Limits(5))
    return Job(str(tiny_file), find_target("exp"), options)


@pytest.fixture
def here(monkeypatch):
    """Rows computed in this process, and which ones."""
    seen = []

    def computed(jobs, count):
        for i, job in jobs:
            seen.append(job.path)
            yield i, row(job)

    monkeypatch.setattr(sweeping, "_computed", computed)
    return seen


def test_exit_codes():
    assert worst([0, 3, 1]) == 1 and worst([3, 0]) == 3 and worst([0]) == 0
    assert worst([1, 2]) == 2 and worst([4, 2]) == 4 and worst([5, 4, 0]) == 5


def test_the_name_depends_on_everything(job, tmp_path, monkeypatch):
    other = tmp_path / "other.pt"
    shutil.copy(job.path, other)
    assert digest(replace(job, path=str(other))) == digest(job)
    changed = [
        replace(job, target=find_target("sin")),
        replace(job, target=find_target("exp", (-1.0, 0.5))),
        *(replace(job, options=replace(job.options, **change)) for change in (
            {"cells": 3}, {"tau": 0.2}, {"within": None}, {"gap": 0.1}, {"monotone": True},
            {"limits": Limits(6)}, {"limits": Limits(5, 100)},
        )),
    ]  # fmt: skip
    other.write_bytes(other.read_bytes() + b" ")
    names = {digest(j)[1] for j in [job, *changed, replace(job, path=str(other))]}
    assert len(names) == len(changed) + 2
    assert digest(replace(job, path=str(tmp_path / "none"))) == (None, None)
    for what in ("sources", "versions"):  # other code gives another name
        with monkeypatch.context() as patched:
            patched.setattr(sweeping, what, lambda: "other")
            assert digest(job)[1] not in names
    assert digest(job)[1] in names and len(sources()) == 64


def test_what_is_kept_is_not_computed_again(job, tmp_path, here, unsupported_file):
    junk = tmp_path / "junk.pt"
    junk.write_text("no model")
    jobs = [job, replace(job, path=str(junk)), replace(job, path=str(tmp_path / "none")),
            replace(job, path=str(unsupported_file))]  # fmt: skip
    kept = Kept(tmp_path / "kept")
    first = dict((i, r) for i, r, _ in sweep(jobs, kept, 1))
    assert [first[i]["exit_code"] for i in range(4)] == [0, 2, 2, 4]
    assert first[0]["claims"] == {"within": "PROVED"} and "bessel" in first[3]["reason"]
    assert here == [j.path for j in jobs]
    here.clear()
    second = {i: (r, known) for i, r, known in sweep(jobs, kept, 1)}
    assert {i: r for i, (r, _) in second.items()} == first and here == [jobs[2].path]
    assert [second[i][1] for i in range(4)] == [True, True, False, True]
    here.clear()
    list(sweep(jobs, kept, 1, again=True))
    assert len(here) == 4


def test_damaged_or_foreign_results_are_computed_again(job, tmp_path, here):
    kept = Kept(tmp_path / "kept")
    (_, good, _), = sweep([job], kept, 1)  # fmt: skip
    (place,) = kept.folder.glob("*.json")
    for text in ("", "[]", "{}", json.dumps(good)[:-9], json.dumps(good | {"sha256": "0" * 64}),
                 json.dumps(good | {"verdict": "REFUTED"}), json.dumps(good | {"sup_error": {}}),
                 json.dumps(good | {"exit_code": 7})):  # fmt: skip
        place.write_text(text)
        here.clear()
        (_, found, known), = sweep([job], kept, 1)  # fmt: skip
        assert here and not known and found["verdict"] == good["verdict"]


def test_what_may_pass_is_not_kept(job, tmp_path):
    kept = Kept(tmp_path / "kept")
    kept.write("a", failed(job, 5, "died"))
    kept.write("b", failed(job, 3, "") | {"stopped_by": "interrupt"})
    kept.write("c", failed(job, 3, "") | {"stopped_by": "memory"})
    assert not list(kept.folder.iterdir())
    kept.write("d", failed(job, 4, "no"))
    assert len(list(kept.folder.iterdir())) == 1


def test_a_file_changed_on_the_way_is_not_kept(job, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    shutil.copy(job.path, path)
    moving = replace(job, path=str(path))

    def computed(jobs, count):
        path.write_text("something else")
        yield 0, row(moving)

    monkeypatch.setattr(sweeping, "_computed", computed)
    kept = Kept(tmp_path / "kept")
    ((_, found, _),) = sweep([moving], kept, 1)
    assert found["exit_code"] == 2 and not list(kept.folder.iterdir())


def test_any_failure_is_a_row(job, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(sweeping, "check", broken)
    found = row(job)
    assert found["exit_code"] == 5 and found["reason"] == "ZeroDivisionError: a mistake of ours"


def test_a_dead_process_is_one_row(job):
    """In real processes: the model that kills its process is named, the others are checked."""

    class Target(type(job.target)):
        """Kills whoever unpickles it."""

        def __reduce__(self):
            return os._exit, (9,)

    killer = replace(job, target=Target("exp", job.target.expression, (-1.0, 1.0), "exp(x)"))
    rows = dict(sweeping._computed([(0, killer), (1, job)], 1))
    assert [rows[i]["exit_code"] for i in range(2)] == [5, 0]
    assert "its process died" in rows[0]["reason"]


def test_the_command(job, tmp_path, here, constant_file, unsupported_file):
    models = [job.path, str(constant_file)]
    asked = ["sweep", *models, "--target", "exp", "--cells", "2", "--within", "2.0",
             "--cache", str(tmp_path / "kept")]  # fmt: skip
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 1  # a constant is off by e - 1/4 > 2, the other one is not
    lines = result.stdout.splitlines()
    assert len(lines) == 3 and lines[2].split()[1] == "REFUTED" and "within REFUTED" in lines[2]
    place = tmp_path / "out.json"
    again = CliRunner().invoke(
        app, [*asked[:3], str(unsupported_file), *asked[3:], "--csv", "-", "--json", str(place)]
    )
    assert again.exit_code == 4
    rows = list(csv.DictReader(io.StringIO(again.stdout)))
    data = json.loads(place.read_text())
    assert data["schema"] == "certify-sweep/1" and data["exit_code"] == 4
    for line, found in zip(rows, data["rows"], strict=True):
        assert line["verdict"] == found["verdict"] and line["sha256"] == found["sha256"]
        if found["sup_error"]:
            assert float(line["sup_error_hi"]) == float.fromhex(found["sup_error"]["hi_hex"])
    for more, says in ((["--csv", "-", "--json", "-"], "standard output"),
                       (["--jobs", "0"], "at least 1"), (["--tau", "2"], "--tau")):  # fmt: skip
        refused = CliRunner().invoke(app, [*asked, *more])
        assert refused.exit_code == 2 and says in refused.output


def test_infinite_bounds_and_hostile_names_in_csv(job):
    sup = {"lo": 0.5, "hi": "inf", "witness": [None]}
    found = failed(job, 3, 'a "reason",\nover two lines') | {"sup_error": sup, "model": "=1+1"}
    (line,) = csv.DictReader(io.StringIO(as_csv([found])))
    assert float(line["sup_error_hi"]) == math.inf and line["witness"] == ""
    assert line["model"] == "./=1+1" and line["reason"] == found["reason"]
