"""The table of lowerings: one entry per operator overload, such as `aten.linear.default`.

A lowering is called as `rule(context, **arguments)` with the names of the operator's own
schema. A tensor argument is a `Value` (it depends on the input, or is a constant that had to
be rounded to be stored) or a numpy array (an exact constant: float64, int64 or bool). It
returns one tensor, or a list for an operator with several outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]

TABLE: dict[str, Rule] = {}

#: Operators whose result may share memory with their input: the aliases of an in-place write.
VIEWS: set[str] = set()


def lowering(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under operator names.

    Raises:
        ValueError: a name is taken.
    """

    def register(rule: Rule) -> Rule:
        for name in names:
            add(name, rule)
        return rule

    return register


def add(name: str, rule: Rule) -> None:
    """Register one rule; see `lowering`."""
    if name in TABLE:
        raise ValueError(f"{name} has a lowering already")
    TABLE[name] = rule


def structural(*names: str) -> Callable[[Rule], Rule]:
    """Register a rearrangement, written as a numpy function `rule(array, **arguments)`.

    On a constant the function runs as it is; on a `Value` it runs on the array of flat
    positions, and what comes out is the index of a gather.
    """

    def register(rule: Rule) -> Rule:
        def lower(context: Any, **arguments: Any) -> Any:
            tensor = arguments.pop("self" if "self" in arguments else "input")
            return context.rearrange(tensor, lambda array: rule(array, **arguments))

        lower.__doc__ = rule.__doc__
        for name in names:
            add(name, lower)
            VIEWS.add(name)
        return rule

    return register


def known_ops() -> list[tuple[str, str]]:
    """Every supported operator with one line about it, in alphabetical order."""
    return [(name, (rule.__doc__ or "").split("\n")[0]) for name, rule in sorted(TABLE.items())]
