"""A few hundred damaged files for every reader, and proof that the fuzzer sees what it looks for.

`python -m benchmarks.fuzz --cases 100000` is the same at length.
"""

from __future__ import annotations

import itertools
import os
import time

import fuzzing
import pytest
from fuzzing import Failure, case, made, run, run_here
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import Reader

from theory.errors import BadRequest, PlateauError
from theory.expressions import parse

CASES = {"model": 40, "checkpoint": 40, "training checkpoint": 20, "safetensors": 40, "state": 60,
         "certificate": 60, "onnx": 30, "expression": 20, "curve": 10, "segment": 30,
         "BERT config": 10, "result of probes paper": 20}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def found(folder):
    pytest.importorskip("onnx")
    return made(folder)


def test_damaged_files(found, folder):
    """Deeply nested JSON needs a stack as it is outside of pytest, so in processes of their own."""
    assert set(CASES) == set(found)
    seeds = {name: range(count) for name, count in CASES.items()}
    failures = [failure for _, _, failure in run(found, seeds, folder) if failure]
    assert not failures, [(f.reader, f.seed, f.what) for f in failures]


def raises(path):
    raise KeyError("key")


def refuses(path):
    raise BadRequest("told in words")


def says_nothing(path):
    raise BadRequest("")


def shows_a_traceback(path):
    raise BadRequest("Traceback (most recent call last)")


def writes(path):
    (path.parent / "more").write_text("x")


def starts(path):
    os.system("true")


def takes_long(path):
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass


def takes_memory(path):
    assert len(bytearray(200 << 20))


def stops(path):
    os._exit(3)


@pytest.mark.parametrize(
    ("read", "what"),
    [(raises, "KeyError"), (says_nothing, "without words"), (shows_a_traceback, "traceback"),
     (writes, "did"), (starts, "os.system"), (takes_long, "took 0.2 s"), (takes_memory, "MiB")],
)  # fmt: skip
def test_the_fuzzer_sees(read, what, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.1 if read is takes_long else 60)
    monkeypatch.setattr(fuzzing, "BYTES", 100 << 20)
    peaks = itertools.count(0, 200 << 20) if read is takes_memory else itertools.repeat(0)
    monkeypatch.setattr(fuzzing, "_peak", lambda: next(peaks))
    reader = Reader(read, (lambda rng: b"data",))
    (failure,) = run_here({"one": reader}, {"one": range(1)}, tmp_path)
    assert what in failure.what and failure.data == b"data"


def test_the_fuzzer_lets_refusals_pass(tmp_path):
    assert case(Reader(refuses, (lambda rng: b"",)), "one", 0, tmp_path) is None


def test_a_reader_that_ends_the_process_ends_its_case_alone(tmp_path):
    reader = Reader(stops, (lambda rng: b"data",))
    seen = [f for _, _, f in run({"one": reader}, {"one": range(3)}, tmp_path)]
    assert [f.seed for f in seen] == [0, 1, 2]
    assert all(isinstance(f, Failure) and "ended with 3" in f.what for f in seen)


ALPHABET = st.sampled_from([*"x()+-*/^,. 0123456789eE_", "sin(", "exp(", "1e308", "max(", "cbrt("])


@settings(max_examples=40)
@given(st.lists(ALPHABET, max_size=30).map("".join))
def test_expressions_are_read_or_refused_in_words(text):
    try:
        assert parse(text) is not None
    except PlateauError as error:
        assert "accepted:" in str(error) or "write it in another way" in str(error)


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_bytes_for_any_reader(found, folder, data):
    for name, reader in found.items():
        (folder / "any").write_bytes(data)
        try:
            reader.read(folder / "any")
        except (PlateauError, *reader.allowed) as error:
            assert str(error), name
