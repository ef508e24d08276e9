"""What can go wrong that is the caller's to mend, each with its exit code."""

from __future__ import annotations


class PlateauError(Exception):
    """A problem with the caller's input; the text says what, where and what to do."""

    exit_code = 2


class BadRequest(PlateauError):
    """An option, expression or domain that has no meaning."""
