"""ONNX files: what two exporters write, and every operator that is read."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from onnx_files import (  # noqa: E402
    F,
    against_reference,
    f32,
    i64,
    real,
    saved,
    tensor,
    whole,
)

from certify.evaluate import evaluate  # noqa: E402
from certify.frontend import load  # noqa: E402
from certify.frontend.convert import Source, convert  # noqa: E402
from certify.frontend.onnx.operators import OPERATORS  # noqa: E402


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
