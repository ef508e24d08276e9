"""Writing results: refused early, whole or not at all."""

from __future__ import annotations

import os

import pytest

from theory.errors import BadRequest
from theory.files import destination, replace_file


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
