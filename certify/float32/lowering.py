"""The graph of a program with the rounding of every operator in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.errors import Unsupported
from certify.float32.rules import RULES, Operator, is_single
from certify.frontend.lower import Lowered, lower
from certify.frontend.program import Program
from certify.graph import Graph
from certify.ops import VIEWS, CannotLower, Value

#: Operators whose result is one of their operands, or exact on float32 numbers.
EXACT = frozenset(
    f"aten.{name}"
    for name in [
        "abs.default",
        "amax.default",
        "amin.default",
        "cat.default",
        "clamp.Tensor",
        "clamp.default",
        "clamp_max.Tensor",
        "clamp_max.default",
        "clamp_min.Tensor",
        "clamp_min.default",
        "concat.default",
        "constant_pad_nd.default",
        "copy.default",
        "embedding.default",
        "gather.default",
        "hardtanh.default",
        "index.Tensor",
        "index_put.default",
        "index_select.default",
        "masked_fill.Scalar",
        "masked_fill.Tensor",
        "max.default",
        "max.dim",
        "max.other",
        "maximum.default",
        "min.default",
        "min.dim",
        "min.other",
        "minimum.default",
        "neg.default",
        "pad.default",
        "relu.default",
        "relu6.default",
        "scatter.src",
        "scatter.value",
        "select_scatter.default",
        "slice_scatter.default",
        "stack.default",
        "tril.default",
        "triu.default",
        "where.Scalar",
        "where.ScalarOther",
        "where.ScalarSelf",
        "where.self",
        "_assert_tensor_metadata.default",
    ]
)


def supported() -> list[str]:
    """Operators that float32 execution is bounded for."""
    return sorted(RULES.keys() | EXACT | VIEWS)


def lower_float32(program: Program) -> Graph:
    """The graph in which every operator's result is its exact one and a rounding error.

    Raises:
        Unsupported: a tensor is not float32, or an operator has no bound.
    """
    for name, meta in program.tensors.items():
        if meta.dtype.floating and meta.dtype.name != "float32":
            raise Unsupported(
                f"--semantics float32 is about models in float32, and {name} is "
                f"{meta.dtype.name}; export model.float(), or leave the option out"
            )
    for name, array in program.constants.items():
        if array.dtype.kind == "f" and not np.array_equal(array.astype(np.float32), array):
            raise Unsupported(f"--semantics float32: {name} is not stored in float32")
    return lower(program, rounding)


def rounding(lowered: Lowered, result: Any) -> Any:
    """`result` as it is computed.

    Raises:
        CannotLower: the operator has no bound.
    """
    target = lowered.target
    if result is None or (isinstance(result, np.ndarray) and is_constant(target, result)):
        return result
    if isinstance(result, np.ndarray) and target in VIEWS | EXACT:
        raise CannotLower("--semantics float32: it makes a constant that float32 rounds")
    if target in VIEWS:
        return result
    if target in EXACT:
        rounds = [v for v in numbers(lowered.arguments) if not is_single(v)]
        if rounds:
            raise CannotLower(f"--semantics float32: it takes {rounds[0]!r}, no float32 number")
        return result
    rule = RULES.get(target)
    if rule is None:
        raise CannotLower("--semantics float32 has no bound for its rounding")
    value = lowered.context.value(result)
    reads, error = rule(Operator(lowered, value))
    number = lowered.context.builder.rounded(value.number, reads, error)
    return Value(number, value.shape, value.hidden)


def is_constant(target: str, array: np.ndarray) -> bool:
    """Whether a constant result is what float32 execution gives: integers, and numbers of float32
    from operators that round correctly, which powers do not."""
    exact = not target.startswith(("aten.pow.", "aten.exp2."))
    return array.dtype.kind != "f" or (exact and is_single(array))


def numbers(arguments: dict[str, Any]) -> list[float]:
    """The real numbers among the arguments of an operator."""
    return [v for v in arguments.values() if isinstance(v, float)]
