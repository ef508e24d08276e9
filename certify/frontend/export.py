"""Write a module as a model file that `load` and `torch.export.load` read."""

from __future__ import annotations

import io
import logging
import operator
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from certify.errors import BadRequest, Unsupported
from certify.frontend.origin import shorten_trace
from certify.ops import TABLE
from theory.files import replace_file

#: Calls that are no operators: one of several results.
_STRUCTURE = {str(operator.getitem)}
#: Warnings in which torch's exporter speaks to torch's authors.
_OF_TORCH_ITSELF = (r"`isinstance\(treespec", "No complete tensor found")


def export(
    module: torch.nn.Module,
    example_input: torch.Tensor | tuple[torch.Tensor],
    path: str | os.PathLike[str],
) -> None:
    """Write `module`, in eval mode, as a model file.

    The module's training flags are put back afterwards. The file holds module paths and
    source lines, but no absolute path of this machine, and the same module gives the same
    bytes. It is complete or absent: an existing file stays as it is until the new one is
    written. What is exported is the ordinary forward pass, not torch's fused fast path for
    transformers in eval mode. Operators without a lowering are written as torch's own
    decompositions of them where there are any.

    Args:
        module: takes one floating-point tensor, returns one.
        example_input: that tensor, with a first axis (the batch) of length 1.
        path: where to write; any file name.

    Warns:
        UserWarning: an operator is left that has no lowering; `load` will refuse the file.

    Raises:
        BadRequest: the module is none, the example has another form, or the path cannot be written.
        Unsupported: torch.export cannot trace the module.
    """
    replace_file(os.fspath(path), serialized(module, example_input))


def _example(example_input: Any) -> torch.Tensor:
    if isinstance(example_input, tuple | list) and len(example_input) == 1:
        example_input = example_input[0]
    if not isinstance(example_input, torch.Tensor):
        raise BadRequest("example_input must be one tensor, or a tuple of one tensor")
    if example_input.dim() == 0 or example_input.shape[0] != 1:
        raise BadRequest(
            f"example_input has shape {tuple(example_input.shape)}, and its first axis must be "
            "a batch of length 1; take one row of it, x[:1]"
        )
    return example_input


def serialized(module: torch.nn.Module, example_input: Any) -> bytes:
    """What `export` writes, for the same arguments; it raises the same errors."""
    if not isinstance(module, torch.nn.Module):
        raise BadRequest(
            f"module must be a torch.nn.Module, not {type(module).__name__}; weights without their "
            "module become a model file by `certify convert`"
        )
    with warnings.catch_warnings():
        for text in _OF_TORCH_ITSELF:
            warnings.filterwarnings("ignore", message=text)
        program = _traced(module, _example(example_input))
        data = _serialize(program)
    unknown = sorted({str(target) for target in _called(program)} - {*TABLE, *_STRUCTURE})
    if unknown:
        warnings.warn(
            f"written, but `certify check` will refuse it: no lowering of {', '.join(unknown)}; "
            "`certify ops` lists what there is",
            stacklevel=3,
        )
    return data


def _traced(module: torch.nn.Module, example: torch.Tensor) -> torch.export.ExportedProgram:
    with _evaluating(module):
        try:
            program = torch.export.export(module, (example,))
            if any(_is_in_place(node) for node in program.graph.nodes):
                program = program.run_decompositions({})
            program = _in_known_operators(program)
        except Exception as error:
            reason = str(error).strip().split("\n")[0]
            shape, alone = tuple(example.shape), ""
            if len(shape) == 1:
                alone = "; its only axis is the batch: for one number a row take torch.zeros(1, 1)"
            raise Unsupported(
                f"torch.export cannot trace this {type(module).__name__}: {reason}\n"
                "  control flow must not depend on the input's values, and the module takes one "
                f"tensor of the example's shape, {shape}{alone}"
            ) from error
    folder = os.getcwd()
    for graph in [m.graph for m in program.graph_module.modules() if hasattr(m, "graph")]:
        for node in graph.nodes:
            # from_node holds memory addresses, which would make every file different
            node.meta.pop("from_node", None)
            if isinstance(node.meta.get("stack_trace"), str):
                node.meta["stack_trace"] = shorten_trace(node.meta["stack_trace"], folder)
    return program


def _in_known_operators(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with operators that have no lowering replaced by torch's decompositions."""
    used = _called(program)
    if all(str(target) in TABLE or target is operator.getitem for target in used):
        return program
    table = torch.export.default_decompositions()
    rules = {op: rule for op, rule in table.items() if str(op) not in TABLE}
    return program.run_decompositions(rules) if used & set(rules) else program


def _called(program: torch.export.ExportedProgram) -> set[Any]:
    return {node.target for node in program.graph.nodes if node.op == "call_function"}


def _is_in_place(node: torch.fx.Node) -> bool:
    """Whether the ordinary form must be asked for: in-place operators, no_grad regions."""
    if node.op != "call_function":
        return False
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        return True
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode, gradients on, fused path off, no search for causal masks; put back at the end.

    nn.Transformer compares a mask with the causal one, to let a kernel know; a trace cannot
    branch on that. Told that the mask is nothing special it applies the mask itself, which is
    the same function.
    """
    modes = [(m, m.training) for m in module.modules()]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch logs whole graphs of what it then raises
    try:
        module.eval()
        with torch.enable_grad(), _masks_as_given():
            yield
    finally:
        logging.disable(level)
        torch.backends.mha.set_fastpath_enabled(fused)
        for part, training in modes:
            part.training = training


@contextmanager
def _masks_as_given() -> Iterator[None]:
    layers, name = torch.nn.modules.transformer, "_detect_is_causal_mask"
    detect = getattr(layers, name, None)  # private to torch, and may go away with its problem
    if detect is not None:
        setattr(layers, name, lambda mask, is_causal=None, size=None: bool(is_causal))
    try:
        yield
    finally:
        if detect is not None:
            setattr(layers, name, detect)


def _serialize(program: torch.export.ExportedProgram) -> bytes:
    # into memory: the root folder inside the archive is then not named after a path
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
