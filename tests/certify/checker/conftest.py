"""Certificates to break: of a tiny tanh network against exp, and of a small ReLU network."""

from __future__ import annotations

import copy
import json

import pytest

import certify.run as loop
from certify.certificate.reading import from_data
from certify.certificate.writing import as_data, digest
from certify.checker.check import verify
from certify.checking import check
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits


@pytest.fixture(scope="session")
def report(tiny_file):
    """The search begins with 2 boxes instead of 64, so that there are few leaves."""
    options = Options(cells=2, within=0.9, constant_up_to=0.75, gap=0.1, limits=Limits(20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "FIRST", 2)
        patch.setattr(loop, "UNASKED", 0)
        return check(str(tiny_file), "exp", options)


@pytest.fixture(scope="session")
def sealed(report):
    """The certificate as JSON data."""
    return json.loads(json.dumps(as_data(as_certificate(report))))


@pytest.fixture
def data(sealed):
    """A copy to change."""
    return copy.deepcopy(sealed)


@pytest.fixture(scope="session")
def judged():
    """Seal changed data again, read it and verify it in this process."""

    def verified(changed, **options):
        return verify(from_data(changed | {"digest": digest(changed)}), jobs=1, **options)

    return verified


class LeafText:
    """A leaf of a tree in JSON data, to be read and changed by the names of its pairs."""

    NAMES = ("box", "model", "target", "difference")

    def __init__(self, tree, place):
        self.tree, self.place = tree, place

    def pair(self, name):
        i = 2 * self.NAMES.index(name)
        return [float.fromhex(end) for end in self.tree[self.place].split(" ")[i : i + 2]]

    def set(self, name, lo, hi):
        i = 2 * self.NAMES.index(name)
        ends = self.tree[self.place].split(" ")
        ends[i : i + 2] = [float(lo).hex(), float(hi).hex()]
        self.tree[self.place] = " ".join(ends)


@pytest.fixture(scope="session")
def leaves():
    """All leaves of one tree of the data."""

    def found(data, cell=0):
        tree = data["trees"][cell]
        return [LeafText(tree, i) for i, entry in enumerate(tree) if isinstance(entry, str)]

    return found
