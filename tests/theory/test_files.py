"""Writing results: refused early, whole or not at all."""

from __future__ import annotations

import os

import pytest

from theory.errors import BadRequest
from theory.files import alone, destination, replace_file


def test_writing_replaces_the_whole_file(tmp_path):
    place = destination(tmp_path / "out.json")
    for text in (b"one", b"two"):
        replace_file(place, text)
    assert place.read_bytes() == b"two" and os.listdir(tmp_path) == ["out.json"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("bad", [".", "missing/out.json", "nul\0byte"])
def test_what_cannot_be_written_is_refused(tmp_path, bad):
    with pytest.raises(BadRequest, match="cannot write"):
        destination(f"{tmp_path}/{bad}")
    assert os.listdir(tmp_path) == []


def test_left_overs_of_killed_processes_are_in_nobodys_way(tmp_path, monkeypatch):
    """Even where every name but one is taken already."""
    names = iter(["a", "a", "b"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(names))
    (tmp_path / ".plateau-b.tmp").write_bytes(b"half")
    replace_file(tmp_path / "out", b"one")
    replace_file(tmp_path / "out", b"two")
    with pytest.raises(BadRequest, match="cannot write"):  # the drawn name is taken: no harm done
        replace_file(tmp_path / "out", b"three")
    assert (tmp_path / "out").read_bytes() == b"two"
    assert (tmp_path / ".plateau-b.tmp").read_bytes() == b"half"


def test_names_are_drawn_anew(tmp_path, monkeypatch):
    seen = []
    true = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(a), true(a, b)))
    for _ in range(20):
        replace_file(tmp_path / "out", b"x")
    assert len(set(seen)) == 20 and all(os.path.dirname(a) == str(tmp_path) for a in seen)


def test_a_name_as_long_as_names_can_be(tmp_path):
    replace_file(tmp_path / ("n" * 255), b"x")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch):
    replace_file(tmp_path / "out", b"old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadRequest, match="No space left on device"):
        replace_file(tmp_path / "out", b"new")
    assert os.listdir(tmp_path) == ["out"] and (tmp_path / "out").read_bytes() == b"old"


def test_alone_keeps_others_out(tmp_path):
    with alone(tmp_path / "lock", "busy"):
        with pytest.raises(BadRequest, match="busy"), alone(tmp_path / "lock", "busy"):
            pass
        with alone(tmp_path / "other", "busy"):
            pass
    with alone(tmp_path / "lock", "busy"):
        pass
    assert os.listdir(tmp_path) == []
    with pytest.raises(BadRequest, match="cannot write"), alone(tmp_path / "no" / "lock", "busy"):
        pass


def test_a_lock_on_a_file_that_was_removed_is_no_lock(tmp_path, monkeypatch):
    """The holder removes the file between another's opening and locking it."""
    import fcntl

    true, path = fcntl.flock, tmp_path / "lock"

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", true)
        os.unlink(path)
        true(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone(path, "busy"):
        assert path.exists()
        with pytest.raises(BadRequest, match="busy"), alone(path, "busy"):
            pass
