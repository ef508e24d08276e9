"""An ONNX graph as a torch module, which `certify.export` traces like any other.

Whole numbers and conditions that do not depend on the input (shapes, axes, masks) are computed
when the module is built, as in tracing nothing may depend on numbers of a tensor. Real numbers
are not: constants of the model stay operators, so that the graph means them without rounding.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import nn

import certify.frontend.onnx.rearranging  # noqa: F401  (fills the table)
from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.frontend.onnx.operators import OPERATORS, Arguments
from certify.frontend.onnx.reading import OnnxGraph, OnnxNode, read_onnx
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
                key = f"{key}_{place}" if key in self.steps or key in dir(nn.ModuleDict) else key
                self.steps[key or f"node_{place}"] = Step(node, graph.opset)
        with torch.no_grad():  # shapes only: a hostile file may ask for any amount of memory
            dtype = torch.from_numpy(np.zeros(0, graph.dtype)).dtype
            self._run(torch.zeros(bounded(shape), dtype=dtype, device="meta"), building=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The graph's one output."""
        return self._run(x, building=False)

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

    def _run(self, x: torch.Tensor, *, building: bool) -> torch.Tensor:
        values: dict[str, Any] = {self.graph.input: x}
        for step in self.steps.values():
            node = step.node
            if all(name in self.static for name in node.outputs if name):
                continue
            given = [self._value(name, values) if name else None for name in node.inputs]
            fixed = building and all(v is None or isinstance(v, np.ndarray) for v in given)
            if fixed:
                tensors = [None if v is None else torch.from_numpy(v.copy()) for v in given]
            else:
                tensors = self._tensors(node.inputs, given, building=building)
            out = _told(step, given, tensors) if building else step(given, tensors)
            outputs = out if isinstance(out, tuple) else (out,)
            for name, result in zip(node.outputs, outputs, strict=False):
                if building and _is_static(result, fixed):
                    self.static[name] = np.asarray(result)
                elif name:
                    bounded(tuple(result.shape))
                    values[name] = result.to("meta") if building else result
                    self._tensors(node.inputs, given, building=building)
        last = self.graph.output
        return self._tensors((last,), [self._value(last, values)], building=building)[0]

    def _value(self, name: str, values: dict[str, Any]) -> Any:
        if name in values:
            return values[name]
        if name in self.static:
            return self.static[name]
        if name in self.held:
            return getattr(self, self.held[name])
        raise UnreadableFile(f"{name} is used before it is computed")

    def _tensors(self, names: tuple[str, ...], given: list[Any], *, building: bool) -> list[Any]:
        """Values as tensors; a static one is held as a buffer, made while building."""
        out = []
        for name, value in zip(names, given, strict=True):
            if isinstance(value, np.ndarray):
                if name not in self.held:
                    slot = f"held_{len(self.held)}"
                    self.register_buffer(slot, torch.from_numpy(value.copy()))
                    self.held[name] = slot
                value = getattr(self, self.held[name])
            out.append(value.to("meta") if building and value is not None else value)
        return out


def _is_static(result: Any, fixed: bool) -> bool:
    if isinstance(result, np.ndarray):
        return True
    return fixed and not result.is_floating_point()


def _told(step: Step, given: list[Any], tensors: list[Any]) -> Any:
    """Run one node for its shapes.

    Raises:
        Unsupported: an argument that must be known depends on the input.
        UnreadableFile: the node's arguments do not fit each other.
    """
    where = f"{step.node.operator} ({step.node.label})"
    try:
        return step(given, tensors)
    except Unsupported as error:
        raise Unsupported(
            f"cannot certify ONNX's {step.node.operator}: {error}.\n"
            f"  in the model:  {step.node.label}"
        ) from error
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UnreadableFile(f"{where} does not fit its arguments ({reason})") from error


def _constant(node: OnnxNode) -> np.ndarray:
    for name, kind in (
        ("value", None),
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attributes:
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
    except (UnreadableFile, ValueError) as error:
        raise UnreadableFile(f"{path}: not a sound ONNX file: {error}") from error
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
