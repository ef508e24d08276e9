"""An ONNX file -> nodes and constants, by the protobuf reader of the package `onnx`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.frontend.archive import MAX_BYTES
from certify.frontend.origin import printable

#: Versions of the standard operator set whose operators mean what is written in `operators`.
OPSETS = range(13, 21)


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator; an input that is left out is named "" in the file."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    label: str


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A file with one input and one output.

    Attributes:
        input: its name.
        shape: its axes; None where the file leaves the length open.
        dtype: its numpy type.
        output: name of the result.
        constants: the file's tensors by name.
        nodes: the operators, in the file's order.
        opset: version of the standard operator set.
    """

    input: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    output: str
    constants: dict[str, np.ndarray]
    nodes: tuple[OnnxNode, ...]
    opset: int


def read_onnx(path: str) -> OnnxGraph:
    """Read an ONNX file. Weights beside it are read only from files in its own folder.

    Raises:
        BadRequest: the package `onnx` is not installed.
        UnreadableFile: the file is damaged.
        Unsupported: several inputs or outputs, other operator sets, control flow.
    """
    try:
        import onnx
    except ImportError as error:
        raise BadRequest(
            f"{path}: reading ONNX needs the package onnx; install it with: "
            "pip install 'plateau[onnx]'"
        ) from error
    if os.path.getsize(path) > MAX_BYTES:
        raise UnreadableFile(f"{path}: larger than {MAX_BYTES >> 30} GiB")
    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        _load_beside(model, path)
        return _graph(model)
    except Unsupported as error:
        raise Unsupported(f"{path}: {error}") from error
    except Exception as error:  # the reader's and the inliner's many, all about the file
        reason = printable(str(error).strip().split("\n")[0], limit=300) or type(error).__name__
        raise UnreadableFile(f"{path}: not a sound ONNX file: {reason}") from error


def _load_beside(model: Any, path: str) -> None:
    """Tensors stored beside the file, by plain file names only."""
    from onnx import external_data_helper as beside

    folder = os.path.dirname(os.path.abspath(path))
    for tensor in model.graph.initializer:
        if not beside.uses_external_data(tensor):
            continue
        place = beside.ExternalDataInfo(tensor).location
        if place != os.path.basename(place) or place in ("", ".", ".."):
            raise ValueError(f"the tensor {tensor.name} is stored outside the file's folder")
        if not os.path.isfile(os.path.join(folder, place)):
            raise ValueError(f"its weights are in {place}, which is not beside it")
        beside.load_external_data_for_tensor(tensor, folder)
        tensor.data_location = 0


def _graph(model: Any) -> OnnxGraph:
    versions = {o.domain: o.version for o in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset not in OPSETS:
        raise Unsupported(
            f"it uses operator set {opset}, and {OPSETS[0]} to {OPSETS[-1]} are read; "
            "export it again with opset_version=18"
        )
    graph = model.graph
    if graph.sparse_initializer:
        raise Unsupported("it holds sparse tensors; export it with ordinary ones")
    constants = {_text(t.name): array(t) for t in graph.initializer}
    inputs = [v for v in graph.input if _text(v.name) not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Unsupported(
            f"it has {len(inputs)} inputs and {len(graph.output)} outputs, and one tensor to one "
            "tensor is certified; export a wrapper module that takes and returns one"
        )
    kind = inputs[0].type.tensor_type
    shape = tuple(d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim)
    nodes = tuple(_node(n, i) for i, n in enumerate(graph.node))
    names = [inputs[0].name, *constants, *(o for n in nodes for o in n.outputs if o)]
    if len(set(names)) != len(names):
        raise ValueError("a name stands for two values")
    return OnnxGraph(
        input=inputs[0].name,
        shape=shape,
        dtype=_dtype(kind.elem_type),
        output=_text(graph.output[0].name),
        constants=constants,
        nodes=nodes,
        opset=opset,
    )


def _dtype(code: int) -> np.dtype:
    from onnx import helper

    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(code))
    if dtype.name == "bfloat16":
        raise Unsupported("its input is of type bfloat16; export it in float32")
    if dtype.kind != "f":
        raise Unsupported(
            f"its input is of type {dtype.name}, and functions of real numbers are certified; "
            "export the part of the model behind its embedding"
        )
    return dtype


def _node(node: Any, place: int) -> OnnxNode:
    from onnx import helper

    label = printable(_text(node.name) or f"node {place}", limit=100)
    if _text(node.domain) not in ("", "ai.onnx"):
        raise Unsupported(
            f"cannot certify {printable(node.domain)}.{printable(node.op_type)}: not a standard "
            f"ONNX operator.\n  in the model:  {label}"
        )
    attributes = {}
    for item in node.attribute:
        value = helper.get_attribute_value(item)
        if type(value).__name__ in ("GraphProto", "SparseTensorProto"):
            raise Unsupported(
                f"cannot certify {printable(node.op_type)}: control flow and sparse tensors have "
                f"no lowering.\n  in the model:  {label}"
            )
        if type(value).__name__ == "TensorProto":
            value = array(value)
        attributes[_text(item.name)] = value.decode() if isinstance(value, bytes) else value
    inputs, outputs = (tuple(_text(n) for n in names) for names in (node.input, node.output))
    return OnnxNode(printable(_text(node.op_type), limit=60), inputs, outputs, attributes, label)


def _text(name: Any) -> str:
    if not isinstance(name, str):  # the reader returns bytes that are no text as they are
        raise ValueError("a name is not text")
    return name


def array(tensor: Any) -> np.ndarray:
    """A stored tensor.

    Raises:
        Unsupported: it is not made of ordinary numbers.
        ValueError: it does not fit its own description.
    """
    from onnx import external_data_helper, numpy_helper

    if external_data_helper.uses_external_data(tensor):
        raise ValueError(f"the tensor {tensor.name} in an attribute is stored in another file")
    out = numpy_helper.to_array(tensor)
    if out.dtype.name == "bfloat16":
        return out.astype(np.float32)  # exact
    if out.dtype.kind not in "fiub":
        raise Unsupported(f"the tensor {printable(tensor.name)} is of type {out.dtype.name}")
    return np.ascontiguousarray(out).reshape(out.shape)
