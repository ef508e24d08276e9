"""One sign for every cell, or for a run of neighboring cells: the plateau verdicts at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theory.claims import CellVerdict, Verdict

#: Sign and meaning. A run of cells shows the first of these that one of them has.
SIGNS = {
    "_": "a plateau, proved",
    "?": "not decided",
    "/": "no plateau, proved",
    ".": "flat target, decides nothing",
}


@dataclass(frozen=True)
class Column:
    """Cells first ... last - 1, drawn as one."""

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
    """At most `most` columns, of as many cells each, the last one perhaps of fewer."""
    per = -(-len(cells) // most)
    order = list(SIGNS)
    return [
        Column(i, min(i + per, len(cells)), min(map(sign, cells[i : i + per]), key=order.index))
        for i in range(0, len(cells), per)
    ]


def strip(cells: Sequence[CellVerdict], where: str, most: int = 64) -> list[str]:
    """The line of signs, and what they mean.

    Args:
        cells: in the order of the domain; at least one.
        where: the domain, for the legend.
        most: columns.
    """
    found = columns(cells, most)
    per = found[0].last
    used = [s for s in SIGNS if any(c.sign == s for c in found)]
    if len(cells) == 1:
        count = "the one cell"
    elif per == 1:
        count = f"{len(cells)} cells, a sign each"
    else:
        order = " ".join(SIGNS)
        count = (
            f"{len(cells)} cells, each sign stands for {per} cells and shows the first of {order} "
            "that occurs"
        )
    legend = "; ".join(f"{s} {SIGNS[s]}" for s in used)
    return ["".join(c.sign for c in found), f"{count}, from {where}: {legend}"]
