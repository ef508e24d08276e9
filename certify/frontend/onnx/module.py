"""An ONNX graph as a torch module, which `certify.export` traces like any other.

Whole numbers and conditions that do not depend on the input (shapes, axes, masks) are computed
when the module is built, as in tracing nothing may depend on numbers of a tensor. Real numbers
are not: constants of the model stay operators, so that the graph means them without rounding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

import certify.frontend.onnx.rearranging  # noqa: F401  (fills the table)
from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.frontend.lower import MISFIT
from certify.frontend.onnx.operators import OPERATORS, Arguments
from certify.frontend.onnx.reading import OnnxGraph, OnnxNode, read_onnx
from certify.frontend.origin import printable
from certify.ops.context import bounded


class Step(nn.Module):
    """One node; a module of its own, so that messages name it by the file's own label."""

    def __init__(self, node: OnnxNode, opset: int) -> None:
        super().__init__()
        self.node, self.opset = node, opset

    def forward(self, values: list[Any], tensors: list[Any]) -> Any:
        """The node's results: a tensor, an integer array, or a tuple of them."""
        arguments = Arguments(values, tensors, self.node.attributes, self.opset)
        return OPERATORS[self.node.operator](arguments)


class OnnxModule(nn.Module):
    """Computes what an ONNX graph says, for one input shape."""

    def __init__(self, graph: OnnxGraph, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.graph = graph
        self.static: dict[str, np.ndarray] = {}
        self.held: dict[str, str] = {}
        for name, value in graph.constants.items():
            self._keep(name, value, parameter=True)
        self.steps = nn.ModuleDict()
        for place, node in enumerate(graph.nodes):
            if node.operator == "Constant":
                self._keep(node.outputs[0], _constant(node), parameter=False)
            elif node.operator not in OPERATORS:
                raise Unsupported(
                    f"cannot certify ONNX's {node.operator}: it is not read.\n"
                    f"  in the model:  {node.label}"
                )
            else:
                key = re.sub(r"\W+", "_", node.label).strip("_")
                self.steps[f"{key}_{place}"] = Step(node, graph.opset)
        with torch.no_grad():  # shapes only: a hostile file may ask for any amount of memory
            dtype = torch.from_numpy(np.zeros(0, graph.dtype)).dtype
            self._prepare(torch.zeros(bounded(shape), dtype=dtype, device="meta"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The graph's one output."""
        values: dict[str, Any] = {self.graph.input: x}
        for step in self._open_steps():
            given = [self._value(name, values) for name in step.node.inputs]
            out = step(given, self._tensors(step.node.inputs, given))
            outputs = out if isinstance(out, tuple) else (out,)
            values.update(zip(step.node.outputs, outputs, strict=False))
        last = (self.graph.output,)
        return self._tensors(last, [self._value(last[0], values)])[0]

    def _prepare(self, x: torch.Tensor) -> None:
        """Compute what does not depend on the input, and hold what the rest will need of it."""
        values: dict[str, Any] = {self.graph.input: x}
        for step in self._open_steps():
            node = step.node
            given = [self._value(name, values) for name in node.inputs]
            outputs = _shapes(step, given)
            known = all(v is None or isinstance(v, np.ndarray) for v in given)
            if known and not any(torch.is_tensor(t) and t.is_floating_point() for t in outputs):
                outputs = _told(step, given, [_tensor(v, "cpu") for v in given])
                outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                outputs = tuple(np.asarray(t) for t in outputs)
            else:
                self._hold(node.inputs, given)
            for name, result in zip(node.outputs, outputs, strict=False):
                (self.static if isinstance(result, np.ndarray) else values)[name] = result
        self._hold((self.graph.output,), [self._value(self.graph.output, values)])

    def _open_steps(self) -> Iterator[Step]:
        for step in self.steps.values():
            if not all(name in self.static for name in step.node.outputs if name):
                yield step

    def _keep(self, name: str, value: np.ndarray, *, parameter: bool) -> None:
        if value.dtype.kind != "f":
            self.static[name] = value
            return
        tensor, slot = torch.from_numpy(value.copy()), f"held_{len(self.held)}"
        if parameter and bool(tensor.isfinite().all()):
            self.register_parameter(slot, nn.Parameter(tensor, requires_grad=False))
        else:
            self.register_buffer(slot, tensor)
        self.held[name] = slot

    def _value(self, name: str, values: dict[str, Any]) -> Any:
        if not name:
            return None
        if name in values:
            return values[name]
        if name in self.static:
            return self.static[name]
        if name in self.held:
            return getattr(self, self.held[name])
        raise UnreadableFile(f"{printable(name)} is used before it is computed")

    def _hold(self, names: tuple[str, ...], given: list[Any]) -> None:
        """Keep known arrays as buffers, to be tensors in a trace."""
        for name, value in zip(names, given, strict=True):
            if isinstance(value, np.ndarray) and name not in self.held:
                slot = f"held_{len(self.held)}"
                self.register_buffer(slot, torch.from_numpy(value.copy()))
                self.held[name] = slot

    def _tensors(self, names: tuple[str, ...], given: list[Any]) -> list[Any]:
        return [
            getattr(self, self.held[name]) if isinstance(value, np.ndarray) else value
            for name, value in zip(names, given, strict=True)
        ]


def _tensor(value: Any, device: str) -> Any:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value.copy())
    return value if value is None else value.to(device)


def _shapes(step: Step, given: list[Any]) -> tuple[Any, ...]:
    """The results of one node as tensors without memory; an array where only shapes count."""
    out = _told(step, given, [_tensor(v, "meta") for v in given])
    outputs = out if isinstance(out, tuple) else (out,)
    for result in outputs:
        bounded(tuple(result.shape))
    return outputs


def _told(step: Step, given: list[Any], tensors: list[Any]) -> Any:
    """Run one node while the module is built.

    Raises:
        Unsupported: an argument that must be known depends on the input.
        UnreadableFile: the node's arguments do not fit each other.
    """
    node = step.node
    try:
        return step(given, tensors)
    except Unsupported as error:
        raise Unsupported(
            f"cannot certify ONNX's {node.operator}: {error}.\n  in the model:  {node.label}"
        ) from error
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
        reason = printable(str(error).strip().split("\n")[0], limit=200) or type(error).__name__
        raise UnreadableFile(
            f"{node.operator} ({node.label}) does not fit its arguments ({reason})"
        ) from error


def _constant(node: OnnxNode) -> np.ndarray:
    for name, kind in (
        ("value", None),
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if kind is None and isinstance(node.attributes.get(name), np.ndarray):
            return node.attributes[name]
        if kind is not None and name in node.attributes:
            return np.asarray(node.attributes[name], dtype=kind)
    raise Unsupported(f"the constant {node.label} is neither a tensor nor numbers")


def onnx_module(path: str, shape: tuple[int, ...] | None) -> tuple[OnnxModule, torch.Tensor]:
    """The module of an ONNX file, and an example of its input.

    Args:
        path: the file.
        shape: of the input, where the file leaves it open; its batch axis is 1.

    Raises:
        BadRequest: the package `onnx` is missing, or the shape does not fit the file.
        UnreadableFile: the file is damaged.
        Unsupported: it uses something that is not read.
    """
    graph = read_onnx(path)
    shape = _shape(path, graph, shape)
    try:
        module = OnnxModule(graph, shape)
    except (UnreadableFile, *MISFIT) as error:
        reason = printable(str(error), limit=300) or type(error).__name__
        raise UnreadableFile(f"{path}: not a sound ONNX file: {reason}") from error
    except Unsupported as error:
        raise Unsupported(f"{path}: {error}") from error
    return module, torch.zeros(shape, dtype=torch.from_numpy(np.zeros(0, graph.dtype)).dtype)


def _shape(path: str, graph: OnnxGraph, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    declared = graph.shape
    if declared and declared[0] is None:
        declared = (1, *declared[1:])  # an open first axis is the batch
    if not declared or declared[0] != 1:
        raise Unsupported(
            f"{path}: the input has the shape {declared}; export it with a batch of length 1, or "
            "an open one"
        )
    if shape is None and None not in declared:
        return declared
    fits = shape is not None and len(shape) == len(declared)
    if not fits or any(d not in (None, n) for d, n in zip(declared, shape, strict=True)):
        form = ",".join("N" if d is None else str(d) for d in declared)
        raise BadRequest(f"{path}: the input has the shape {form}; give --shape {form}")
    return shape
