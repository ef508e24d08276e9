"""Small ONNX files for tests; imported where the package onnx is known to be there."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from certify.evaluate import evaluate  # noqa: E402
from certify.frontend.convert import Source, convert  # noqa: E402

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


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


def against_reference(path, shape=(1, 3, 4)):
    model = convert(Source(str(path)), path.parent / "m.pt")[0]
    points = torch.rand(6, *shape, generator=torch.Generator().manual_seed(1)) * 1.5 + 0.3
    points[3:] = points[3:] * 2 - 2  # of either sign, where the operator is defined there
    evaluator = ReferenceEvaluator(str(path))
    expected = np.stack([evaluator.run(None, {"x": x.numpy()})[0] for x in points])
    out = evaluate(model.graph, points.double())["model"].numpy()
    assert out.shape == expected.shape
    assert np.isfinite(expected[:3]).all()
    known = np.isfinite(expected)
    assert np.allclose(out[known], expected[known], rtol=1e-5, atol=1e-5)
    return model
