"""Branch and bound over boxes of the input: the state and one step of it.

A state holds boxes that cover the domain, each with proven ranges of every output, and points
with proven values. `step` is pure: it returns a better state and leaves the old one valid, so
the search may be stopped at any moment and still ends in true bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from certify.domains.branching import axis_of, between, sides
from certify.domains.defects import ROOM
from certify.domains.extrema import extrema
from certify.domains.kinks import Crossings, cuts
from certify.domains.taylor import Taylor, TaylorModel
from certify.enclosing import by_blocks, forward
from certify.graph import Graph

MODEL, TARGET, DIFFERENCE = 0, 1, 2
OUTPUTS = ("model", "target", "difference")
FAR = 1000
CUTS = 7  # at most this many kinks cut one box
LAST = "bounds", "inner"  # parts of leaves that are numbered along their last axis
LIGHT = 2.0**26  # bytes a box, up to which points are worth their Jacobians
SPEAK = 4  # boxes of a batch whose middles are tried
FRESH = -1  # a leaf that has not been enclosed yet: its bounds are infinite


@dataclass(frozen=True, eq=False)
class Leaves:
    """Boxes not split.

    Attributes:
        box: (L, n, 2), lower and upper ends in each of the n variables.
        cell: (L,), number of the cell the box lies in.
        bounds: (3, 2, L), proven lo and hi of model, target and difference over the box.
        rem: (L,), the difference's remainder: what splitting can still remove.
        inner: (3, 2, L), some value in the box is <= inner[:, 0], some is >= inner[:, 1].
        at: (L, 3, 2, n), where those extremes seem to be.
        cuts: (L, CUTS), places to split at, nan where there is none.
        axis: (L,), the variable to split.
        stale: (L,), generations since splitting last helped, or FRESH.
    """

    box: Tensor
    cell: Tensor
    bounds: Tensor
    inner: Tensor
    rem: Tensor
    at: Tensor
    cuts: Tensor
    axis: Tensor
    stale: Tensor

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, which: Tensor) -> Leaves:
        """The leaves selected by an index or a mask."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Leaves(**{n: t[..., which] if n in LAST else t[which] for n, t in parts.items()})

    def put(self, which: Tensor, other: Leaves) -> Leaves:
        """Other leaves in the places numbered `which`."""
        order = torch.arange(len(self)).index_copy(0, which, torch.arange(len(other)) + len(self))
        return self.join(other).take(order)

    def join(self, other: Leaves) -> Leaves:
        """Both sets of leaves."""
        both = [(n, [getattr(p, n) for p in (self, other)]) for n in self.__dataclass_fields__]
        return Leaves(*(torch.cat(pair, -1 if n in LAST else 0) for n, pair in both))

    def error(self) -> Tensor:
        """(L,), proven bound on |difference| over each box."""
        return self.bounds[DIFFERENCE].abs().amax(0)


By: TypeAlias = "Callable[..., Leaves]"


@dataclass(frozen=True, eq=False)
class Points:
    """Single inputs with proven values: x (P, n), cell (P,), bounds (3, 2, P)."""

    x: Tensor
    cell: Tensor
    bounds: Tensor

    def join(self, other: Points) -> Points:
        """Both sets of points."""
        return Points(
            torch.cat([self.x, other.x]),
            torch.cat([self.cell, other.cell]),
            torch.cat([self.bounds, other.bounds], -1),
        )

    def take(self, which: list[int]) -> Points:
        """The points with these numbers."""
        return Points(self.x[which], self.cell[which], self.bounds[..., which])

    def error(self) -> Tensor:
        """(P,), proven lower bound on |difference| at each point: its distance from 0."""
        lo, hi = self.bounds[DIFFERENCE]
        return torch.maximum(lo, -hi).clamp(min=0)


@dataclass(frozen=True, eq=False)
class State:
    """What is known so far; `boxes` counts all enclosures ever computed."""

    leaves: Leaves
    points: Points
    boxes: int


@dataclass(frozen=True, eq=False)
class Problem:
    """A graph with outputs model, target and difference, and the cells of its domain.

    Attributes:
        cells: (C, n, 2), boxes; (C, 2) will do for one variable.
        order, back: degrees of the polynomials, forward and backward; at most 1 backward in
            several variables.
        margin: a box is cut on both sides of a kink, at this part of its width. 0 cuts at the
            kink itself, which suits values; slopes jump there, and only a box that is clear of
            the kink has the slope of one side.
        floor: boxes that are not wider are not cut at kinks.
        room: bytes that the Jacobians of one box may take.
    """

    graph: Graph
    cells: Tensor
    order: int = 8
    back: int = 2
    margin: float = 0.0
    floor: float = 0.0
    room: float = ROOM

    def __post_init__(self) -> None:
        if self.cells.ndim == 2:  # else the same tensor stays: `workers.Payloads` knows it by that
            object.__setattr__(self, "cells", self.cells.reshape(len(self.cells), -1, 2))

    @property
    def variables(self) -> int:
        """How many numbers the input has."""
        return self.cells.shape[1]

    def domain(self, order: int | None = None) -> Taylor:
        """Taylor models of the problem's order, or another one."""
        return Taylor(self.order if order is None else order, self.variables)

    def enclosed(
        self,
        domain: Taylor,
        box: Tensor,
        enough: float,
        crossings: Crossings | None = None,
        deep: float | None = None,
    ) -> dict[str, TaylorModel]:
        """The outputs over boxes; remainders above `deep`, if it is given, by blocks."""
        models = forward(self, domain, box, enough, crossings)
        return models if deep is None else by_blocks(self, domain, box, models, deep)


def assess(
    problem: Problem, box: Tensor, cell: Tensor, enough: float = 0.0, *, deep: bool = False
) -> Leaves:
    """Enclose the outputs over boxes; remainders below `enough` are not sharpened."""
    box = box.reshape(len(box), -1, 2)
    crossings = Crossings() if problem.variables == 1 else None
    domain = problem.domain()
    models = problem.enclosed(domain, box, enough, crossings, enough if deep else None)
    lo, hi = box.unbind(-1)
    mid, rad = lo / 2 + hi / 2, hi / 2 - lo / 2  # hi - lo may overflow
    # Halves are exact above 2**-1021, so each is off by at most 2**-52 (|mid| + rad); with rad >=
    # 2**-30 |mid| that is below 2**-21 rad, so an input mid + rad t with |t| <= 1 - 2**-20 lies in
    # the box.
    plain = ((rad > 2.0**-30 * mid.abs()) & (rad > 2.0**-900)).all(1)
    bounds, inner, places = [], [], []
    for name in OUTPUTS:
        model = models[name]
        flat = [
            model.coef.reshape(len(model.coef), -1),
            *(t.reshape(-1) for t in (model.rem, model.lo, model.hi)),
        ]
        e = extrema(flat[0], flat[1], domain.basis)
        bounds.append(torch.stack([torch.maximum(e.lo, flat[2]), torch.minimum(e.hi, flat[3])]))
        reached = torch.where(plain, e.least, math.inf), torch.where(plain, e.most, -math.inf)
        inner.append(torch.stack(reached))
        places.append(torch.stack([mid + rad * t for t in (e.at_lo, e.at_hi)], 1))
    at = torch.stack(places, 1).clamp(lo[:, None, None], hi[:, None, None])
    kinks = torch.full((len(box), CUTS), math.nan, dtype=box.dtype)
    for i, found in enumerate(cuts(crossings.found, len(box), CUTS) if crossings else ()):
        if rad[i] > problem.floor / 2:
            kinks[i, : len(found)] = mid[i] + rad[i] * torch.tensor(found, dtype=box.dtype)
    difference = models["difference"]
    rem = difference.rem.reshape(-1)
    axis = axis_of(difference.coef.reshape(len(difference.coef), -1), rem, rad, domain.basis)
    stale = torch.zeros(len(box), dtype=torch.long)
    return Leaves(box, cell, torch.stack(bounds), torch.stack(inner), rem, at, kinks, axis, stale)


def measure(
    problem: Problem, x: Tensor, cell: Tensor, enough: float = 0.0, deep: float | None = None
) -> Points:
    """Proven values at single inputs (P, n); errors below `enough` are not sharpened.

    deep: errors below it are not worth the blocks of `defects.py`; `enough` if None.
    """
    x, domain = x.reshape(len(x), -1), problem.domain(0)
    box = torch.stack([x, x], -1)
    light = replace(problem, room=min(problem.room, LIGHT))
    models = light.enclosed(domain, box, enough, deep=enough if deep is None else deep)
    bounds = [torch.stack([e.reshape(-1) for e in domain.range(models[n])]) for n in OUTPUTS]
    return Points(x, cell, torch.stack(bounds))


def children(problem: Problem, parents: Leaves, tolerance: float) -> tuple[Tensor, Tensor]:
    """Boxes that cover the parents, and the number of each one's parent.

    A fresh parent is its own child. Others are cut along one axis: at their kinks; without kinks
    into 2, 4 or 8 equal parts, as many as a remainder falling with the power order + 1 should
    need; there are other axes to cut later, so in several variables into 2 or, far from it, 4.
    """
    ends, origin = [], []
    few = problem.variables > 1
    rows = zip(
        sides(parents.box, parents.axis).tolist(),
        parents.cuts.tolist(),
        parents.rem.tolist(),
        parents.stale.tolist(),
        strict=True,
    )
    for i, ((lo, hi), kinks, rem, stale) in enumerate(rows):
        aside = 2 * problem.margin * (hi / 2 - lo / 2)
        places = [p for c in kinks if lo < c < hi for p in (c - aside, c + aside)]
        if not places and stale != FRESH:
            ratio = rem / tolerance if tolerance > 0 else math.inf
            wish = 2.0 if not ratio < 1e300 else max(ratio, 1.0) ** (1 / (problem.order + 1))
            ways = 2 if wish <= (4 if few else 2) else 4 if few or wish <= 4 else 8
            places = [between(lo, hi, k / ways) for k in range(1, ways)]
        edges = sorted({lo, hi, *(p for p in places if lo < p < hi)})
        ends += list(zip(edges[:-1], edges[1:], strict=True))
        origin += [i] * (len(edges) - 1)
    number = torch.tensor(origin, dtype=torch.long)
    boxes = parents.box[number].clone()
    boxes[torch.arange(len(boxes)), parents.axis[number]] = torch.tensor(ends, dtype=boxes.dtype)
    return boxes, number


def split(problem: Problem, parents: Leaves, tolerance: float, by: By | None = None) -> Leaves:
    """Enclose the children of some leaves, never looser than their parents.

    by: encloses the boxes, like `assess`, perhaps elsewhere; given (problem, boxes, the leaves
        of their parents, enough, deep=False).
    """
    box, origin = children(problem, parents, tolerance)
    old = parents.take(origin)
    enough = tolerance / 4
    new = by(problem, box, old, enough) if by else assess(problem, box, old.cell, enough)
    idle = _idle(new, old) & ~(new.rem <= enough)
    if problem.variables > 1:  # one side of many was halved: far from it, width is the reason
        idle &= new.rem <= FAR * enough
    else:
        idle |= _deep_rooted(problem, new, old, enough)
    if bool(idle.any()):
        # What is left does not come from the width of the box, but from the depth of the graph.
        places = idle.nonzero().reshape(-1)
        where = box[places], old.take(places)
        if by:
            better = by(problem, *where, enough, deep=True)
        else:
            better = assess(problem, where[0], where[1].cell, enough, deep=True)
        new = new.put(places, better)
    lo = torch.maximum(new.bounds[:, 0], old.bounds[:, 0])
    hi = torch.minimum(new.bounds[:, 1], old.bounds[:, 1])
    idle = _idle(new, old)
    stale = torch.where(idle, old.stale + 1, 0)
    return replace(new, bounds=torch.stack([lo, hi], 1), stale=stale)


def _idle(new: Leaves, old: Leaves) -> Tensor:
    """Whether splitting was of no use, and not for want of a cut at a kink."""
    return (new.rem > 0.8 * old.rem) & torch.isfinite(old.rem) & torch.isnan(old.cuts[:, 0])


def _deep_rooted(problem: Problem, new: Leaves, old: Leaves, enough: float) -> Tensor:
    """Which boxes would keep too large a remainder if they were points, of those that no splitting
    has been tried on: their parents were fresh or had kinks.

    A box's middle shows it; a few of the boxes speak for all.
    """
    untried = (old.stale == FRESH) | ~torch.isnan(old.cuts[:, 0])
    suspect = untried & ~(new.rem <= enough) & torch.isnan(new.cuts[:, 0])
    places = suspect.nonzero().reshape(-1)[:: max(1, int(suspect.sum()) // SPEAK)]
    if not len(places):
        return suspect
    lo, hi = new.box[places].unbind(-1)
    middle = between(lo, hi, 0.5)
    models = problem.enclosed(problem.domain(0), torch.stack([middle, middle], -1), enough)
    rem = models["difference"].rem.reshape(-1)
    return suspect & bool((rem > enough).all())


def step(
    problem: Problem, state: State, which: Tensor, tolerance: float, *, by: By | None = None
) -> tuple[State, Leaves]:
    """Replace the leaves numbered `which` by their children; the new leaves come back too."""
    keep = torch.ones(len(state.leaves), dtype=torch.bool)
    keep[which] = False
    new = split(problem, state.leaves.take(which), tolerance, by)
    leaves = state.leaves.take(keep).join(new)
    return State(leaves, state.points, state.boxes + len(new)), new


def start(problem: Problem, boxes: int) -> State:
    """Fresh leaves: every cell; in one variable cut into equal parts, at least `boxes` in all."""
    variables = problem.variables
    per = max(1, math.ceil(boxes / len(problem.cells))) if variables == 1 else 1
    box, cell = [], []
    for i, (first, *others) in enumerate(problem.cells.tolist()):
        lo, hi = first
        inner = [between(lo, hi, k / per) for k in range(1, per)]
        edges = sorted({lo, hi, *(e for e in inner if lo < e < hi)})
        box += [[pair, *others] for pair in zip(edges[:-1], edges[1:], strict=True)]
        cell += [i] * (len(edges) - 1)
    n = len(box)
    ends = torch.tensor([-math.inf, math.inf], dtype=torch.float64)
    bounds = ends.reshape(1, 2, 1).expand(3, 2, n).clone()
    leaves = Leaves(
        torch.tensor(box, dtype=torch.float64).reshape(n, variables, 2),
        torch.tensor(cell, dtype=torch.long),
        bounds,
        -bounds,
        bounds[0, 1].clone(),
        torch.zeros((n, 3, 2, variables), dtype=torch.float64),
        torch.full((n, CUTS), math.nan, dtype=torch.float64),
        torch.zeros(n, dtype=torch.long),
        torch.full((n,), FRESH, dtype=torch.long),
    )
    none = torch.empty((0, variables), dtype=torch.float64)
    cell = torch.empty(0, dtype=torch.long)
    return State(leaves, Points(none, cell, torch.empty((3, 2, 0)).double()), 0)
