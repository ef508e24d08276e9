"""What can go wrong with a model that is the caller's to mend, each with its exit code."""

from __future__ import annotations

from theory.errors import BadRequest, PlateauError

__all__ = ["BadRequest", "PlateauError", "UnreadableFile", "Unsupported"]


class UnreadableFile(PlateauError):
    """The file is missing, damaged, or not a model file."""


class Unsupported(PlateauError):
    """The model is sound but uses something that has no lowering to the primitives."""

    exit_code = 4
