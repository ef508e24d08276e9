"""Does the graph mean what the archive means? Both are computed at points and compared.

The archive's side runs the archive's own operators, in torch and float64, one call after the
other. Only operators that have a lowering are run, looked up by names written in this
package and never by names from the file. The comparison is a test, not a proof.
"""

from __future__ import annotations

from typing import Any

import torch

from certify.evaluate import evaluate
from certify.frontend import Model
from certify.frontend.arguments import Dtype, Meta, Ref
from certify.frontend.lower import out_of_place
from certify.frontend.program import Program
from certify.ops import TABLE

#: Largest difference between two correct float64 evaluations, relative to the output.
TOLERANCE = 1e-9


class InternalError(Exception):
    """This program contradicts itself: a bug in it, not a problem of the caller's."""

    exit_code = 5


def check_agreement(model: Model, points: torch.Tensor) -> float:
    """`agree`, insisting that the difference is no more than rounding.

    Raises:
        InternalError: it exceeds `TOLERANCE`, or torch refuses to run the archive.
    """
    try:
        difference = agree(model, points)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        reason = str(error).split("\n")[0]
        raise InternalError(f"{model.path}: torch cannot run the archive ({reason})") from error
    if not difference <= TOLERANCE:
        raise InternalError(
            f"{model.path}: the graph differs from the archive's own operators by "
            f"{difference:.3g} (relative), more than rounding explains; please report this model"
        )
    return difference


def agree(model: Model, points: torch.Tensor) -> float:
    """Largest difference between graph and archive, relative to the output's magnitude.

    Args:
        model: as `load` returns it.
        points: float64, shape (P, *model.inputs).

    Returns:
        max |graph - archive| / max |archive| over points and entries; nan if one of them is
        not finite where the other is.
    """
    ours = evaluate(model.graph, points)["model"]
    theirs = torch.stack([interpret(model.program, x) for x in points])
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    if bool(same.all()):
        return 0.0
    finite = theirs[theirs.isfinite()].abs()
    size = float(finite.max()) if len(finite) else 0.0
    difference = torch.where(same, 0.0, (ours - theirs).abs())
    return float(difference.max()) / max(size, torch.finfo(torch.float64).tiny)


def interpret(program: Program, x: torch.Tensor, kind: torch.dtype = torch.float64) -> torch.Tensor:
    """The program at one point, by the archive's own operators, in float64 or float32.

    Args:
        program: the parsed archive; `certify.frontend.lower` has accepted it.
        x: shape (*input_shape,).
        kind: the type of all real numbers.
    """
    plain = out_of_place(program)
    names: dict[str, Any] = {k: torch.tensor(v) for k, v in program.constants.items()}
    names = {k: v.to(kind) if v.is_floating_point() else v for k, v in names.items()}
    names[program.input] = x.to(kind)
    with torch.no_grad():
        for call in program.calls:
            name = plain.get(id(call), call.target)
            arguments = {k: _resolve(v, names, kind) for k, v in call.arguments.items()}
            meta = next((program.tensors[n] for n in call.outputs if n in program.tensors), None)
            out = _run(name, _adjusted(name, arguments, meta, kind))
            results = [] if out is None else list(out) if isinstance(out, list | tuple) else [out]
            for output, result in zip(call.outputs, results, strict=True):
                names[output or ""] = result
    return names[program.output]


def _run(name: str, arguments: dict[str, Any]) -> Any:
    if name in ("aten.view.default", "aten._unsafe_view.default"):
        # strides in float64 may differ from those that the view was recorded with
        return torch.reshape(arguments["self"], arguments["size"])
    return _operator(name)(**arguments)


def _operator(name: str) -> torch._ops.OpOverload:
    """A torch operator by its name, which must be one of the table of lowerings."""
    if name not in TABLE:
        raise InternalError(f"{name} was lowered without an entry in the table")
    _, base, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, base), overload)


#: Operators that make floats of the default type unless told otherwise.
_FACTORIES = {
    f"aten.{name}"
    for name in (
        "full.default",
        "zeros.default",
        "ones.default",
        "scalar_tensor.default",
        "eye.default",
        "eye.m",
        "linspace.default",
        "arange.default",
        "arange.start",
        "arange.start_step",
    )
}


def _adjusted(
    name: str, arguments: dict[str, Any], meta: Meta | None, kind: torch.dtype
) -> dict[str, Any]:
    """Arguments for floats of `kind`, no devices, the epsilon of the model's own type."""
    for place in ("device", "layout", "memory_format", "pin_memory"):
        arguments.pop(place, None)
    if name == "aten._assert_tensor_metadata.default":
        return {"a": arguments["a"]}
    if name in _FACTORIES and meta is not None and meta.dtype.floating:
        arguments["dtype"] = kind
    if name == "aten.to.device":
        arguments["device"] = "cpu"
    if name == "aten.rms_norm.default" and arguments.get("eps") is None and meta is not None:
        arguments["eps"] = meta.dtype.epsilon
    return arguments


def _resolve(value: Any, names: dict[str, Any], kind: torch.dtype) -> Any:
    if isinstance(value, list):
        return [_resolve(v, names, kind) for v in value]
    if isinstance(value, Ref):
        return names[value.name]
    if isinstance(value, Dtype):
        return kind if value.floating else _TYPES[value.name]
    return value


_TYPES = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}
