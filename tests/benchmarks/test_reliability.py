"""The tables of docs/reliability.md: whatever counts are there; what cannot be read is named."""

from __future__ import annotations

import json

import counting
import pytest

from benchmarks.reliability import HERE, NOTHING, render

ROW = {"what": "a | b", "tried": 1200, "failed": 0, "note": "x\ny"}


def test_tables(tmp_path):
    one = {"title": "One", "rows": [ROW, ROW | {"failed": 3}]}
    (tmp_path / "one.json").write_text(json.dumps(one))
    text = render(tmp_path)
    assert "## One" in text and "| a \\| b | 1,200 | 0 | x y |" in text
    assert "| **together** | 2,400 | 3 | |" in text


def test_nothing_stored(tmp_path):
    assert NOTHING in render(tmp_path)


@pytest.mark.parametrize("content", [
    "{", "[]", '{"title": "t"}', '{"title": "t", "rows": [{"what": "w"}]}',
    json.dumps({"title": "t", "rows": [ROW | {"tried": "many"}]}),
])  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    assert "`bad.json` cannot be read" in render(tmp_path)


def test_what_is_stored_can_be_read():
    assert "cannot be read" not in render()
    assert {path.suffix for path in HERE.iterdir()} <= {".json", ".py", ""}


def test_laws_count_what_they_compare(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "TRIED", counting.Counter())
    monkeypatch.setattr(counting, "FAILED", counting.Counter())
    monkeypatch.setenv("PLATEAU_LAWS", str(tmp_path / "laws.json"))
    counting.hold("a law", True)
    with pytest.raises(AssertionError, match="the witness"):
        counting.hold("a law", False, "the witness")
    counting.write()
    assert json.loads((tmp_path / "laws.json").read_text())["rows"] == [
        {"what": "a law", "tried": 2, "failed": 1, "note": ""}
    ]
