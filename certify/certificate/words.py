"""What the checker says, also in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What became of a certificate: why it was rejected, how many of its leaves were proved, how
    many inequalities by which judge, in how many pieces, how many points, and the seconds taken."""

    accepted: bool
    reason: str
    checked: int
    leaves: int
    judged: Counter[str]
    seconds: float


def in_words(result: Result) -> str:
    """The verdict first, then what it rests on."""
    part, judged = f"{result.checked} of {result.leaves} leaves", result.judged
    if not result.accepted:
        return f"REJECTED    {result.reason}\n            {part} were proved before"
    if result.checked < result.leaves:
        part = f"checked {100 * result.checked / result.leaves:.3g} % of leaves: {part}"
    free = judged["nobody needs to"]
    nothing = f"; {free} bounds are infinite, which claims nothing" if free else ""
    return f"""ACCEPTED    {part}, in {judged["pieces"]} pieces; {result.seconds:.1f} s
            inequalities proved by Z3: {judged["z3"]}, by Bernstein form: {judged["bernstein"]}, \
by Arb: {judged["arb"]};
            points by Arb: {judged["points"]}{nothing}"""
