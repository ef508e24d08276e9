"""The data of the mutants is fresh, and a fault is noticed; all of them run by night."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.mutants import ROOT, Mutant, mutants, titles
from tests.mutants.__main__ import write
from tests.mutants.running import outcome, scratch

EVERY = mutants()
#: Killed in a second each, without torch.
SAMPLE = [m for m in EVERY if m.tests == ("tests/theory/test_claims.py",)][:3]


@pytest.fixture(scope="module")
def copy():
    with scratch() as root:
        yield root


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_every_mutant_still_fits(mutant):
    """Its text is there exactly once, what comes out is Python, and its tests exist."""
    broken = mutant.applied()
    assert broken != (ROOT / mutant.file).read_text()
    compile(broken, mutant.file, "exec")
    for test in mutant.tests:
        path, _, name = test.partition("::")
        text = (ROOT / path).read_text()
        assert f"def {name.partition('[')[0]}(" in text if name else text
    assert len(mutant.why) > 10


def test_there_are_enough_and_none_twice():
    assert len(EVERY) >= 60
    assert len({m.name for m in EVERY}) == len({(m.file, m.was, m.becomes) for m in EVERY})
    assert len({m.name for m in EVERY}) == len(EVERY)


def test_stale_data_is_an_error():
    for text, count in (("no such text anywhere", 0), ("import", 13)):
        mutant = Mutant("area", "theory/claims.py", text, "", (), "a stale one")
        found = (ROOT / "theory/claims.py").read_text().count(text)
        assert found != 1 and (found == 0) is (count == 0)
        with pytest.raises(ValueError, match=f"{found} times, not once: the mutant .* out of date"):
            mutant.applied()


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.name)
def test_a_fault_is_noticed(copy, mutant):
    assert outcome(copy, mutant)[0] == "killed"
    assert (copy / mutant.file).read_text() == (ROOT / mutant.file).read_text()


def test_what_changes_nothing_survives(copy):
    """The runner tells a survivor, and tests that cannot run, from a kill."""
    harmless = ('raise ValueError(f"{ascii(label)}', 'raise ValueError(f"{ascii(label) + str()}')
    tests = ("tests/theory/test_claims.py::test_within",)
    same = Mutant("area", "theory/claims.py", *harmless, tests, "nothing changes")
    assert outcome(copy, same)[0] == "survived"
    broken = Mutant("area", "theory/claims.py", "import z3", "import zzz3", tests, "no import")
    assert outcome(copy, broken)[0] == "broken"


def test_counts_are_written(tmp_path):
    area = next(iter(titles()))
    write(tmp_path / "m.json", {(area, "killed"): 5, (area, "survived"): 1})
    data = json.loads((tmp_path / "m.json").read_text())
    assert data["rows"] == [{"what": titles()[area], "tried": 6, "failed": 1, "note": ""}]


FORKED = """
from tests.mutants import Mutant, mutants
from tests.mutants.running import in_a_fork, outcome, scratch

harmless = Mutant("area", "theory/claims.py", 'raise ValueError(f"{ascii(label)}',
                  'raise ValueError(f"{ascii(label) + str()}', ("tests/theory/test_claims.py",), "")
fault = next(m for m in mutants() if m.tests == ("tests/theory/test_claims.py",))
nowhere = Mutant(fault.area, fault.file, fault.was, fault.becomes, ("tests/no_such_file.py",), "")
with scratch() as root:
    print([outcome(root, m, in_a_fork)[0] for m in (harmless, fault, nowhere)])
"""


def test_forks_tell_a_survivor_from_a_kill_and_from_a_crash():
    """All mutants are run by this runner, with the installed packages inside the tree or not."""
    found = subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True,
                           timeout=120)  # fmt: skip
    assert found.stdout.strip() == "['survived', 'killed', 'broken']", found.stdout + found.stderr
