"""One sign for every cell, or for a run of neighboring cells: the plateau verdicts at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from certify.verdict import Verdict
from theory.claims import CellVerdict

#: Sign and meaning, the one that is shown for a run of cells first.
SIGNS = {
    "_": "a plateau, proved",
    "?": "not decided",
    "/": "no plateau, proved",
    ".": "decides nothing: the target is flat there",
}


@dataclass(frozen=True)
class Column:
    """Cells first ... last - 1, drawn as one, with the most telling sign of any of them."""

    first: int
    last: int
    sign: str


def sign(cell: CellVerdict) -> str:
    """The sign of one cell."""
    if cell.verdict is Verdict.PROVED:
        return "_"
    if not cell.possible:
        return "."
    return "/" if cell.verdict is Verdict.REFUTED else "?"


def columns(cells: Sequence[CellVerdict], most: int) -> list[Column]:
    """At most `most` columns of as many cells each, the last one perhaps of fewer."""
    per = -(-len(cells) // most)
    order = list(SIGNS)
    return [
        Column(i, min(i + per, len(cells)), min(map(sign, cells[i : i + per]), key=order.index))
        for i in range(0, len(cells), per)
    ]


def strip(cells: Sequence[CellVerdict], where: str, most: int = 64) -> list[str]:
    """The line of signs, and what they mean.

    Args:
        cells: in the order of the domain.
        where: the domain, for the legend.
        most: columns.
    """
    found = columns(cells, most)
    per = found[0].last - found[0].first
    each = "one sign each" if per == 1 else f"one sign for {per} cells"
    more = "" if per == 1 or set("_?") & {c.sign for c in found} == set() else (
        "; a sign earlier in this list hides the later ones"
    )  # fmt: skip
    meaning = [f"{s} {means}" for s, means in SIGNS.items() if any(c.sign == s for c in found)]
    count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    legend = f"{count} on {where}, {each}: {'; '.join(meaning)}{more}"
    return ["".join(c.sign for c in found), legend]
