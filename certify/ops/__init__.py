"""Lowerings of operators to the five primitives; one file per family, one entry per operator."""

from __future__ import annotations

from certify.ops import (  # noqa: F401  (each import fills the table)
    activations,
    attention,
    constants,
    convolution,
    einsum,
    elementwise,
    extremes,
    linear,
    norm,
    power,
    reduce,
    structure,
    write,
)
from certify.ops.context import CannotLower, Context, Value
from certify.ops.table import TABLE, VIEWS, known_ops
from certify.ops.unsupported import UNSUPPORTED, unsupported_ops

__all__ = [
    "TABLE",
    "UNSUPPORTED",
    "VIEWS",
    "CannotLower",
    "Context",
    "Value",
    "known_ops",
    "unsupported_ops",
]
