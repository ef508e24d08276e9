"""All outputs at once: ranges that hold and are closed, and honest ends where they are not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mpmath import mpf
from typer.testing import CliRunner

import certify
from certify import joint as module
from certify.cli import app
from certify.evaluate import evaluate
from certify.goal import Goal
from certify.graph import Builder
from certify.joint import joint
from certify.run import Limits
from theory.functions import FUNCTIONS

GOAL = Goal(gap=0.01)


def waves(count=5):
    """tanh(k x + 1 / 8) of several k."""
    b = Builder((1,))
    line = b.affine(0, weight=np.arange(1.0, count + 1).reshape(-1, 1), bias=0.125)
    return b.graph(model=b.apply(FUNCTIONS["tanh"], line))


def test_ranges_hold_and_are_tight(ref):
    graph = waves()
    found = joint(graph, (-1.0, 2.0), GOAL, Limits(20))
    assert found.stopped_by == "closed" and found.boxes > 1
    for x in np.linspace(-1, 2, 61):
        values = ref.values(graph, mpf(float(x)))[graph.outputs["model"]].reshape(-1)
        for v, low, high in zip(values, *found.outer.tolist(), strict=True):
            assert ref.within(v, low, high)
    # every one rises: its ends are those of the interval
    ends = [ref.values(graph, mpf(x))[graph.outputs["model"]].reshape(-1) for x in (-1, 2)]
    for a, b, low, high in zip(*ends, *found.inner.tolist(), strict=True):
        assert mpf(low) >= a and mpf(high) <= b
        assert high - low >= float(b - a) / 1.0101


def test_limits_and_resolution(ref):
    rng = np.random.default_rng(0)
    b, _ = ref.encoder(rng, layers=2, width=4, tokens=3)
    graph = b.graph(model=len(b.nodes) - 1)
    stopped = joint(graph, (-2.0, 2.0), GOAL, Limits(0.0))
    assert stopped.stopped_by == "budget" and stopped.boxes == 1
    for part in (stopped.outer, stopped.inner):
        assert not bool(part.isnan().any())
    values = evaluate(graph, torch.linspace(-2, 2, 9, dtype=torch.float64).unsqueeze(1))["model"]
    low, high = stopped.outer
    assert bool(((values > low) & (values < high)).all())
    point = joint(graph, (0.5, 0.5), GOAL, Limits(20))
    assert point.stopped_by == "resolution" and bool((point.outer[0] < point.outer[1]).all())


def test_memory(monkeypatch):
    def no(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    graph = waves()
    known = module.enclose
    calls = []

    def once(*args, **kwargs):
        calls.append(1)
        return known(*args, **kwargs) if len(calls) == 1 else no()

    monkeypatch.setattr(module, "enclose", once)
    found = joint(graph, (-1.0, 2.0), GOAL, Limits(20))
    assert found.stopped_by == "memory" and bool((found.outer[0] <= found.outer[1]).all())


class Many(torch.nn.Module):
    """Twenty outputs of two inputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(2, 4), torch.nn.Linear(4, 20)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("many")
    model = Many().double().eval()
    certify.export(model, torch.zeros(1, 2, dtype=torch.float64), place / "m.pt")
    for name, values in (("a", [[0.0, 1.0]]), ("b", [[2.0, -1.0]]), ("c", [[1.0]])):
        (place / f"{name}.json").write_text(json.dumps(values))
    return place, model


def run(*args):
    return CliRunner().invoke(app, ["enclose", *(str(a) for a in args)])


def test_enclose_along_a_segment(files):
    place, model = files
    segment = ("--segment", place / "a.json", place / "b.json")
    out = run(place / "m.pt", *segment, "--json", "-")
    assert out.exit_code == 0, out.output
    data = json.loads(out.stdout)
    assert data["closed"] and data["box"] == [[0.0, 1.0]] and len(data["outputs"]) == 20
    t = torch.linspace(0, 1, 33, dtype=torch.float64).unsqueeze(1)
    x = torch.tensor([[0.0, 1.0]]).double() * (1 - t) + torch.tensor([[2.0, -1.0]]).double() * t
    values = model(x).detach()
    for item, low, high in zip(data["outputs"], values.amin(0), values.amax(0), strict=True):
        a, b = item["range"]
        assert (
            a <= low and high <= b and b - a <= 1.0102 * (item["reached"][1] - item["reached"][0])
        )
    one = run(place / "m.pt", *segment, "--box", 0, 0.25, "--output", 3, "--json", "-")
    part = json.loads(one.stdout)["outputs"]
    assert one.exit_code == 0 and [p["output"] for p in part] == [3]
    assert part[0]["range"][0] >= data["outputs"][3]["range"][0] - 1e-9
    slope = run(place / "m.pt", *segment, "--output", 3, "--derivative", 1)
    assert slope.exit_code == 0 and "model'" in slope.stdout


def test_enclose_along_a_curve_and_what_is_refused(files):
    place, _ = files
    segment = ("--segment", place / "a.json", place / "b.json")
    out = run(place / "m.pt", "--curve", "t^2,1-t", "--box", 0, 1, "--output", 0)
    assert out.exit_code == 0 and "on [0.0, 1.0] stays in" in out.stdout
    for args, words in (
        ((), "--box LO HI"),
        (("--curve", "t,t"), "--box LO HI"),
        ((*segment, "--curve", "t,t", "--box", 0, 1), "exclude each other"),
        (("--segment", place / "c.json", place / "c.json"), "has 2 inputs"),
        (("--box", 0, 1, "--derivative", 1), "--segment A.json B.json"),
        ((*segment, "--output", 20), "outputs 0 ... 19"),
    ):
        refused = run(place / "m.pt", *args)
        assert refused.exit_code == 2 and words in refused.output, refused.output
        assert "Traceback" not in refused.output


def test_enclose_several_inputs_over_their_box(files):
    """Every input runs over the box by itself, and that is what is said."""
    place, model = files
    out = run(place / "m.pt", "--box", 0, 1, "--output", 3, "--json", "-")
    assert out.exit_code == 0, out.output
    data = json.loads(out.stdout)
    (item,) = data["outputs"]
    side = torch.linspace(0, 1, 17, dtype=torch.float64)
    values = model(torch.cartesian_prod(side, side)).detach()[:, 3]
    (a, b), (least, most) = item["range"], item["reached"]
    assert a <= values.min() and values.max() <= b and b - a <= 1.0102 * (most - least)
    assert data["box"] == [[0.0, 1.0], [0.0, 1.0]]
    words = run(place / "m.pt", "--box", 0, 1, "--output", 3).stdout
    assert words.startswith("model on [0.0, 1.0] x [0.0, 1.0] stays in [")


def test_undecided_says_so(files):
    place, _ = files
    segment = ("--segment", place / "a.json", place / "b.json")
    out = run(place / "m.pt", *segment, "--budget", 1e-9, "--gap", 1e-12)
    assert out.exit_code == 3 and "UNDECIDED" in out.stdout and "stopped by budget" in out.stdout
    assert out.stdout.count("stays in") == 20 and "nan" not in out.stdout
