"""`certify convert`: weights in every wrapping become model files, or are refused in words."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from certify.cli import app
from certify.errors import BadRequest, PlateauError, UnreadableFile, Unsupported
from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.convert import Source, convert, parse_shape

POINTS = torch.linspace(-1, 1, 5, dtype=torch.float64).reshape(5, 1, 1)
CODE = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))

def double():
    return net().double()

def pair():
    return nn.Linear(4, 1), torch.zeros(1, 4)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(1, 1)
        self.b = self.a

    def forward(self, x):
        return self.b(self.a(x))

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = net()

    def forward(self, x):
        return self.model(x)

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(1, 1)

    def forward(self, x):
        return x if x.sum() > 0 else self.a(x)

class Bessel(Branch):
    def forward(self, x):
        return torch.special.bessel_j0(self.a(x))

def broken():
    raise RuntimeError("no such dataset")

def leaving():
    raise SystemExit(3)

def text():
    return "a module"

def argument(width):
    return net()

def two():
    return nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))

def meta():
    with torch.device("meta"):
        return net()

def lazy():
    return nn.LazyLinear(1)

number = 3
"""


@pytest.fixture(scope="module", autouse=True)
def code(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    (folder / "archs_for_convert.py").write_text(CODE)
    (folder / "archs_that_fail.py").write_text("import no_such_package\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))


def arch(name="net"):
    return f"archs_for_convert:{name}"


def made(path, name="net", **options):
    return convert(Source(str(path), arch(name), **options), path.parent / "made.pt")[0]


def refused(path, error=BadRequest, name="net", **options):
    options.setdefault("arch", arch(name))
    with pytest.raises(error) as caught:
        convert(Source(str(path), **options), path.parent / "refused.pt")
    assert not (path.parent / "refused.pt").exists()
    return str(caught.value)


def equals(model, module):
    expected = torch.stack([module.double()(x).detach() for x in POINTS])
    module.float()
    return torch.allclose(evaluate(model.graph, POINTS)["model"], expected, rtol=1e-12, atol=1e-12)


def prefixed(front, weights):
    return {front + k: v for k, v in weights.items()}


WRAPPINGS = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model": lambda w: {"model": w, "args": {"width": 3}},
    "nested": lambda w: {"model": {"state_dict": w}, "step": torch.tensor(3)},
    "data parallel": lambda w: prefixed("module.", w),
    "lightning": lambda w: {"state_dict": prefixed("model.", w), "global_step": 7},
    "compiled": lambda w: {"net": prefixed("module._orig_mod.", w)},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_checkpoints(wrapping, net, tmp_path):
    torch.save(WRAPPINGS[wrapping](net.state_dict()), tmp_path / "c.pt")
    assert equals(made(tmp_path / "c.pt"), net)
    assert equals(load(tmp_path / "made.pt"), net)


def test_other_containers(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    assert equals(made(tmp_path / "w.safetensors"), net)
    torch.save(net.state_dict(), tmp_path / "old", _use_new_zipfile_serialization=False)
    assert equals(made(tmp_path / "old"), net)


def test_key(net, tmp_path):
    other = {k: v + 1 for k, v in net.state_dict().items()}
    torch.save({"model": other, "ema": {"shadow": net.state_dict()}}, tmp_path / "c.pt")
    assert equals(made(tmp_path / "c.pt", key="ema.shadow"), net)
    assert not equals(made(tmp_path / "c.pt"), net)
    assert "there is nothing under --key ema.x" in refused(tmp_path / "c.pt", key="ema.x")
    torch.save({"gan": net.state_dict(), "epoch": 3}, tmp_path / "c.pt")
    text = refused(tmp_path / "c.pt")
    assert "name its place with --key" in text and "gan, epoch" in text
    assert equals(made(tmp_path / "c.pt", key="gan"), net)


def test_a_submodule_of_that_name(net, tmp_path):
    torch.save(prefixed("model.", net.state_dict()), tmp_path / "c.pt")
    assert equals(made(tmp_path / "c.pt", "Model"), net)
    torch.save(prefixed("module.model.", net.state_dict()), tmp_path / "c.pt")
    assert equals(made(tmp_path / "c.pt", "Model"), net)


@pytest.mark.parametrize("stored", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_are_not_rounded(stored, net, tmp_path):
    weights = {k: (v.double() + 1e-9).to(stored) for k, v in net.state_dict().items()}
    torch.save(weights, tmp_path / "c.pt")
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    module.load_state_dict(weights)
    expected = torch.stack([module(x).detach() for x in POINTS])
    for name in ("net", "double"):
        out = evaluate(made(tmp_path / "c.pt", name).graph, POINTS)["model"]
        assert torch.allclose(out, expected, rtol=1e-13, atol=1e-13)


def test_strided_shared_and_tied(net, tmp_path):
    whole = torch.randn(8, 3)
    weights = dict(net.state_dict(), **{"0.weight": whole[::3, 1:2], "2.weight": whole[3:4]})
    assert not weights["0.weight"].is_contiguous()
    torch.save(weights, tmp_path / "c.pt")
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))
    module.load_state_dict(weights)
    assert equals(made(tmp_path / "c.pt"), module)
    save_file({"a.weight": torch.ones(1, 1), "a.bias": torch.ones(1)}, tmp_path / "t.safetensors")
    tied = made(tmp_path / "t.safetensors", "Tied")
    assert evaluate(tied.graph, POINTS)["model"][0].item() == 1.0
    torch.save({"0.weight": torch.ones(1, 1), "0.bias": torch.ones(1)}, tmp_path / "u.pt")
    assert "2 missing from the file" in refused(tmp_path / "u.pt", name="two")


def test_input_shape(tmp_path):
    torch.save(nn.Linear(4, 1).state_dict(), tmp_path / "c.pt")
    assert made(tmp_path / "c.pt", "pair").inputs == (1, 4)
    assert made(tmp_path / "c.pt", "pair", shape=(1, 2, 4)).inputs == (1, 2, 4)
    assert parse_shape("1, 2,3") == (1, 2, 3) and parse_shape(None) is None
    for text in ("", "1,x", "1,-2", "0", "1,,2", "1,99999999999"):
        with pytest.raises(BadRequest, match="is not a list of sizes"):
            parse_shape(text)
    with pytest.raises(BadRequest, match="absurd shape"):
        parse_shape("1,100000,100000")
    with pytest.raises(BadRequest, match="the first axis is the batch"):
        parse_shape("2,3")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("archs_for_convert", "not of the form pkg.mod:factory"),
        ("no_such_module:net", "ModuleNotFoundError"),
        ("archs_that_fail:net", "No module named 'no_such_package' (archs_that_fail.py:1)"),
        (arch("nothing"), "AttributeError"),
        (arch("number"), "TypeError"),
        (arch("argument"), "callable without arguments"),
        (arch("broken"), "RuntimeError: no such dataset (archs_for_convert.py:"),
        (arch("leaving"), "SystemExit: 3"),
        (arch("meta"), "has no size or no memory yet"),
        (arch("lazy"), "has no size or no memory yet"),
        (arch("text"), "it returned a str, not a module"),
        (None, "say how to build the module with --arch"),
    ],
)
def test_architectures_that_cannot_be_built(name, reason, net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "c.pt")
    assert reason in refused(tmp_path / "c.pt", arch=name)


def test_weights_of_another_architecture(net, tmp_path):
    weights = dict(net.state_dict())
    del weights["2.bias"]
    torch.save(weights, tmp_path / "c.pt")
    assert "1 missing from the file (2.bias); check --arch" in refused(tmp_path / "c.pt")
    torch.save(weights | {"2.bias": torch.ones(1), "3.x": torch.ones(1)}, tmp_path / "c.pt")
    assert "1 not in the architecture (3.x)" in refused(tmp_path / "c.pt")
    torch.save(weights | {"2.bias": torch.ones(2)}, tmp_path / "c.pt")
    text = refused(tmp_path / "c.pt")
    assert "2.bias has the shape (2,), and the architecture's has (1,)" in text
    torch.save(weights | {"2.bias": torch.ones(1, dtype=torch.int8)}, tmp_path / "c.pt")
    assert "quantized weights are not read" in refused(tmp_path / "c.pt")
    torch.save(weights | {"2.bias": torch.tensor([float("nan")])}, tmp_path / "c.pt")
    assert "nan or infinite" in refused(tmp_path / "c.pt", UnreadableFile)
    for odd in (
        torch.ones(1).to(torch.float8_e4m3fn),
        torch.ones(1) * 1j,
        torch.ones(1).to_sparse(),
    ):
        torch.save(weights | {"2.bias": odd}, tmp_path / "c.pt")
        assert "cannot be read as weights" in refused(tmp_path / "c.pt", UnreadableFile)


def test_modules_that_cannot_be_imported(tmp_path):
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / "c.pt")
    torch.save(prefixed("a.", nn.Linear(1, 1).state_dict()), tmp_path / "c.pt")
    assert "cannot trace this Branch" in refused(tmp_path / "c.pt", Unsupported, "Branch")
    text = refused(tmp_path / "c.pt", Unsupported, "Bessel")
    assert "no lowering" in text and "archs_for_convert.py:" in text
    torch.save(nn.Linear(4, 1).state_dict(), tmp_path / "c.pt")
    text = refused(tmp_path / "c.pt", Unsupported, "pair", shape=(1, 3))
    assert "the example's shape, (1, 3)" in text
    with pytest.raises(BadRequest, match="would be overwritten"):
        convert(Source(str(tmp_path / "c.pt"), arch("pair")), tmp_path / "c.pt")
    with pytest.raises(BadRequest, match="there is no folder"):
        convert(Source(str(tmp_path / "c.pt"), arch("pair")), tmp_path / "no" / "m.pt")


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_nothing_is_unpickled_but_tensors(net, tmp_path):
    bomb = Bomb(tmp_path / "executed")
    torch.save(net, tmp_path / "module.pt")
    torch.save({"model": net.state_dict(), "args": bomb}, tmp_path / "args.pt")
    torch.save(bomb, tmp_path / "bomb.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"w": bomb}, protocol=2))
    for name in ("module", "args", "bomb", "plain"):
        text = refused(tmp_path / f"{name}.pt", UnreadableFile)
        assert "never executed" in text and "certify.export" in text

    class Hidden:  # a name that looks harmless is not executed either
        def __reduce__(self):
            return torch.save, (1, str(tmp_path / "executed"))

    torch.save({"model": net.state_dict(), "x": Hidden()}, tmp_path / "hidden.pt")
    assert "cannot be read as tensors alone" in refused(tmp_path / "hidden.pt", UnreadableFile)
    assert not (tmp_path / "executed").exists()


def test_files_that_are_something_else(net, model_file, tmp_path):
    assert "is a model file already" in refused(model_file.parent / model_file.name)
    (tmp_path / "t").write_text("hello")
    assert "a text file" in refused(tmp_path / "t", UnreadableFile)
    assert "cannot be opened" in refused(tmp_path / "none", UnreadableFile)
    (tmp_path / "folder").mkdir()
    assert "leave out --arch" in refused(tmp_path / "folder")
    assert "config.json" in refused(tmp_path / "folder", UnreadableFile, arch=None)


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_damaged_safetensors(tmp_path):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    cases = [
        safetensors({"w": entry}, bytes(2)),
        safetensors({"w": entry | {"shape": [1 << 40]}}, bytes(4)),
        safetensors({"w": entry | {"data_offsets": [0, 1 << 62]}}, bytes(4)),
        safetensors({"w": entry | {"dtype": "F1"}}, bytes(4)),
        safetensors({"w": entry, "v": entry}, bytes(4)),
        safetensors(b"{" * 1000),
        struct.pack("<Q", 1 << 31) + b"{",
    ]
    for case in cases:
        (tmp_path / "w.safetensors").write_bytes(case)
        text = refused(tmp_path / "w.safetensors", UnreadableFile)
        assert "not a sound safetensors file" in text and "\n" not in text


def test_damaged_checkpoints(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "c.pt")
    data = (tmp_path / "c.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    assert "cut off" in refused(tmp_path / "cut.pt", UnreadableFile)
    for place in range(0, len(data), 97):
        flipped = bytearray(data)
        flipped[place] ^= 4
        (tmp_path / "f.pt").write_bytes(flipped)
        try:
            made(tmp_path / "f.pt")
        except PlateauError as error:
            assert str(error) and "Traceback" not in str(error)


def test_zip_bomb(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "c.pt")
    with (
        zipfile.ZipFile(tmp_path / "c.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        with new.open("archive/data/9", "w") as stream:
            for _ in range(80):
                stream.write(bytes(1 << 20))
    assert "compressed more than" in refused(tmp_path / "b.pt", UnreadableFile)


def run(*arguments, **options):
    command = [sys.executable, "-m", "certify.cli", "convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_command(net, code, tmp_path):
    torch.save(net.state_dict(), tmp_path / "my weights.pt")
    with pytest.raises(UnreadableFile, match="certify convert '.*my weights.pt' --arch"):
        load(tmp_path / "my weights.pt")
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    arguments = (tmp_path / "my weights.pt", "-o", tmp_path / "m.pt", "--arch", arch())
    done = run(*arguments, cwd=code, env=environment)
    assert done.returncode == 0 and not done.stderr
    assert "1 x 1 -> 1 x 1, 10 parameters" in done.stdout
    assert equals(load(tmp_path / "m.pt"), net)
    arguments = ["convert", *map(str, arguments[:-1]), arch("broken")]
    bad = CliRunner().invoke(app, arguments)
    assert bad.exit_code == 2 and bad.stderr.startswith("--arch") and not bad.stdout
    assert equals(load(tmp_path / "m.pt"), net)  # the old file is still there
