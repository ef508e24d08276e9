"""Whether a state can be a search's: boxes that cover the cells, and bounds that are bounds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from certify.goal import brackets
from certify.search import FRESH, Leaves, Problem, State


class Impossible(Exception):
    """No search leaves such a state; the text says why."""


def sound(problem: Problem, state: State) -> State:
    """The state, if leaves and points may be those of a search for this problem.

    That every bound is true cannot be seen here. What can be seen is: no nan, no empty interval,
    every leaf and point in its cell, leaves that cover the cells without a gap, and no lower bound
    above an upper one in what follows from them. `at`, the places where extremes seem to be, is
    moved into the boxes: values are taken there, and a place outside would be one of another cell.

    Raises:
        Impossible: it cannot be.
    """
    leaves, points, cells = state.leaves, state.points, problem.cells
    if not len(leaves):
        raise Impossible("there are no leaves")
    box, outer = leaves.box, cells
    if not bool(((leaves.axis >= 0) & (leaves.axis < box.shape[1])).all()):
        raise Impossible("there is no variable of such a number")
    if not bool(torch.isfinite(box).all() & (box[..., 0] < box[..., 1]).all()):
        raise Impossible("a box is empty or not finite")
    for cell in (leaves.cell, points.cell):
        if not bool(((cell >= 0) & (cell < len(cells))).all()):
            raise Impossible("there is no cell of such a number")
    _bounds(leaves.bounds, "leaf")
    _bounds(points.bounds, "point")
    least, most = leaves.inner[:, 0], leaves.inner[:, 1]
    # Some value is <= least, and none is below the lower bound; nan passes neither test.
    if not bool(((least >= leaves.bounds[:, 0]) & (most <= leaves.bounds[:, 1])).all()):
        raise Impossible("a leaf's inner values lie outside its bounds")
    if not bool((leaves.rem >= 0).all() & (leaves.stale >= FRESH).all()):
        raise Impossible("a remainder is negative, or an age")
    place = points.x.reshape(len(points.x), outer.shape[1])
    inside = (outer[points.cell, :, 0] <= place) & (place <= outer[points.cell, :, 1])
    if not bool(inside.all()):
        raise Impossible("a point lies outside its cell")
    order = torch.argsort(leaves.cell)
    sizes = torch.bincount(leaves.cell, minlength=len(cells)).tolist()
    for part, cell in zip(torch.split(box[order], sizes), outer, strict=True):
        _covered(part, cell)
    _consistent(problem, state)
    return replace(state, leaves=_moved(leaves))


def _bounds(bounds: Tensor, what: str) -> None:
    lo, hi = bounds[:, 0], bounds[:, 1]
    inf = float("inf")
    if not bool(((lo <= hi) & (lo < inf) & (hi > -inf)).all()):
        raise Impossible(f"the bounds of a {what} are none")


def _covered(box: Tensor, cell: Tensor) -> None:
    """Whether boxes (count, variables, 2) fill the cell (variables, 2), by cuts from side to side.

    A box is either the only one and the whole, or some plane cuts the boxes in two parts without
    cutting one of them, and both parts are filled. Searches cut in this way only.

    Raises:
        Impossible: they do not.
    """
    stack = [(box, cell)]
    while stack:
        box, cell = stack.pop()
        if len(box) == 1 and torch.equal(box[0], cell):
            continue
        axis, places = _cuts(box)
        if axis is None or not bool(((cell[axis, 0] < places) & (places < cell[axis, 1])).all()):
            raise Impossible("the boxes do not cover the cells, each place once")
        # All cuts along this axis at once: strips between neighboring places.
        edges = torch.cat([cell[axis, :1], places, cell[axis, 1:]])
        strip = torch.searchsorted(places, box[:, axis, 0].contiguous(), right=True)
        order = torch.argsort(strip, stable=True)
        sizes = torch.bincount(strip, minlength=len(places) + 1).tolist()
        for i, part in enumerate(torch.split(box[order], sizes)):
            inner = cell.clone()
            inner[axis] = edges[i : i + 2]
            stack.append((part, inner))


def _cuts(box: Tensor) -> tuple[int | None, Tensor]:
    """An axis and the places on it at which a plane cuts none of the boxes in two."""
    for axis in range(box.shape[1] if len(box) else 0):
        lo, order = box[:, axis, 0].sort()
        reach = box[order, axis, 1].cummax(0).values
        places = lo[1:][reach[:-1] == lo[1:]]
        if len(places):
            return axis, places
    return None, box.new_empty(0)


def _consistent(problem: Problem, state: State) -> None:
    known = brackets(state, len(problem.cells))
    pairs = [known.cell_sup, known.variation, known.target_variation, known.range]
    if any(not bool((low <= high).all()) for low, high in pairs):
        raise Impossible("a lower bound exceeds its upper bound")


def _moved(leaves: Leaves) -> Leaves:
    """The leaves with `at` inside their boxes."""
    lo, hi = leaves.box.unbind(-1)
    at = leaves.at.nan_to_num(0.0).clamp(lo[:, None, None], hi[:, None, None])
    return replace(leaves, at=at)
