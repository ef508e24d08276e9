"""ONNX files: what two exporters write, every operator that is read, and hostile files."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from certify.errors import BadRequest, PlateauError, UnreadableFile, Unsupported  # noqa: E402
from certify.evaluate import evaluate  # noqa: E402
from certify.frontend import load  # noqa: E402
from certify.frontend.convert import Source, convert  # noqa: E402
from certify.frontend.onnx.operators import OPERATORS  # noqa: E402

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


class Encoder(nn.Module):
    """What the exporters must spell out: attention, norms, positions, slices, a mask."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(1, 4), nn.Linear(4, 1)
        self.body = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 6, activation="gelu", batch_first=True), 1
        )
        self.qkv = nn.Linear(4, 12)
        self.place = nn.Parameter(torch.randn(3, 4))

    def forward(self, x):
        h = self.body(self.into(x.unsqueeze(-1)) + self.place)
        q, k, v = self.qkv(h).chunk(3, -1)
        scores = torch.einsum("bnd,bmd->bnm", q, k) / 2
        scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -float("inf"))
        h = h + scores.softmax(-1) @ torch.cat([v[..., 2:], v[..., :2]], -1)
        return self.out(h * torch.sigmoid(h))[:, -1]


@pytest.mark.parametrize("way", ["dynamo", "opset 20", "torchscript", "open batch"])
def test_exporters(way, tmp_path):
    if way in ("dynamo", "opset 20"):
        pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    module, path = Encoder().eval(), tmp_path / "m.onnx"
    options = {
        "dynamo": {"dynamo": True, "opset_version": 18},
        "opset 20": {"dynamo": True, "opset_version": 20},
        "torchscript": {"dynamo": False, "opset_version": 17},
        "open batch": {
            "dynamo": False,
            "opset_version": 17,
            "input_names": ["x"],
            "dynamic_axes": {"x": {0: "batch"}},
        },
    }[way]
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3),), path, verbose=False, **options)
    model, difference = convert(Source(str(path)), tmp_path / "m.pt")
    assert difference < 1e-12 and load(tmp_path / "m.pt").sha256 == model.sha256
    points = torch.randn(4, 1, 3, dtype=torch.float64)
    module = copy.deepcopy(module).double()
    expected = torch.stack([module(x).detach() for x in points])
    torch.backends.mha.set_fastpath_enabled(True)
    # the file holds epsilons and sqrt(2) rounded to float32, the module in float64 does not
    assert (evaluate(model.graph, points)["model"] - expected).abs().max() < 2e-7


def tensor(value):
    return numpy_helper.from_array(np.asarray(value))


def saved(path, nodes, *, shape=(1, 3, 4), opset=18, constants=(), kind=F, outputs=1, **options):
    """A file of one input x and the output y."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(n, F, None) for n in ("y", "z")[:outputs]],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9, **options), path)
    return path


f32, i64 = np.float32, np.int64


def real(*shape):
    return (np.random.default_rng(len(shape)).random(shape) + 0.3).astype(f32)


def whole(*numbers):
    return np.array(numbers, dtype=i64)


# inputs after x (None: left out), attributes
CASES = {
    **{name: [((), {})] for name in (
        "Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Cos", "Tan", "Sinh", "Cosh",
        "Tanh", "Sigmoid", "Erf", "Relu", "Softplus", "Softsign", "Mish", "HardSwish", "Identity",
        "Dropout", "Elu", "Celu", "Selu", "LeakyRelu", "HardSigmoid", "Softmax", "LogSoftmax",
        "Flatten", "Transpose", "Clip", "Sum",
    )},
    **{name: [((real(3, 1),), {})] for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu")},
    **{name: [((), {"keepdims": 0}), ((whole(1, -1),), {})] for name in (
        "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
        "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp",
    )},
    "Gelu": [((), {}), ((), {"approximate": "tanh"})],
    "Pow": [((f32(2.0),), {}), ((f32(-1.0),), {}), ((whole(3),), {})],
    "Cast": [((), {"to": TensorProto.DOUBLE})],
    "CastLike": [((real(1),), {})],
    "Gemm": [],
    "MatMul": [((real(4, 2),), {})],
    "Einsum": [((real(4, 2),), {"equation": "bij,jk->bki"})],
    "LayerNormalization": [((real(4), real(4)), {"epsilon": 0.1}), ((real(3, 4),), {"axis": 1})],
    "BatchNormalization": [((real(3), real(3), real(3), real(3)), {"epsilon": 0.1})],
    "Conv": [((real(6, 1, 2), real(6)), {"group": 3, "pads": [1, 2], "strides": [2]})],
    "CumSum": [((np.array(1, i64),), {}), ((np.array(2, i64),), {"exclusive": 1, "reverse": 1})],
    "Trilu": [((), {}), ((np.array(1, i64),), {"upper": 0})],
    "Reshape": [((whole(0, -1, 2),), {})],
    "Squeeze": [((whole(0),), {})],
    "Unsqueeze": [((whole(0, -1),), {})],
    "Concat": [((real(1, 3, 2),), {"axis": 2})],
    "Split": [((whole(1, 2),), {"axis": 1}), ((), {"axis": 2, "num_outputs": 2})],
    "Slice": [
        ((whole(-3), whole(1 << 62), whole(2)), {}),
        ((whole(-1, 0), whole(-(1 << 62), 3), whole(1, 2), whole(-2, 2)), {}),
    ],
    "Gather": [((whole([2, -1], [0, 0]),), {"axis": 1}), ((np.array(-1, i64),), {"axis": 2})],
    "GatherElements": [((whole([[0, -1, 1, 2]]),), {"axis": 1})],
    "ScatterElements": [((whole([[0, -1, 1, 2]]), real(1, 1, 4)), {"axis": 1})],
    "ScatterND": [((whole([0, 2], [0, 1]), real(2, 4)), {})],
    "Expand": [((whole(2, 1, 1),), {})],
    "Tile": [((whole(1, 2, 2),), {})],
    "Pad": [
        ((whole(0, 1, 0, 0, 0, 2), f32(0.7)), {}),
        ((whole(1, 1), None, whole(2)), {"mode": "edge"}),
    ],
    "Where": [],
}  # fmt: skip
#: Exercised in `test_shapes_are_computed`: they make whole numbers and conditions.
COMPUTED = {
    "Not", "And", "Or", "Xor", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Mod",
    "Shape", "Size", "Range", "ConstantOfShape", "Floor", "Ceil", "Round", "Sign", "IsNaN",
    "Where", "Gemm",
}  # fmt: skip


def against_reference(path, shape=(1, 3, 4)):
    model = convert(Source(str(path)), path.parent / "m.pt")[0]
    points = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1)) * 1.5 + 0.3
    evaluator = ReferenceEvaluator(str(path))
    expected = np.stack([evaluator.run(None, {"x": x.numpy()})[0] for x in points])
    out = evaluate(model.graph, points.double())["model"].numpy()
    assert out.shape == expected.shape
    assert np.allclose(out, expected, rtol=1e-5, atol=1e-5)
    return model


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("name", CASES)
def test_operator(name, opset, tmp_path):
    for given, attributes in CASES[name]:
        axes_by_input = opset >= 18 or name == "ReduceSum"
        if name.startswith("Reduce") and given and not axes_by_input:
            given, attributes = (), {"axes": [1, -1]}
        if (name == "Gelu" and opset < 20) or (name in ("Split", "Pad", "Mish") and opset < 18):
            continue
        given = [("" if v is None else f"c{i}", v) for i, v in enumerate(given)]
        names = ["x", *(n for n, _ in given)]
        outputs = ["y", "rest"][: 2 if name == "Split" else 1]
        node = helper.make_node(name, names, outputs, **attributes)
        constants = {n: v for n, v in given if n}
        against_reference(saved(tmp_path / "m.onnx", [node], opset=opset, constants=constants))


def test_convolution_in_two_dimensions(tmp_path):
    options = {"pads": [0, 1, 2, 0], "strides": [1, 2], "dilations": [2, 1]}
    node = helper.make_node("Conv", ["x", "w"], ["y"], **options)
    constants = {"w": real(2, 2, 2, 3)}
    path = saved(tmp_path / "m.onnx", [node], shape=(1, 2, 4, 5), constants=constants)
    against_reference(path, (1, 2, 4, 5))


def test_every_operator_is_tested():
    assert set(OPERATORS) == set(CASES) | COMPUTED | {"Atan"}


def test_shapes_are_computed(tmp_path):
    """Reshape by a computed shape and a mask from comparisons, as exporters spell them out."""
    n = helper.make_node
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Size", ["x"], ["size"]),
        n("Gather", ["s", "two"], ["last"]),
        n("Mod", ["size", "five"], ["rest"]),  # 12 % 5 = 2
        n("Div", ["size", "rest"], ["six"]),
        n("Unsqueeze", ["six", "zero"], ["six1"]),
        n("Unsqueeze", ["rest", "zero"], ["rest1"]),
        n("Concat", ["six1", "rest1"], ["shape"], axis=0),
        n("Reshape", ["x", "shape"], ["h"]),
        n("Range", ["none", "rest", "one"], ["r"]),
        n("Equal", ["r", "one"], ["e"]),
        n("Not", ["e"], ["ne"]),
        n("Less", ["r", "one"], ["lt"]),
        n("Greater", ["r", "one"], ["gt"]),
        n("LessOrEqual", ["r", "one"], ["le"]),
        n("GreaterOrEqual", ["r", "none"], ["ge"]),
        n("Or", ["lt", "gt"], ["o"]),
        n("And", ["o", "le"], ["a"]),
        n("Xor", ["a", "ge"], ["xor"]),
        n("And", ["xor", "e"], ["mask"]),  # (False, True)
        n("ConstantOfShape", ["rest1"], ["fill"], value=tensor(np.array([-7.5], f32))),
        n("Where", ["mask", "fill", "h"], ["w"]),
        n("Cast", ["last"], ["width"], to=F),
        n("Sqrt", ["width"], ["root"]),
        n("Div", ["w", "root"], ["d"]),
        n("Round", ["width"], ["w1"]),
        n("Floor", ["w1"], ["w2"]),
        n("Ceil", ["w2"], ["w3"]),
        n("Sign", ["w3"], ["w4"]),
        n("IsNaN", ["w4"], ["nan"]),
        n("Where", ["nan", "w4", "d"], ["e1"]),
        n("Gemm", ["e1", "g", "b"], ["y"], transB=1, alpha=0.5, beta=2.0),
    ]
    constants = {
        "two": np.array(2, i64), "five": np.array(5, i64), "one": np.array(1, i64),
        "none": np.array(0, i64), "zero": whole(0), "g": real(3, 2), "b": real(3),
    }  # fmt: skip
    model = against_reference(saved(tmp_path / "m.onnx", nodes, constants=constants))
    assert model.outputs == (6, 3)


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
