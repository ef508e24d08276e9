"""Processes killed, interrupted and starved, once each; `python -m benchmarks.faults` does more."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import faulty
import pytest
from faulty import TRIALS, Task, World, ended, forked

from certify.interrupting import twice
from theory.files import replace_file

#: What is cheap enough for every run; searches are killed in test_resuming.py, experiments in
#: tests/probes/test_paper.py.
CHEAP = {
    "kill -9 while writing a file": 5,
    "Ctrl-C while searching": 1,
    "Ctrl-C twice": 1,
    "full disk": 1,
    "read-only folder": 1,
    "limit of memory": 1,
    "closed pipe": 1,
    "two commands with the same output": 1,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("faults"), Task(cells=4, gap=1e-5))


@pytest.mark.parametrize("name", CHEAP)
def test_fault(world, name):
    for number in range(CHEAP[name]):
        wrong, _ = TRIALS[name](world, random.Random(number))
        assert not wrong


def test_a_file_written_in_place_is_seen(world, monkeypatch):
    """The trial that kills writers fails where files are not replaced but overwritten."""

    def in_place(path, data):
        with open(path, "wb") as file:
            for i in range(0, len(data), 4096):
                file.write(data[i : i + 4096])
                file.flush()

    monkeypatch.setattr("theory.files.replace_file", in_place)
    results = [faulty.killed_writing(world, random.Random(n))[0] for n in range(10)]
    assert any("mixture" in wrong for wrong in results)


def test_the_second_interrupt_ends_the_process(tmp_path):
    """Even where the first one is swallowed."""

    @twice
    def stubborn():
        for _ in range(2):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                replace_file(tmp_path / "first", b"")
        replace_file(tmp_path / "second", b"")

    assert ended(forked(stubborn, (tmp_path / "out", tmp_path / "err"))) == 130
    assert (tmp_path / "first").exists() and not (tmp_path / "second").exists()
    assert "stopped at once" in (tmp_path / "err").read_text()


def test_the_checker_alone_is_interrupted_in_words(tmp_path, monkeypatch):
    import runpy

    import certify.checker.check as checker

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(checker, "verify", interrupted)
    monkeypatch.setattr("sys.argv", ["certify.checker", "model.cert.json"])
    streams = (tmp_path / "out", tmp_path / "err")
    main = Path(checker.__file__).with_name("__main__.py")
    command = lambda: runpy.run_path(str(main), run_name="__main__")  # noqa: E731
    assert ended(forked(command, streams)) == 130
    assert (tmp_path / "err").read_text() == "interrupted: nothing is proved\n"


def test_interrupts_are_as_before_afterwards():
    @twice
    def command():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
