"""The README's results: rounded outward, nothing counted that is not there."""

from __future__ import annotations

import pytest

from benchmarks.table import between
from benchmarks.verdicts import curves_table, paper_table, zoo_table


def model(**parts):
    return {"task": "regression", "scheme": "scheme-one", "architecture": "encoder", "d": "4",
            "recipe": "fair", "certified_sup_error": "[0.01234, 0.0199]",
            "plateau": "REFUTED"} | parts  # fmt: skip


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_errors_of_all_models_are_rounded_outward():
    rows = [model(), model(certified_sup_error="[0.009876, 0.02001]; [0.5, 0.60001]", d="16")]
    rows += [model(task="classification", certified_sup_error="", plateau="")]
    (line,) = paper_table(rows)[2:-1]
    what, recipe, count, errors, *verdicts = cells(line)
    assert (what, recipe, count) == ("scheme one, encoder, d = 4, 16", "fair", "2")
    assert errors == "0.00987 to 0.601" and verdicts == ["0", "2", "0"]


def test_what_is_not_proved_is_not_counted():
    rows = [
        model(certified_sup_error="[0.0637, inf]", plateau="UNDECIDED; REFUTED"),
        model(certified_sup_error="", plateau="PROVED", recipe="released"),
    ]
    released, fair = paper_table(rows)[2:-1]
    assert cells(released)[3:] == ["not certified", "1", "0", "0"]
    assert cells(fair)[3:] == ["at least 0.0637", "0", "1", "1"]


def test_the_zoo_s_line_says_what_is_not_there():
    row = {"model": "exp", "is": "2 layers", "target": "exp", "sup_error": [0.1, 0.2],
           "deciding": 32, "plateaus": 0, "none": 30, "longest": [0.0, 0.0], "leaves": 7,
           "accepted": False}  # fmt: skip
    line = cells(zoo_table([row])[2])
    assert line[2:] == ["[0.1, 0.2001]", "none, 30 of 32 cells", "none", "7 leaves, NOT ACCEPTED"]
    line = cells(zoo_table([row | {"plateaus": 2, "longest": [0.05, 0.0625]}])[2])
    assert line[3:5] == ["on 2 of 32 cells", "[0.05, 0.0625]"]


def test_a_bracket_for_each_seed_and_one_of_the_longest_plateau():
    rows = [
        model(longest_plateau="[0.1, 0.4]", undecided_because=""),
        model(longest_plateau="[0.2, 0.3]", undecided_because="late", plateau="UNDECIDED",
              certified_sup_error="[0.0637, inf]"),
    ]  # fmt: skip
    line = cells(curves_table(rows)[2])
    assert line[:4] == ["scheme-one", "encoder", "4", "fair"]
    assert line[4] == "[0.0123, 0.02]; [0.0637, inf]"
    assert line[5:] == ["REFUTED: 1; UNDECIDED (late): 1", "[0.2, 0.4001]"]


BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{BEGIN}{END}{BEGIN}"])
def test_a_page_without_marks_is_left_alone(text):
    with pytest.raises(ValueError, match="once each"):
        between(text, ["x"])
