"""`certify convert`: what people have (weights, ONNX, encoder folders) -> a model file."""

from __future__ import annotations

import importlib
import io
import os
import sys
from dataclasses import dataclass
from typing import Any

import torch

from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.frontend import Model, read
from certify.frontend.agree import check_agreement
from certify.frontend.export import serialized
from certify.frontend.sniff import Other, identify
from certify.ops.context import bounded
from theory.files import destination, replace_file

#: Points at which the written graph is compared with the exported operators.
POINTS = 3


@dataclass(frozen=True)
class Source:
    """What to convert.

    Attributes:
        path: the file or folder.
        arch: "pkg.mod:factory", for weights without an architecture; it is imported and called.
        shape: of the input, with a batch axis of 1.
        key: where in a checkpoint the weights are.
    """

    path: str
    arch: str | None = None
    shape: tuple[int, ...] | None = None
    key: str | None = None


def convert(source: Source, path: str | os.PathLike[str]) -> tuple[Model, float]:
    """Write what a file means as a model file, once it has been read back and compared.

    Nothing in the file is executed. The module that `arch` names is imported, as asked.

    Returns:
        the model as it was read back, and the largest relative difference, over a few points,
        between its graph and the operators written.

    Raises:
        BadRequest: options that do not fit the file, an unusable factory, or no place to write.
        UnreadableFile: the file is damaged, or holds objects other than tensors.
        Unsupported: torch.export cannot trace the module, or an operator has no lowering.
    """
    place = destination(path)
    if os.path.exists(source.path) and os.path.realpath(source.path) == str(place):
        raise BadRequest(f"{source.path}: would be overwritten by what is made of it; name another")
    module, example = _module(source)
    try:
        data = serialized(module, example)
    except Unsupported as error:
        hint = "" if source.shape is not None else "; --shape gives the input another shape"
        raise Unsupported(f"{source.path}: {error}{hint}") from error
    model = read(io.BytesIO(data), source.path)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(POINTS, *model.inputs, dtype=torch.float64, generator=generator)
    difference = check_agreement(model, 2 * points - 1)
    replace_file(place, data)
    return model, difference


def in_words(model: Model, difference: float, path: str) -> str:
    """What `convert` did, for a terminal."""
    shapes = " -> ".join(" x ".join(map(str, s)) for s in (model.inputs, model.outputs))
    return (
        f"written     {path}: {shapes}, {model.parameters} parameters\n"
        f"            graph and operators agree to {difference:.1e} at {POINTS} points"
    )


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """The shape that "1,2,4" means.

    Raises:
        BadRequest: it is not one of a batch of length 1.
    """
    if text is None:
        return None
    parts = text.replace(" ", "").split(",")
    if not all(p.isascii() and p.isdigit() and len(p) < 9 and int(p) for p in parts):
        raise BadRequest(f"--shape {text!r} is not a list of sizes such as 1,2,4")
    if parts[0] != "1":
        raise BadRequest(f"--shape {text}: the first axis is the batch, and its length is 1")
    try:
        return bounded(tuple(int(p) for p in parts))
    except ValueError as error:
        raise BadRequest(f"--shape {text}: {error}") from error


def _module(source: Source) -> tuple[torch.nn.Module, torch.Tensor]:
    """The module that the source means, and an example of its input."""
    if os.path.isdir(source.path):
        from certify.frontend.bert import from_folder

        _refuse(source, arch="a folder says its own architecture", key="a folder has no keys")
        return from_folder(source.path, source.shape)
    other = _kind(source.path)
    if other.kind == "onnx":
        from certify.frontend.onnx.module import onnx_module

        _refuse(source, arch="an ONNX file holds its own architecture", key="ONNX has no keys")
        return onnx_module(source.path, source.shape)
    if other.kind != "weights":
        raise UnreadableFile(f"{source.path}: {other.told(source.path)}")
    return _weights(source, other)


def _refuse(source: Source, **reasons: str) -> None:
    for name, reason in reasons.items():
        if getattr(source, name) is not None:
            raise BadRequest(f"{source.path}: leave out --{name}; {reason}")


def _kind(path: str) -> Other:
    try:
        with open(path, "rb") as file:
            other = identify(file)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened ({error.strerror or error})") from error
    if other is None:
        raise BadRequest(f"{path}: this is a model file already; use it as it is")
    return other


def _weights(source: Source, other: Other) -> tuple[torch.nn.Module, torch.Tensor]:
    from certify.frontend.weights import fill, read_checkpoint, read_safetensors

    if source.arch is None:
        raise BadRequest(
            f"{source.path}: {other.what.partition(',')[0]} has no architecture; say how to "
            "build the module with --arch pkg.mod:factory, a function without arguments that "
            "returns it"
        )
    if "safetensors" in other.what:
        _refuse(source, key="safetensors files have no keys")
        weights = read_safetensors(source.path)
    else:
        weights = read_checkpoint(source.path, source.key)
    module, example = build(source.arch)
    fill(module, weights, source.path)
    if source.shape is not None or example is None:
        example = torch.zeros(source.shape or (1, 1))
    kinds = {t.dtype for t in module.state_dict().values() if t.is_floating_point()}
    return module, example.to(kinds.pop()) if len(kinds) == 1 else example


def build(arch: str) -> tuple[torch.nn.Module, torch.Tensor | None]:
    """Import `pkg.mod` and call `factory`, for arch = "pkg.mod:factory".

    Modules beside the working directory are found as `python -m` finds them.

    Returns:
        the module, and an example of its input if the factory returns a pair.

    Raises:
        BadRequest: it cannot be imported, called, or does not return a module.
    """
    name, colon, attribute = arch.partition(":")
    if not colon or not name or not attribute:
        raise BadRequest(f"--arch {arch!r} is not of the form pkg.mod:factory")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory: Any = importlib.import_module(name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
        made = factory()
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        text = str(error).strip().split("\n")[0]
        raise BadRequest(
            f"--arch {arch}: {type(error).__name__}{f': {text}' if text else ''}"
            f"{_line(error)}; it must import, and be callable without arguments"
        ) from error
    module, example = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise BadRequest(f"--arch {arch}: it returned a {type(made).__name__}, not a module")
    if example is not None and not isinstance(example, torch.Tensor):
        raise BadRequest(f"--arch {arch}: the second part of what it returned is not a tensor")
    return module, example


def _line(error: BaseException) -> str:
    """Where in the user's code it happened."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
