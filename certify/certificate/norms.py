"""What is stated of all outputs of a bundle together, and does not follow from its parts.

Exact numbers only: bounds on a norm are compared by their squares (`theory.norms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf

from certify.certificate import Bundle, Certificate, Pair, Point
from theory.norms import ANYTHING, Exact, apart, exact, square, squares

Places = dict[tuple[float, ...], Point]


def unproved(bundle: Bundle) -> Iterator[str]:
    """The places in the file of numbers that do not follow, given that every part holds.

    A lower bound may be 0 or less, which says nothing. A pair of inputs counts where both lie in
    the cell and are points of every part.
    """
    norm, stated, whole = bundle.norm, bundle.stated, [part.stated for part in bundle.parts]
    total = exact(bundle.squares.stated.sup_error) if bundle.squares else ANYTHING
    if not _follows(norm, stated.sup_error, [s.sup_error for s in whole], total):
        yield "sup_error"
    if not _follows(norm, stated.target_variation, [s.target_variation for s in whole]):
        yield "target_variation"
    known = [{point.at: point for point in part.points} for part in bundle.parts]
    for i, cell in enumerate(stated.cells):
        mine = [s.cells[i] for s in whole]
        for name, field, far in (
            ("variation", "model", cell.far),
            ("target_variation", "target", cell.target_far),
        ):
            shown = _shown(far, known, field, bundle.parts[0], i), inf
            entries = [getattr(own, name) for own in mine]
            if not _follows(norm, getattr(cell, name), entries, shown):
                yield f"cell {i}: {name}"


def _follows(norm: str, stated: Pair, entries: list[Pair], also: tuple[Exact, Exact] = ANYTHING):
    low, high = squares(norm, entries, also)
    return square(stated[0]) <= low and stated[1] >= 0 and square(stated[1]) >= high


def _shown(
    far: tuple | None, known: list[Places], field: str, part: Certificate, cell: int
) -> Fraction:
    """What two inputs show of the square of a diameter."""
    box = part.stated.cells[cell].box
    inside = all(lo <= v <= hi for x in far or () for v, (lo, hi) in zip(x, box, strict=True))
    if far is None or not inside or any(x not in places for x in far for places in known):
        return Fraction(0)
    return apart(*([getattr(places[x], field) for places in known] for x in far))
