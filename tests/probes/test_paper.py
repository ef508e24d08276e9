"""The experiment runner: the grid, results kept once, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from certify import load
from probes import failure, fitting, paper
from probes.paper import Grid, failure_curves, measure, run
from probes.paper import test_set as points_of
from probes.recipes import setting
from probes.store import Store
from theory.errors import BadRequest


def tiny(recipe="fair", seed=0, steps=20, **model):
    training = {"steps": steps, "batch": 8, "every": 10, "warmup": 2}
    one = setting(recipe, "scheme-one", 4, seed=seed, training=training,
                  model={"layers": 1, **model})  # fmt: skip
    return replace(one, tests=200)


GRID = [tiny("released"), tiny("obstructed"), tiny(), tiny(classes=3), tiny(seed=1)]


@pytest.fixture(autouse=True)
def no_models(monkeypatch):
    """Writing a model takes longer than training one here; one test asks for it."""
    monkeypatch.setattr(paper, "LARGEST_SAVED", 0)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path).opened() as opened:
        yield opened


def contents(store):
    files = [*store.folder.glob("results/*"), *store.folder.glob("models/*")]
    return {file.name: file.read_bytes() for file in files}


def test_every_setting_is_measured_once(store, monkeypatch):
    outcomes = run(GRID, store, budget=1000)
    assert [outcome.setting for outcome in outcomes] == GRID
    assert [o.result["task"] for o in outcomes] == [*["regression"] * 3, "classification",
                                                    "regression"]  # fmt: skip
    assert not list(store.folder.glob("checkpoints/*"))
    monkeypatch.setattr(paper, "fit", None)
    assert [o.result for o in run(GRID, store, budget=1000)] == json.loads(
        json.dumps([o.result for o in outcomes])
    )


def test_a_setting_that_differs_in_anything_is_measured_anew(store):
    first = measure(GRID[2], store)
    for other in (tiny(steps=21), replace(GRID[2], tests=201), tiny(seed=1)):
        assert store.get(other.content()) is None
        assert measure(other, store)["measured"] != first["measured"]
    assert store.get(GRID[2].content())["measured"]["rmse"] == first["measured"]["rmse"]


def test_the_model_measured_is_the_one_its_file_gives_back(store, monkeypatch):
    monkeypatch.setattr(paper, "LARGEST_SAVED", 2**20)
    one = tiny("released", positions="learned")
    result = measure(one, store)
    model = torch.export.load(store.model(one.key)).module()
    inputs, wanted = points_of(one)
    found = torch.cat([model(x[None].float()) for x in inputs]).double()
    rmse = float((found.detach() - wanted).square().mean().sqrt())
    assert rmse == pytest.approx(result["measured"]["rmse"], rel=1e-4)
    kept = fitting.answers(fitting.fit(one).model, inputs)
    assert rmse != pytest.approx(float((kept - wanted).square().mean().sqrt()), rel=1e-3)
    assert tuple(load(store.model(one.key)).inputs) == (1, 2, 4)


def test_out_of_time_the_training_is_saved_and_goes_on(store):
    outcomes = run(GRID, store, budget=0.0)
    assert [outcome.result for outcome in outcomes] == [None] * 5
    assert [file.name for file in store.folder.glob("checkpoints/*")] == [f"{GRID[0].key}.ckpt"]
    starts = 1
    while any(outcome.result is None for outcome in outcomes):
        outcomes = run(GRID, store, budget=0.0)
        starts += 1
    assert starts > 5
    assert not list(store.folder.glob("checkpoints/*"))
    with Store(store.folder / "unbroken").opened() as other:
        run(GRID, other, budget=1000)
        assert contents(other) == contents(store)


PROGRAM = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
import test_paper
from probes import fitting, paper
from probes.store import Store
fitting.SAVE_EVERY = 0.0
paper.LARGEST_SAVED = 0
def slowly(done, total, words, share):
    print(done, share, flush=True)
    time.sleep(0.02)
with Store(Path(sys.argv[1])).opened() as store:
    test_paper.run(test_paper.GRID, store, budget=1000, progress=slowly)
"""


def test_killed_at_any_moment_it_loses_at_most_the_model_in_training(tmp_path):
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "a"), os.path.dirname(__file__)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("3 0.5"):  # three models done, half of the fourth
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    with Store(tmp_path / "a").opened() as store, Store(tmp_path / "b").opened() as other:
        before = contents(store)
        assert sum(store.get(one.content()) is not None for one in GRID) == 3
        heard = []
        run(GRID, store, budget=1000, progress=lambda done, *_: heard.append(done))
        assert set(heard) <= {3, 4}
        assert before.items() <= contents(store).items()
        run(GRID, other, budget=1000)
        assert contents(store) == contents(other)


def test_the_default_grid():
    settings = Grid().settings()
    assert len({one.key for one in settings}) == len(settings) == 38
    regression = [o for o in settings if not o.model.classes and o.scheme == "scheme-one"]
    assert {(o.recipe, o.model.d, o.seed) for o in regression} == {
        (recipe, d, seed)
        for recipe in ("released", "fair", "obstructed")
        for d in (4, 16)
        for seed in (0, 1)
    }
    assert settings[0].recipe == "released"


def test_the_full_grid():
    settings = Grid.everything().settings()
    assert {one.model.d for one in settings} == {4, 8, 16, 32, 64, 256}
    assert {one.model.layers for one in settings} == {2, 4, 6}
    assert {one.seed for one in settings} == set(range(5))
    # tasks * recipes: regression 3, classification 2; of 2 schemes and 2 architectures
    assert len({one.key for one in settings}) == 6 * 3 * 5 * (3 + 2) * 4
    assert {one.key for one in Grid().settings()} <= {one.key for one in settings}


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"dimensions": ()}, {"layers": (2, 0)}])
def test_grids_that_mean_nothing_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(BadRequest, match=f"{name} must be positive"):
        Grid(**wrong)
    with pytest.raises(BadRequest, match="at least 2"):
        Grid(dimensions=(1,))


def test_failure_curves_are_computed_once(store, monkeypatch):
    monkeypatch.setattr(failure, "SIZES", (10, 100))
    monkeypatch.setattr(failure, "ANSWERS", 50)
    first = failure_curves(store)
    assert set(first) == {(d, r) for d in (4, 8, 32) for r in (0.1, 0.3, 1.0)}
    started = time.monotonic()
    monkeypatch.setattr(failure, "curve", None)
    assert failure_curves(store) == first
    assert time.monotonic() - started < 5
    monkeypatch.undo()
    assert store.get(failure.settings(4, 0.1)) is None
