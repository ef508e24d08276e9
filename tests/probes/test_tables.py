"""Tables, page and figure: the numbers of the outcomes, and words that follow from them."""

import csv
import io
import math
from dataclasses import replace

import pytest

from probes import figures, findings
from probes.certified import Certified
from probes.paper import Outcome
from probes.recipes import setting
from probes.tables import (
    as_csv,
    certified_errors,
    curves_csv,
    groups,
    readouts,
    regression_table,
    short,
    spread,
    verdicts,
)


def outcome(recipe, error, *, seed=0, d=4, architecture="transformer", classes=None):
    model = {"architecture": architecture, "classes": classes}
    one = setting(recipe, "scheme-one", d, seed=seed, model=model)
    if error is None:
        return Outcome(one, None)
    if classes:
        measured = {"accuracy": error, "constant_accuracy": 0.3}
    else:
        measured = {"relative_rmse": error, "sup_error": 3 * error, "constant_sup_error": 2.0,
                    "failure_rate": 0.5, "failures": [[100, 0.25], [1000, 0.5]],
                    "constant_failure_rate": 0.9999, "threshold": 0.1005,
                    "floor": None if recipe == "fair" else 0.5}  # fmt: skip
    return Outcome(one, {"measured": measured, "parameters": 7, "torch": "2"})


OUTCOMES = [
    outcome("released", 1.25),
    outcome("fair", 0.004),
    outcome("fair", 0.0062, seed=1),
    outcome("obstructed", 0.5625),
    outcome("obstructed", None, seed=1),
    outcome("fair", 0.9, classes=5),
]
CURVES = {
    (4, 0.1): {"sizes": [10, 1000], "rates": [0.0, 1.0], "predicted_size": 10201.0},
    (32, 0.1): {"sizes": [10, 1000], "rates": [0.0, 0.0], "predicted_size": 1.17e32},
    (4, 1.0): {"sizes": [10, 1000], "rates": [0.75, 1.0], "predicted_size": 4.0},
}


def page(outcomes):
    return findings.page(outcomes, CURVES, None)


def section(text, head):
    return text.split(f"## {head}")[1].split("\n## ")[0]


def test_seeds_are_grouped_and_missing_ones_counted():
    found = groups(OUTCOMES)
    assert [(g.setting.recipe, len(g.results), g.planned) for g in found] == [
        ("released", 1, 1),
        ("fair", 2, 2),
        ("fair", 1, 1),
        ("obstructed", 1, 2),
    ]


def test_csv_has_a_line_per_model_and_empty_certified_columns():
    rows = list(csv.DictReader(io.StringIO(as_csv(OUTCOMES))))
    assert len(rows) == 6
    assert rows[1]["relative_rmse"] == "0.004"
    assert rows[1]["failure_rates_by_size"] == "100:0.25 1000:0.5"
    assert {row["certified_sup_error"] + row["plateau"] for row in rows} == {""}
    assert rows[4]["relative_rmse"] == rows[4]["parameters"] == ""
    assert rows[4]["seed"] == "1"
    assert rows[5]["accuracy"] == "0.9"


def test_markdown_shows_ranges():
    lines = regression_table(groups(OUTCOMES)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(lines) == 2 + 3
    assert cells[0][-3:] == ["certified sup error", "plateau", "readout"]
    fair = dict(zip(cells[0], cells[3], strict=True))
    assert fair["RMSE/sd"] == "0.004 to 0.0062"
    assert fair["C3 floor"] == fair["plateau"] == fair["certified sup error"] == ""
    assert fair["seeds"] == "2 of 2"
    assert dict(zip(cells[0], cells[4], strict=True))["seeds"] == "1 of 2"


def test_certified_columns():
    first = Certified(0, "PROVED", "", (0.125, 0.25), (2.0, 2.0), (0.5, 0.625), 32, 0.1,
                      "LayerNorm over 4 features without head: in [-1, 1] (C1)")  # fmt: skip
    second = Certified(1, "UNDECIDED", "no time", (0.2, math.inf), (2.0, 2.0), (0.0, 2.0), 3, 0.1)
    bare = Certified(0, "UNDECIDED", "not tried")
    outcomes = [replace(OUTCOMES[1], certified=(first, second)),
                replace(OUTCOMES[2], certified=(bare,))]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(as_csv(outcomes))))
    assert rows[0]["certified_sup_error"] == "[0.125, 0.25]; [0.2, inf]"
    assert rows[0]["plateau"] == "PROVED; UNDECIDED"
    assert rows[0]["undecided_because"] == "; no time"
    assert rows[0]["longest_plateau"] == "[0.5, 0.625]; [0, 2]"
    assert rows[0]["readout"].endswith("in [-1, 1] (C1)")
    assert (rows[1]["certified_sup_error"], rows[1]["plateau"]) == ("", "UNDECIDED")
    (group,) = groups(outcomes)
    assert certified_errors(group) == "[0.125, 0.25]; [0.2, inf]"
    assert verdicts(group) == "PROVED: 1; UNDECIDED (no time): 1; UNDECIDED (not tried): 1"
    assert readouts(group) == "LayerNorm over 4 features without head"


def test_curves_as_csv():
    rows = list(csv.reader(io.StringIO(curves_csv(CURVES))))
    assert rows[1] == ["4", "0.1", "10", "0.0", "10201.0"]
    assert len(rows) == 7


def test_numbers_are_short_but_one_is_only_one():
    assert (short(0.00412345), short(0.9999), short(1.0)) == ("0.00412", "0.9999", "1")
    assert (spread([2.0, 1.0, 2.0]), spread([1.0]), spread([])) == ("1 to 2", "1", "")


def test_the_readout_is_named_only_where_the_numbers_say_so():
    text = section(page(OUTCOMES), "P2")
    assert "RMSE/sd released 1.25, fair 0.004 to 0.0062, obstructed 0.562" in text
    assert "0 of 1 models are better than the best constant" in text
    assert "Every fair model (2) is below 0.5" in text
    assert "end at 1.12 times that floor" in text
    worse = [*OUTCOMES[:2], outcome("fair", 0.53, seed=1), *OUTCOMES[3:]]
    assert "one reason among others" in section(page(worse), "P2")
    worst = [*OUTCOMES[:2], outcome("fair", 0.6, seed=1), *OUTCOMES[3:]]
    assert "explains nothing here" in section(page(worst), "P2")
    for other in (worse, worst):
        assert "Every fair model" not in page(other)


def test_a_recipe_that_was_not_run_is_not_spoken_of():
    text = section(page([outcome("fair", None), outcome("released", 0.8)]), "P2")
    assert "RMSE/sd released 0.8." in text
    assert "1 of 1 models are better" in text
    assert "Every fair model" not in text
    assert "do not separate" not in text
    assert "No regression was run" in section(page(OUTCOMES), "P1")
    assert "1 of 2 models are trained" in page(
        [outcome("fair", None), outcome("fair", 1.0, seed=1)]
    )


def test_p3_is_never_decided_by_errors():
    assert "**not decided here**" in section(page(OUTCOMES), "P3")


def test_classes_are_held_against_the_constant_answer():
    assert "fair: 1 of 1 models are right more often" in page(OUTCOMES)
    none = [outcome("fair", 0.3, classes=5)]
    assert "fair: 0 of 1 models are right more often than the constant answer (0.3)" in page(none)


def test_failure_rates_in_words():
    text = section(page(OUTCOMES), "The failure rate")
    assert "d = 4, RMSE/sd = 0.1: 0 % fail at N = 10, 100 % at N = 1,000" in text
    assert "half fail at N = 100 (predicted: 10,000)" in text
    assert "less than half fail throughout (predicted: 1e+32)" in text
    assert "the measured N is 0.0098 times the predicted one" in text
    assert "half fail already at N = 10 (predicted: 4)" in text
    assert "failure.svg" not in text
    assert "![Failure rate" in findings.page(OUTCOMES, CURVES, "failure.svg")


def test_the_figure_is_svg_and_the_same_each_time():
    pytest.importorskip("matplotlib")
    data = figures.failure_figure(CURVES)
    assert data.startswith(b"<?xml")
    assert b"<svg" in data
    assert data == figures.failure_figure(CURVES)
    other = {**CURVES, (4, 0.1): {**CURVES[4, 0.1], "rates": [0.5, 1.0]}}
    assert figures.failure_figure(other) != data


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(figures.Missing, match=r"pip install -c constraints.txt '.\[probes\]'"):
        figures.failure_figure(CURVES)
