"""A dask cluster of processes: the same brackets, also where a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch
from questions import problem, same
from typer.testing import CliRunner

import certify.cluster as cluster
import certify.workers as workers
from certify.cli import app
from certify.cluster import Cluster
from certify.errors import BadRequest
from certify.goal import Goal
from certify.run import Limits, search
from certify.search import start, step
from certify.workers import Here

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def local():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as found:
        yield found


@pytest.fixture
def divided(monkeypatch):
    """Pieces of a few boxes, whatever the graph."""
    monkeypatch.setattr(workers, "SMALL", 0)
    monkeypatch.setattr(workers, "PIECE", 1500)


def test_the_same_search_with_a_worker_killed(local, divided):
    question, goal, killed, helped = problem(), Goal(gap=1e-6, plateaus=False), [], []

    def kill(dask):
        killed.append(next(iter(dask.client.run(os.getpid).values())))
        os.kill(killed[0], signal.SIGKILL)

    class Watched(Cluster):
        """Loses a worker while its first pieces are computed, and counts who did the others."""

        def answers(self, *args):
            if not killed:
                threading.Timer(0.02, kill, [self]).start()
            found = super().answers(*args)
            helped.extend(isinstance(a, tuple) for a in found)
            return found

    here = search(question, goal, Limits(300, workers=Here()))
    with Watched(local.scheduler_address) as dask:
        there = search(question, goal, Limits(300, workers=dask))
    assert killed and len(helped) > 8 and all(helped)
    assert same(here.state.leaves, there.state.leaves)
    assert here.known.sup == there.known.sup
    assert torch.equal(here.known.variation, there.known.variation)


def test_nobody_left_and_bad_answers(local, divided, monkeypatch):
    """Without workers, with a scheduler gone, with nonsense back: it is computed here."""
    question = problem()
    state = start(question, 8)
    which = torch.arange(len(state.leaves))
    expected = step(question, state, which, 1e-6, by=Here())[0].leaves
    monkeypatch.setattr(cluster, "ALONE", 0.5)
    with Cluster(local.scheduler_address) as dask:
        with monkeypatch.context() as patched:
            patched.setattr(cluster, "_result", lambda task: ("nonsense",))
            assert same(step(question, state, which, 1e-6, by=dask)[0].leaves, expected)
        dask.client.close()
        assert not dask.ready()
        assert same(step(question, state, which, 1e-6, by=dask)[0].leaves, expected)


@pytest.mark.parametrize(
    ("address", "says"),
    [("tcp://127.0.0.1:9", "no cluster that can be used"), ("nonsense://x", "no cluster")],
)
def test_addresses_that_lead_nowhere(address, says, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 1.0)
    with pytest.raises(BadRequest, match=says):
        Cluster(address)


def test_other_versions_and_no_workers(local, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.1")
    with pytest.raises(BadRequest, match=r"torch 2.* \(here 0.1\), .* use the same"):
        Cluster(local.scheduler_address)
    monkeypatch.undo()
    monkeypatch.setattr(cluster, "sources", lambda: "other")
    with pytest.raises(BadRequest, match=r"source code [0-9a-f]{64} \(here other\)"):
        Cluster(local.scheduler_address)
    monkeypatch.undo()
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(BadRequest, match="has no workers"),
    ):
        Cluster(empty.scheduler_address)


def test_the_command_line(local, tiny_file):
    """The same numbers with a cluster, with processes, and alone; and a plain refusal."""
    asked = ["check", str(tiny_file), "--target", "exp", "--cells", "2", "--gap", "0.5"]
    found = [CliRunner().invoke(app, [*asked, *more]) for more in (
        [], ["--jobs", "2"], ["--dask", local.scheduler_address])]  # fmt: skip
    said = {result.stdout.split("search")[0] for result in found}
    assert [r.exit_code for r in found] == [0, 0, 0] and len(said) == 1
    refused = CliRunner().invoke(app, [*asked, "--dask", "nonsense://x"])
    assert refused.exit_code == 2 and "no cluster that can be used" in refused.output
    assert CliRunner().invoke(app, [*asked, "--jobs", "0"]).exit_code == 2
