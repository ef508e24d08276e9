"""Lowerings of operators to the five primitives; one file per family, one entry per operator."""

from __future__ import annotations

from certify.ops import (  # noqa: F401  (each import fills the table)
    attention,
    constants,
    elementwise,
    linear,
    norm,
    reduce,
    structure,
)
from certify.ops.context import CannotLower, Context, Value
from certify.ops.table import TABLE, VIEWS, known_ops

__all__ = ["TABLE", "VIEWS", "CannotLower", "Context", "Value", "known_ops"]
