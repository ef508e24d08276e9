"""The ranges of all outputs of a model at once: one search, whose boxes serve every output.

A model with thousands of outputs is searched once, not once for each: a box costs the same for
one output as for all of them. Boxes are halved where some output passes most what is known to
be reached, and errors are carried by blocks (`domains/defects.py`) where node by node they are
too large.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.domains import norms
from certify.domains.defects import sharpened
from certify.domains.extrema import extrema
from certify.domains.taylor import Taylor, TaylorModel
from certify.goal import Goal
from certify.graph import Graph, enclose
from certify.normalized import limit
from certify.run import Limits

ORDER = 8
STEADY = 0.5  # a box whose remainder falls by less than this share in two halvings is not split
DEPTH = 48  # halvings, after which a box is a few roundings wide


@dataclass(frozen=True, eq=False)
class Piece:
    """A box with the outputs' ranges over it.

    Attributes:
        box: (1, 2).
        outer: (2, n), no value lies outside.
        inner: (2, n), some value is at most inner[0], some at least inner[1].
        rem: the largest remainder.
        depth: halvings.
        stale: halvings since the remainder last fell.
    """

    box: Tensor
    outer: Tensor
    inner: Tensor
    rem: float
    depth: int = 0
    stale: int = 0


@dataclass(frozen=True, eq=False)
class Found:
    """Ranges of all outputs, (2, n) each as in `Piece`; stopped_by as in `certify.run.Outcome`."""

    outer: Tensor
    inner: Tensor
    boxes: int
    seconds: float
    stopped_by: str


def joint(
    graph: Graph,
    ends: tuple[float, float],
    goal: Goal,
    limits: Limits,
    watch: Callable[[int, int], None] = lambda boxes, leaves: None,
) -> Found:
    """Bracket the range of every entry of the output `model` over an interval.

    Args:
        graph: of one input variable.
        ends: lower and upper end.
        goal: its gaps: how far a range may pass what is reached.
        limits: of time, looked at after every box, and of memory.
        watch: told the number of boxes and leaves after every box.

    Returns:
        ranges that hold wherever the search stopped.
    """
    began = time.perf_counter()
    first = torch.tensor([ends], dtype=torch.float64)
    stopped_by, boxes, done = "closed", 1, []
    open_pieces = [_piece(graph, first, limits)]
    try:
        while True:
            watch(boxes, len(open_pieces) + len(done))
            outer, inner = _hull([*open_pieces, *done])
            if bool(goal.closed(inner[1] - inner[0], outer[1] - outer[0]).all()):
                break
            if not open_pieces:
                stopped_by = "resolution"
                break
            if time.perf_counter() - began > limits.budget:
                stopped_by = "budget"
                break
            worst = max(range(len(open_pieces)), key=lambda i: _excess(open_pieces[i], inner))
            parent = open_pieces[worst]
            children = _halves(graph, parent, limits)
            boxes += len(children)
            open_pieces.pop(worst)
            for child in children:
                hopeless = child.stale > 2 or child.depth >= DEPTH
                (done if hopeless else open_pieces).append(child)
    except KeyboardInterrupt:
        stopped_by = "interrupt"
    except MemoryError:
        stopped_by = "memory"
    outer, inner = _hull([*open_pieces, *done])
    return Found(outer, inner, boxes, time.perf_counter() - began, stopped_by)


def _hull(pieces: list[Piece]) -> tuple[Tensor, Tensor]:
    """Outer and inner ranges over all boxes together."""
    outer = torch.stack([p.outer for p in pieces])
    inner = torch.stack([p.inner for p in pieces])
    return (
        torch.stack([outer[:, 0].amin(0), outer[:, 1].amax(0)]),
        torch.stack([inner[:, 0].amin(0), inner[:, 1].amax(0)]),
    )


def _excess(piece: Piece, inner: Tensor) -> float:
    """How far some output passes what is reached, in terms of its width; a guide, no bound."""
    beyond = torch.maximum(inner[0] - piece.outer[0], piece.outer[1] - inner[1]).clamp(min=0)
    share = beyond / (inner[1] - inner[0]).clamp(min=1e-300)
    return float(share.nan_to_num(math.inf).max())


def _halves(graph: Graph, parent: Piece, limits: Limits) -> list[Piece]:
    """Both halves of a box, never looser than the whole."""
    (lo, hi) = parent.box[0].tolist()
    mid = lo / 2 + hi / 2
    if not lo < mid < hi:
        return [replace(parent, depth=DEPTH)]
    out = []
    for ends in ((lo, mid), (mid, hi)):
        child = _piece(graph, torch.tensor([ends], dtype=torch.float64), limits)
        outer = torch.stack([
            torch.maximum(child.outer[0], parent.outer[0]),
            torch.minimum(child.outer[1], parent.outer[1]),
        ])  # fmt: skip
        idle = math.isfinite(parent.rem) and not child.rem < STEADY * parent.rem
        stale = parent.stale + 1 if idle else 0
        out.append(replace(child, outer=outer, depth=parent.depth + 1, stale=stale))
    return out


def _piece(graph: Graph, box: Tensor, limits: Limits) -> Piece:
    """One box; by blocks where the remainders exceed a thousandth of what the output varies."""
    domain = Taylor(ORDER)
    try:
        model = enclose(graph, box, domain=domain, watch=limit(graph, domain))["model"]
        small = model.rem <= model.coef[1:].abs().sum(0) / 1000
        if not bool(small.all()):
            model = _better(model, graph, box, domain, limits)
    except RuntimeError as error:  # torch's way to say that memory ran out
        if "allocate" not in str(error):
            raise
        raise MemoryError from error
    e = extrema(model.coef.flatten(1), model.rem.reshape(-1), domain.basis)
    outer = torch.stack([
        torch.maximum(e.lo, model.lo.reshape(-1)), torch.minimum(e.hi, model.hi.reshape(-1))
    ])  # fmt: skip
    (lo, hi) = box[0].tolist()
    # as in certify.search.assess: only then is every input mid + rad t, |t| < 1, in the box
    plain = (hi - lo) / 2 > max(2.0**-30 * abs(lo / 2 + hi / 2), 2.0**-900)
    inner = torch.stack([e.least, e.most]) if plain else _nothing(e.least)
    return Piece(box, outer, inner, float(model.rem.max()))


def _nothing(like: Tensor) -> Tensor:
    unknown = torch.full_like(like, math.inf)
    return torch.stack([unknown, -unknown])


def _better(
    model: TaylorModel, graph: Graph, box: Tensor, domain: Taylor, limits: Limits
) -> TaylorModel:
    """Entry by entry the model of smaller remainder, its own or that by blocks."""
    found = sharpened(graph, box, domain, graph.outputs["model"], limits.memory * 2**20)
    if found is None:
        return model
    less = found.rem < model.rem
    rem = torch.where(less, found.rem, model.rem)
    return TaylorModel(
        torch.where(less, found.coef, model.coef),
        rem,
        torch.fmax(model.lo, found.lo),
        torch.fmin(model.hi, found.hi),
        norms.rows(rem),
    )
