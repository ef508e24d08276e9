"""What the checker says, in words."""

from __future__ import annotations

from typing import Any


def in_words(result: Any) -> str:
    """The verdict first, then what it rests on: a `certify.checker.check.Result`."""
    part, judged = f"{result.checked} of {result.leaves} leaves", result.judged
    if not result.accepted:
        return f"REJECTED    {result.reason}\n            {part} were proved before"
    if result.checked < result.leaves:
        part = f"checked {100 * result.checked / result.leaves:.3g} % of leaves: {part}"
    return f"""ACCEPTED    {part}, in {judged["pieces"]} pieces; {result.seconds:.1f} s
            inequalities proved by Z3: {judged["z3"]}, by Bernstein form: {judged["bernstein"]}, \
by Arb: {judged["arb"]};
            infinite bounds: {judged["nobody needs to"]}; points by Arb: {judged["points"]}"""
