"""Models along curves and segments: the same values, the same machinery, the same certificates."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import certify
from certify.certificate.reading import parse
from certify.certificate.writing import as_bytes, as_data
from certify.checker.check import verify
from certify.checking import check
from certify.cli import app
from certify.errors import BadRequest, UnreadableFile
from certify.evaluate import evaluate
from certify.frontend.curve import along, curve, points, straight
from certify.frontend.network import mismatch
from certify.graph import Builder, Gather
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from theory.curves import target_along

CURVE = "t^3,(t/2)^3,t,t/2"


class Tokens(torch.nn.Module):
    """Two tokens of width 2, mixed by tanh, and a LayerNorm over 3 features at the end."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.norm = torch.nn.Linear(4, 3), torch.nn.LayerNorm(3)

    def forward(self, x):
        return self.norm(torch.tanh(self.mix(x.flatten(1))))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    module = Tokens().double().eval()
    path = tmp_path_factory.mktemp("tokens") / "tokens.pt"
    certify.export(module, torch.zeros(1, 2, 2, dtype=torch.float64), path)
    return module, path


@pytest.fixture
def ends(tmp_path):
    a, b = [[[0.1, -2.0], [0.5, 0.25]]], [[[0.2, 1.0], [0.5, 1e-3]]]
    files = tmp_path / "a.json", tmp_path / "b.json"
    for file, values in zip(files, (a, b), strict=True):
        file.write_text(json.dumps(values))
    return files, tuple(torch.tensor(v, dtype=torch.float64) for v in (a, b))


def test_values_along_a_curve(saved):
    module, path = saved
    model = along(certify.load(path), curve(CURVE))
    t = torch.linspace(-1, 1, 9, dtype=torch.float64).unsqueeze(1)
    x = torch.stack([t**3, (t / 2) ** 3, t, t / 2], 1).reshape(-1, 1, 2, 2)
    assert torch.allclose(points(model, t), x, rtol=0, atol=1e-15)
    true = module(x.flatten(0, 1)).detach()
    ours = evaluate(model.graph, t)["model"].reshape(9, -1)
    assert torch.allclose(ours, true, rtol=1e-11, atol=1e-12)


def test_a_segment_meets_its_ends(saved, ends):
    files, (a, b) = ends
    model = along(certify.load(saved[1]), straight(*files))
    t = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    assert torch.equal(points(model, t), torch.stack([a, b]))


def test_everything_works_along_a_curve(saved, tmp_path):
    """A bracket, the LayerNorm named, slopes, a certificate that is about the file."""
    path, texts = saved[1], curve(CURVE).texts
    model = along(certify.load(path), curve(CURVE))
    target = target_along("scheme-one", texts, 1)
    options = Options(cells=4, output=1, lipschitz=1e3, limits=Limits(20))
    report = check(model, target, options)
    assert report.closed and report.exit_code == 0
    assert not report.structure.readout.head and report.structure.readout.features == 3
    certificate = as_certificate(report)
    raw = as_bytes(as_data(certificate))
    assert verify(parse(raw), jobs=1).accepted
    assert mismatch(parse(raw), str(path)) == ""
    other = as_certificate(check(along(certify.load(path), curve("t,t,t,t")), target, options))
    changed = as_data(certificate) | {"graph": as_data(other)["graph"]}
    from certify.certificate.reading import from_data
    from certify.certificate.writing import digest

    fake = from_data(json.loads(json.dumps(changed | {"digest": digest(changed)})))
    assert "not the one" in mismatch(fake, str(path))


def test_the_command_line(saved, ends, tmp_path):
    files, _ = ends
    common = ["check", str(saved[1]), "--budget", "20", "--cells", "2", "--gap", "0.1"]
    place = tmp_path / "r.json"
    for way in (["--curve", CURVE], ["--segment", *map(str, files)]):
        arguments = [*common, "--target", "x1+x3", "--output", "0", *way, "--json", str(place)]
        out = CliRunner().invoke(app, arguments)
        assert out.exit_code == 0, out.output
        found = json.loads(place.read_text())
        assert found["model"]["inputs"] == [1, 2, 2] and found["model"]["curve"]
        assert found["target"]["domain"] == ([-1, 1] if "--curve" in way else [0, 1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--curve", "t,t"], "has 4 inputs"),
        (["--curve", "x,t,t,t"], "written in t"),
        (["--curve", CURVE, "--segment", "a", "b"], "exclude each other"),
        ([], "write the target in x1 ... x4, such as exp(x1)"),
    ],
)
def test_messages(saved, arguments, says):
    out = CliRunner().invoke(app, ["check", str(saved[1]), "--target", "x1", *arguments])
    if not arguments:
        out = CliRunner().invoke(app, ["check", str(saved[1]), "--target", "exp"])
    assert out.exit_code == 2 and says in out.output


def test_files_that_are_no_inputs(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text("[1, 2]")
    for text in ("[1, [2]]", "{}", '["a"]', "[]", "[1e999]", "[1", "[" * 10000):
        bad.write_text(text)
        with pytest.raises(UnreadableFile):
            straight(good, bad)
    bad.write_text("[1, 2, 3]")
    with pytest.raises(BadRequest, match="2 numbers"):
        straight(good, bad)
    with pytest.raises(UnreadableFile, match="cannot be read"):
        straight(good, tmp_path / "none.json")


def test_a_constant_does_not_depend_on_the_curve(saved):
    """Its zeros are gathered from t: read off the curve, each block of a deep model that uses it
    would hold the whole curve, and lack what that starts from."""
    b = Builder((1, 2, 2))
    start = b.affine(b.gather(0, np.array([0, 1])), scale=2.0)
    graph = b.graph(model=b.add(start, b.constant([0.25, -1.0])))
    model = along(replace(certify.load(saved[1]), graph=graph), curve(CURVE))
    blank = [n for n in model.graph.nodes if isinstance(n.primitive, Gather)
             and n.shape == (2,) and bool((n.primitive.index < 0).all())]  # fmt: skip
    assert len(blank) == 1 and blank[0].inputs == (0,)
    t = torch.tensor([[0.5]], dtype=torch.float64)
    assert evaluate(model.graph, t)["model"].tolist() == [[0.5, -0.96875]]
