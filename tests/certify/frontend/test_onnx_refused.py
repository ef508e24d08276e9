"""ONNX files that are refused: other forms, hostile, damaged ones; the messages say why."""

from __future__ import annotations

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from onnx_files import (  # noqa: E402
    F,
    I,
    against_reference,
    f32,
    real,
    saved,
    whole,
)

from certify.errors import BadRequest, PlateauError, UnreadableFile, Unsupported  # noqa: E402
from certify.evaluate import evaluate  # noqa: E402
from certify.frontend import load  # noqa: E402
from certify.frontend.convert import Source, convert  # noqa: E402


def refused(path, error, **options):
    with pytest.raises(error) as caught:
        convert(Source(str(path), **options), path.parent / "refused.pt")
    assert not (path.parent / "refused.pt").exists()
    text = str(caught.value)
    assert str(path) in text or text.startswith("cannot certify")
    return text


def test_forms_that_are_refused(tmp_path):
    path, relu = tmp_path / "m.onnx", helper.make_node("Relu", ["x"], ["y"], name="act")
    assert "operator set 9" in refused(saved(path, [relu], opset=9), Unsupported)
    assert "operator set 23" in refused(saved(path, [relu], opset=23), Unsupported)
    assert "behind its embedding" in refused(saved(path, [relu], kind=I), Unsupported)
    bfloat = TensorProto.BFLOAT16
    assert "export it in float32" in refused(saved(path, [relu], kind=bfloat), Unsupported)
    two = [relu, helper.make_node("Relu", ["x"], ["z"])]
    assert "1 inputs and 2 outputs" in refused(saved(path, two, outputs=2), Unsupported)
    text = refused(saved(path, [helper.make_node("LSTM", ["x"], ["y"], name="cell")]), Unsupported)
    assert "LSTM: it is not read" in text and "cell" in text
    custom = helper.make_node("Attention", ["x"], ["y"], domain="com.microsoft")
    assert "com.microsoft.Attention" in refused(saved(path, [custom]), Unsupported)
    text = refused(saved(path, [helper.make_node("Reshape", ["x", "x"], ["y"])]), Unsupported)
    assert "depends on the input" in text
    text = refused(saved(path, [helper.make_node("Floor", ["x"], ["y"])]), Unsupported)
    assert "has jumps" in text and "steps.node_0" in text
    body = helper.make_graph([relu], "b", [], [helper.make_tensor_value_info("y", F, None)])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    constants = {"c": np.array(True)}
    assert "control flow" in refused(saved(path, [branch], constants=constants), Unsupported)
    saved(path, [relu])
    assert "leave out --arch" in refused(path, BadRequest, arch="a:b")
    with pytest.raises(UnreadableFile, match="certify convert .*m.onnx -o MODEL.pt"):
        load(path)


def test_open_shapes(tmp_path):
    node = helper.make_node("Relu", ["x"], ["y"])
    path = saved(tmp_path / "m.onnx", [node], shape=("batch", "tokens", 4))
    assert "give --shape 1,N,4" in refused(path, BadRequest)
    assert "give --shape 1,N,4" in refused(path, BadRequest, shape=(1, 3, 5))
    assert "give --shape 1,N,4" in refused(path, BadRequest, shape=(1, 3))
    assert convert(Source(str(path), shape=(1, 3, 4)), tmp_path / "m.pt")[0].inputs == (1, 3, 4)
    path = saved(tmp_path / "m.onnx", [node], shape=(5, 4))
    assert "batch of length 1" in refused(path, Unsupported)


HOSTILE = {
    "huge constant": [helper.make_node("ConstantOfShape", ["s"], ["y"])],
    "huge expand": [helper.make_node("Expand", ["x", "s"], ["y"])],
    "huge tile": [helper.make_node("Tile", ["x", "s"], ["y"])],
    "twice wrong": [helper.make_node("MatMul", ["x", "x"], ["y"])],
    "unknown name": [helper.make_node("Add", ["x", "nothing"], ["y"])],
    "no input": [helper.make_node("Add", ["x"], ["y"])],
    "no output": [helper.make_node("Relu", ["x"], ["other"])],
    "negative": [helper.make_node("Reshape", ["x", "s"], ["y"])],
    "outside": [helper.make_node("Gather", ["x", "s"], ["y"])],
    "axis": [helper.make_node("Softmax", ["x"], ["y"], axis=9)],
    "attribute": [helper.make_node("Concat", ["x", "x"], ["y"])],
    "twice": [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"])],
    "huge join": [
        helper.make_node("Range", ["zero", "million", "one"], ["r"]),
        helper.make_node("Concat", ["r"] * 999, ["all"], axis=0),
        helper.make_node("Add", ["x", "all"], ["y"]),
    ],
    "huge product": [
        helper.make_node("Range", ["zero", "million", "one"], ["r"]),
        helper.make_node("Reshape", ["r", "column"], ["c"]),
        helper.make_node("Mul", ["r", "c"], ["all"]),
        helper.make_node("Reshape", ["x", "all"], ["y"]),
    ],
    "cycle": [helper.make_node("Add", ["x", "z"], ["y"]), helper.make_node("Relu", ["y"], ["z"])],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_contradictions(name, tmp_path):
    constants = {"s": whole(1 << 40, 99, 4), "column": whole(-1, 1)}
    constants |= {"zero": np.array(0), "one": np.array(1), "million": np.array(1 << 20)}
    path = saved(tmp_path / "m.onnx", HOSTILE[name], constants=constants)
    assert "not a sound" in refused(path, UnreadableFile)


def test_short_floats(tmp_path):
    """Half-precision weights mean exactly the numbers stored."""
    w = real(4).astype(np.float16) * np.float16(0.1)
    nodes = [
        helper.make_node("Cast", ["w"], ["v"], to=F),
        helper.make_node("Mul", ["x", "v"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", nodes, constants={"w": w})
    model = convert(Source(str(path)), tmp_path / "m.pt")[0]
    out = evaluate(model.graph, torch.ones(1, 1, 3, 4, dtype=torch.float64))["model"]
    assert np.array_equal(out[0, 0, 0].numpy(), w.astype(np.float64))


def test_names_that_look_alike(tmp_path):
    """Labels become names of modules; none replaces another."""
    labels = ["a", "a_1", "a.1", "a/1", "keys", "", "b\x1b[31m"]
    nodes = [
        helper.make_node("Add", [f"h{i}", "w"], [f"h{i + 1}"], name=label)
        for i, label in enumerate(labels)
    ]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    path = saved(tmp_path / "m.onnx", nodes, constants={"w": f32(1.0)})
    model = against_reference(path)
    assert len(model.graph.nodes) == len(labels)


@pytest.mark.parametrize("node", [("Identity", ["x"]), ("Identity", ["w"]), ("Shape", ["x"])])
def test_trivial_models(node, tmp_path):
    nodes = [helper.make_node(*node, ["y"])]
    path = saved(tmp_path / "m.onnx", nodes, constants={"w": real(2)})
    against_reference(path)


def test_growing_without_end(tmp_path):
    """Every step is small, and the thirtieth would have 2 ** 60 entries."""
    nodes = [helper.make_node("Concat", ["x", "x"], ["h0"], axis=2)]
    nodes += [helper.make_node("Concat", [f"h{i}"] * 4, [f"h{i + 1}"], axis=2) for i in range(29)]
    nodes += [helper.make_node("Identity", ["h29"], ["y"])]
    assert "absurd shape" in refused(saved(tmp_path / "m.onnx", nodes), UnreadableFile)


def test_weights_beside_the_file(tmp_path):
    node = helper.make_node("Add", ["x", "w"], ["y"])
    path = saved(tmp_path / "m.onnx", [node], constants={"w": real(400, 3, 4)})
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").rename(tmp_path / "kept")
    assert "m.data, which is not beside it" in refused(path, UnreadableFile)
    (tmp_path / "m.data").write_bytes((tmp_path / "kept").read_bytes()[:-4])
    assert "not a sound ONNX file" in refused(path, UnreadableFile)
    (tmp_path / "kept").replace(tmp_path / "m.data")
    assert convert(Source(str(path)), tmp_path / "m.pt")[0].parameters == 4800
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.data").write_bytes((tmp_path / "m.data").read_bytes())
    for place in ("../secret", "/etc/passwd", ".", "sub/m.data"):
        model = onnx.load(path, load_external_data=False)
        model.graph.initializer[0].external_data[0].value = place
        (tmp_path / "o.onnx").write_bytes(model.SerializeToString())
        text = refused(tmp_path / "o.onnx", UnreadableFile)
        assert "is stored outside the file's folder" in text
    node = helper.make_node("Constant", [], ["y"], value=model.graph.initializer[0])
    assert "in an attribute" in refused(saved(tmp_path / "a.onnx", [node]), UnreadableFile)
    (tmp_path / "link").symlink_to("/etc/hostname")
    model.graph.initializer[0].external_data[0].value = "link"
    (tmp_path / "o.onnx").write_bytes(model.SerializeToString())
    assert "not a sound ONNX file" in refused(tmp_path / "o.onnx", UnreadableFile)


def test_damaged(tmp_path):
    node = helper.make_node("Add", ["x", "w"], ["y"])
    path = saved(tmp_path / "m.onnx", [node], constants={"w": real(3, 4)})
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [*rng.integers(8, len(data), 60)]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "f.onnx").write_bytes(flipped)
        try:
            convert(Source(str(tmp_path / "f.onnx")), tmp_path / "f.pt")
        except PlateauError as error:
            assert str(error) and "Traceback" not in str(error)
    (tmp_path / "cut.onnx").write_bytes(data[:-20])
    assert "not a sound ONNX file" in refused(tmp_path / "cut.onnx", UnreadableFile)


def test_without_the_package(tmp_path, monkeypatch):
    path = saved(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])])
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    assert "pip install 'plateau[onnx]'" in refused(path, BadRequest)
