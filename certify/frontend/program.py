"""models/model.json -> `Program`: the operators of the archive in order, each with its origin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.errors import Unsupported
from certify.frontend.arguments import DYNAMIC, Damaged, Meta, argument, field, tensor_meta, text
from certify.frontend.origin import origin


@dataclass(frozen=True, eq=False)
class Call:
    """One operator.

    `outputs` has a name for each result, None for one that is not used; `listed` says that
    the operator returns a list.
    """

    target: str
    arguments: dict[str, Any]
    outputs: tuple[str | None, ...]
    listed: bool
    origin: str


@dataclass(frozen=True, eq=False)
class Program:
    """A parsed archive.

    Attributes:
        input: name of the one input of the user.
        output: name of the one result.
        constants: stored tensors, exact: float64, int64 or bool.
        tensors: what the archive says of every tensor, by name.
        calls: the operators, in order.
        parameters: number of trained numbers.
    """

    input: str
    output: str
    constants: dict[str, np.ndarray]
    tensors: dict[str, Meta]
    calls: tuple[Call, ...]
    parameters: int


def read_program(model: dict[str, Any], stored: dict[str, dict[str, Any]]) -> Program:
    """The program that a model.json describes, with its stored tensors.

    Raises:
        Unsupported: dynamic shapes, several inputs or outputs, buffers written to.
        Damaged: it contradicts itself.
    """
    version = field(field(model, "schema_version", dict), "major", int)
    if version != 8:
        raise Damaged(
            f"the export schema has version {version}, and only version 8 can be read; "
            "export the model again with the torch installed here"
        )
    if field(model, "range_constraints", dict):
        raise Unsupported(DYNAMIC)
    module = field(model, "graph_module", dict)
    graph = field(module, "graph", dict)
    signature = field(module, "signature", dict)
    tensors = {
        name: tensor_meta(meta, name)
        for name, meta in field(graph, "tensor_values", dict).items()
        if isinstance(meta, dict)
    }
    calls = tuple(_call(node) for node in field(graph, "nodes", list))
    output = _output(field(signature, "output_specs", list))
    inputs, constants, parameters = _inputs(field(signature, "input_specs", list), stored)
    if len(inputs) != 1:
        raise Unsupported(
            f"the model has {len(inputs)} inputs, and one is certified; "
            "export a wrapper module that takes one tensor"
        )
    if inputs[0] not in tensors:
        raise Damaged("nothing is known of the input's shape")
    return Program(inputs[0], output, constants, tensors, calls, parameters)


def _call(node: Any) -> Call:
    target = text(node, "target").removeprefix("torch.ops.")
    arguments = {}
    for item in field(node, "inputs", list):
        name = text(item, "name")
        arguments[name] = argument(field(item, "arg", dict))
    outputs = field(node, "outputs", list)
    listed = len(outputs) == 1 and isinstance(outputs[0], dict) and "as_tensors" in outputs[0]
    if listed:
        names = [text(t, "name") for t in field(outputs[0], "as_tensors", list)]
    else:
        names = [_result(item) for item in outputs]
    return Call(target, arguments, tuple(names), listed, origin(node.get("metadata")))


def _result(item: Any) -> str | None:
    if isinstance(item, dict) and "as_tensor" in item:
        return text(item["as_tensor"], "name")
    if isinstance(item, dict) and any(k.startswith("as_sym") for k in item):
        raise Unsupported(DYNAMIC)
    return None


def _output(specs: list[Any]) -> str:
    kinds = [next(iter(s), "") if isinstance(s, dict) else "" for s in specs]
    if any(kind.endswith("_mutation") for kind in kinds):
        raise Unsupported(
            "the model writes to its buffers or inputs when it runs; call model.eval() and "
            "export it again"
        )
    if kinds != ["user_output"]:
        raise Unsupported(
            f"the model returns {len(kinds)} values, and one tensor is certified; "
            "export a wrapper module that returns one tensor"
        )
    arg = field(field(specs[0], "user_output", dict), "arg", dict)
    if "as_tensor" not in arg:
        raise Unsupported("the model returns no tensor; export a module that returns one tensor")
    return text(arg["as_tensor"], "name")


def _inputs(
    specs: list[Any], stored: dict[str, dict[str, Any]]
) -> tuple[list[str], dict[str, np.ndarray], int]:
    """Names of user inputs, stored tensors by name, and the number of parameters."""
    inputs: list[str] = []
    constants: dict[str, np.ndarray] = {}
    members: dict[tuple[str, str], int] = {}
    for spec in specs:
        kind = next(iter(spec), "") if isinstance(spec, dict) and len(spec) == 1 else ""
        body = spec[kind] if kind else None
        arg = field(body, "arg", dict) if kind not in ("", "constant_input") else {}
        if kind == "user_input":
            if "as_tensor" in arg:
                inputs.append(text(arg["as_tensor"], "name"))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            name = text(body, f"{kind}_name")
            array, member = _find(name, stored)
            _check(name, array, kind)
            constants[text(arg, "name")] = array
            if kind == "parameter":
                members[member, str(array.shape)] = array.size
        elif kind != "constant_input":
            raise Unsupported(f"the model has an input of an unusual kind ({kind or 'none'})")
    return inputs, constants, sum(members.values())


def _find(name: str, stored: dict[str, dict[str, Any]]) -> tuple[np.ndarray, str]:
    for kind, tensors in stored.items():
        if name in tensors:
            array, member = tensors[name]
            if array is None:
                raise Unsupported(
                    f"{name} is stored as a pickle, which is never executed; "
                    "export a module whose weights are ordinary tensors"
                )
            return array, f"{kind}/{member}"
    raise Damaged(f"the tensor {name} is not in the archive")


def _check(name: str, array: np.ndarray, kind: str) -> None:
    """Refuse nan, and infinities except in the masks that buffers hold."""
    if array.dtype.kind != "f":
        return
    bad = np.isnan(array) if kind != "parameter" else ~np.isfinite(array)
    if bad.any():
        count = math.prod(array.shape)
        raise Damaged(
            f"{int(bad.sum())} of the {count} numbers of {name} are nan or infinite; "
            "train or load the model again before exporting it"
        )
