"""The scaling study: kept, gone on with, and told as it is."""

import csv
import io
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from probes import cli, scaling
from probes.scaling import Grid, Point, Setting, run
from probes.scaling_figure import scaling_figure
from probes.scaling_tables import as_csv, findings, page
from probes.store import Store
from theory.errors import BadRequest

TINY = Grid(layers=(1,), widths=(2, 4), steps=(5, 40), budget=0.5)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scaling")
    with Store(folder).opened() as store:
        heard = []
        points = run(TINY, store, progress=lambda *words: heard.append(words))
    return folder, points, heard


def test_every_encoder_is_trained_and_certified(done):
    folder, points, heard = done
    assert [p.setting.width for p in points] == [2, 4, 2, 4]
    assert [p.setting.steps for p in points] == [5, 5, 40, 40]
    assert heard[1] == (1, 4, "1 layers, width 4, 5 steps, seed 0")
    for p in points:
        assert 0 < p.sup[0] <= p.sup[1] and p.sampled <= p.sup[1]
        assert 0 <= p.longest[0] <= p.longest[1] <= 2 and p.side == 2
        assert p.predicted == (2 / p.step if p.step else None)
    assert any(p.step for p in points)
    assert len(list((folder / "models").iterdir())) == 4


def test_what_is_kept_is_not_computed_again(done, monkeypatch):
    folder, points, _ = done
    monkeypatch.setattr(scaling, "_train", None)
    monkeypatch.setattr("certify.checking.check", None)
    with Store(folder).opened() as store:
        assert run(TINY, store) == points


def test_a_spent_budget_begins_nothing_and_reads_what_there_is(done, tmp_path, monkeypatch):
    folder, points, _ = done
    monkeypatch.setattr(scaling, "_train", None)
    with Store(folder).opened() as store:
        more = replace(TINY, widths=(2, 4, 8))
        found = run(more, store, budget=1e-9)
        assert [p for p in found if p] == points and found.count(None) == 2
    with Store(tmp_path).opened() as store:
        assert run(TINY, store, budget=1e-9) == [None] * 4


def test_an_interrupt_keeps_what_was_finished(tmp_path, monkeypatch):
    true, calls = scaling._train, []

    def once(*words):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return true(*words)

    monkeypatch.setattr(scaling, "_train", once)
    with Store(tmp_path).opened() as store:
        with pytest.raises(KeyboardInterrupt):
            run(TINY, store)
        found = run(TINY, store, budget=1e-9)
    assert [p is None for p in found] == [False, True, True, True]


def test_a_model_that_is_gone_or_changed(done, tmp_path):
    with Store(tmp_path).opened() as store:
        grid = replace(TINY, widths=(2,), steps=(5,))
        run(grid, store)
        (file,) = (tmp_path / "models").iterdir()
        file.unlink()
        with pytest.raises(BadRequest, match="remove its result to train again"):
            run(grid, store)


def test_settings_have_keys_of_their_own():
    settings = Grid(seeds=2).settings()
    contents = {json.dumps(s.content(), sort_keys=True) for s in settings}
    assert len(settings) == len(contents) == 72
    assert Setting("exp", 1, 3, 5).config.heads == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"layers": ()}, "layers must be"), ({"steps": (0,)}, "steps must be"),
     ({"seeds": 0}, "seeds must be"), ({"budget": float("nan")}, "certify-budget must be"),
     ({"target": "no_such"}, "no target"), ({"widths": (10**6,)}, "small encoders")],
)  # fmt: skip
def test_grids_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(BadRequest, match=message):
        Grid(**wrong)


def point(**changed):
    usual = {"setting": Setting("exp", 2, 8, 100), "parameters": 9, "sampled": 0.01,
             "sup": (0.01, 0.0101), "longest": (0.0, 0.0), "step": 0.007, "stopped": "closed",
             "side": 2.0}  # fmt: skip
    return Point(**{**usual, **changed})


def test_the_findings_count_what_is_proved():
    points = [point(), point(longest=(0.5, 0.6), sup=(0.3, 0.31), step=0.26),
              point(longest=(0.0, 0.1), step=None)]  # fmt: skip
    text = findings(points)
    assert "at most 0.0101 with 2 layers; the construction takes 285" in text
    assert "2 of 2 encoders have fewer layers" in text
    assert "1 of 3 have no plateau at any width, 1 have one, and of 1 it is not decided" in text
    assert "The widest is [0.5, 0.6]" in text and "0.299 or more" in text
    assert findings([]) == ""


def test_tables_hold_the_numbers_in_full(done):
    _, points, _ = done
    rows = list(csv.DictReader(io.StringIO(as_csv([*points, None]))))
    assert [(float(r["sup_lo"]), float(r["sup_hi"])) for r in rows] == [p.sup for p in points]
    text = page(TINY, [*points, None], "scaling.svg")
    assert "4 of 5 encoders" in text and "](scaling.svg)" in text
    assert text.count("\n| ") == 6


def test_the_figure_is_svg_and_the_same_each_time(done):
    pytest.importorskip("matplotlib")
    _, points, _ = done
    data = scaling_figure([*points, None])
    assert data.startswith(b"<?xml") and data == scaling_figure(points)
    assert b"the construction" in data
    other = [replace(p, setting=replace(p.setting, target="sin3"), step=None) for p in points]
    assert b"the construction" not in scaling_figure(other)
    assert scaling_figure([point(longest=(0.0, 0.0), step=None)])


def test_the_command_goes_on_from_what_there_is(done, monkeypatch):
    folder, _, _ = done
    monkeypatch.setattr(scaling, "_train", None)
    words = ["scaling", "-o", str(folder), "--layers", "1", "--widths", "2,4", "--steps", "5,40",
             "--certify-budget", "0.5"]  # fmt: skip
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("encoders    4 of 4\n")
    for name in ("scaling.md", "scaling.csv", "scaling.svg"):
        assert (folder / name).stat().st_size > 100
    result = CliRunner().invoke(cli.app, [*words[:5], "--widths", "two"])
    assert result.exit_code == 2 and "--widths takes whole numbers" in result.stderr
