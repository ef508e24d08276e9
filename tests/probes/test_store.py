"""The store: results under their settings alone, one process at a time, nothing half written."""

import json
import subprocess
import sys

import pytest

from probes.store import Store, content_key
from theory.errors import BadRequest


def test_a_result_comes_back_for_its_settings_alone(tmp_path):
    with Store(tmp_path / "new" / "folder").opened() as store:
        assert store.get({"a": 1}) is None
        store.put({"a": 1}, {"x": 0.1})
        assert store.get({"a": 1}) == {"x": 0.1}
        assert store.get({"a": 2}) is None
        store.put({"a": 1, "t": (1, 2)}, {})
        assert store.get({"t": (1, 2), "a": 1}) == {}


def test_keys_do_not_depend_on_order():
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 1.5})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "other"}', '{"result": {}}', "\xff", "[" * 100_000]
)
def test_damaged_results_are_named(tmp_path, text):
    with Store(tmp_path).opened() as store:
        file = tmp_path / "results" / f"{content_key({'a': 1})}.json"
        file.write_bytes(text.encode("latin1"))
        with pytest.raises(BadRequest, match=f"{file.name} is not the result its name says"):
            store.get({"a": 1})


def test_a_result_of_other_settings_is_never_taken(tmp_path):
    with Store(tmp_path).opened() as store:
        store.put({"a": 1}, {"x": 1})
        results = tmp_path / "results"
        (results / f"{content_key({'a': 1})}.json").rename(
            results / f"{content_key({'a': 2})}.json"
        )
        with pytest.raises(BadRequest, match="is not the result its name says"):
            store.get({"a": 2})


def test_numbers_that_json_cannot_hold_are_not_written(tmp_path):
    with Store(tmp_path).opened() as store:
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.put({"a": 1}, {"x": float("nan")})
        assert store.get({"a": 1}) is None


def test_a_second_process_is_refused_and_leftovers_are_removed(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom probes.store import Store\n"
        "with Store(Path(sys.argv[1])).opened(): pass\n"
    )
    with Store(tmp_path).opened():
        rest = tmp_path / "results" / "x.json.1.tmp"
        rest.write_text("half")
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
        )
        assert "another process is at work" in done.stderr
        assert rest.exists()
    with Store(tmp_path).opened():
        assert not rest.exists()


def test_folders_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadRequest, match="cannot write to"), Store(folder).opened():
            pass
    assert json.dumps((tmp_path / "file").read_text()) == '"kept"'
