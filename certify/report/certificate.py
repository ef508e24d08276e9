"""From a report to its certificate: the graph, the leaves and the points that it rests on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from certify.certificate import (
    TRUST,
    ZERO,
    Bundle,
    Cell,
    Certificate,
    Claim,
    Cut,
    Joint,
    JointCell,
    Leaf,
    Network,
    Point,
    Slopes,
    Stated,
    Tree,
    entry_of,
)
from certify.certificate.writing import tree, tree_of
from certify.checking import Checked, Report
from certify.far import Far
from certify.frontend.network import as_network
from certify.frontend.target import model_graph
from certify.report.data import versions
from certify.search import DIFFERENCE, MODEL, TARGET, Leaves, Points
from theory.claims import OPPOSITE, UNKNOWN, Verdict

OUTPUTS = (MODEL, TARGET, DIFFERENCE)


def as_certificate(report: Report) -> Certificate | Bundle:
    """Everything that the checker needs to prove the report's numbers and verdicts again."""
    if report.together is not None:
        return _bundle(report)
    network = as_network(model_graph(report.model, report.options.output))
    harmless = report.windows is None or report.windows.harmless(report.options.tau)
    also = {report.known.witness}
    points = tuple(_points(report.outcome.state.points, everything=not harmless, also=also))
    claims, slopes = tuple(_claims(report)), _slopes(report)
    found = _alone(report, network, points)
    return replace(found, header=_header(report), claims=claims, slopes=slopes)


def _header(report: Report) -> dict[str, Any]:
    model = report.model
    about = {"sha256": model.sha256, "output": report.options.output or 0}
    about |= model.curve.data if model.curve else {}
    return {"tool": versions(), "trust": TRUST, "model": about}


def _alone(report: Report, network: Network, points: tuple[Point, ...]) -> Certificate:
    """What is stated of one output, without claims."""
    stated, several = _stated(report), report.target.variables > 1
    leaves = report.outcome.state.leaves
    trees = _loose(report, stated) if several else _trees(leaves, len(report.cells))
    target = {"name": report.target.name, "expression": report.target.text}
    domain = (report.options.domain,) * report.target.variables
    return Certificate({}, network, target, domain, stated, trees, points, ())


def _bundle(report: Report) -> Bundle:
    """All outputs together: each by itself, and what is stated of them in the norm."""
    known, found, whole = report.known, report.together, as_network(report.model.graph)
    parts = []
    for number, part in enumerate(found.parts):
        points, needed = part.outcome.state.points, {part.known.witness}
        if found.far:
            far = found.far.points[number]
            points, needed = points.join(far), needed | set(map(tuple, far.x.tolist()))
        points = tuple(_points(points, everything=False, also=needed))
        parts.append(replace(_alone(part, entry_of(whole, number), points), slopes=None))
    bounds = zip(known.variation.T.tolist(), known.target_variation.T.tolist(), strict=True)
    cells = [
        JointCell(tuple(ours), tuple(theirs), *_far(found.far, cell))
        for cell, (ours, theirs) in enumerate(bounds)
    ]
    stated = Joint(tuple(cells), known.sup, tuple(known.target_total.tolist()))
    squares = found.squares and _squares(found.squares, parts, whole)
    claims = tuple(_claims(report))
    return Bundle(_header(report), report.options.norm, tuple(parts), squares, stated, claims)


def _far(far: Far | None, cell: int) -> Iterator[tuple | None]:
    """The pairs of inputs that show how far apart values are on a cell, of model and target."""
    for pairs in far.pairs if far else ({}, {}):
        x = [tuple(far.points[0].x[i].tolist()) for i in pairs[cell]] if cell in pairs else []
        yield tuple(x) if x else None


def _squares(outcome: Checked, parts: Sequence[Certificate], network: Network) -> Certificate:
    """The sum of the squares of all errors; nothing is stated but how large it is."""
    known, first, state = outcome.known, parts[0], outcome.state
    free, boxes = (0.0, math.inf), [cell.box for cell in first.stated.cells]
    errors = [tuple(pair) for pair in known.cell_sup.T.tolist()]
    cells = [Cell(box, UNKNOWN, free, free, e) for box, e in zip(boxes, errors, strict=True)]
    grouped: list[list[Leaf]] = [[] for _ in cells]
    for cell, box in zip(state.leaves.cell.tolist(), state.leaves.box.tolist(), strict=True):
        worst = errors[cell][1]
        grouped[cell].append(Leaf(tuple(map(tuple, box)), UNKNOWN, UNKNOWN, (-worst, worst)))
    several = len(first.domain) > 1
    trees = tuple(tree_of(g) if several else tree(sorted(g)) for g in grouped)
    largest = _largest(state.points, known.witness)
    points = (p._replace(model=UNKNOWN, target=UNKNOWN) for p in largest)
    stated = Stated(tuple(cells), known.sup, free, known.witness or None)
    return Certificate(
        {}, network, ZERO, first.domain, stated, trees, tuple(points), (),
        squares=tuple(part.target["expression"] for part in parts),
    )  # fmt: skip


def _trees(leaves: Leaves, cells: int) -> tuple[Tree, ...]:
    order = leaves.box[:, 0, 0].argsort()
    boxes, bounds = (
        leaves.box[order, 0].tolist(),
        leaves.bounds[..., order].permute(2, 0, 1).tolist(),
    )
    grouped: list[list[Leaf]] = [[] for _ in range(cells)]
    for cell, box, three in zip(leaves.cell[order].tolist(), boxes, bounds, strict=True):
        grouped[cell].append(Leaf((tuple(box),), *(tuple(three[i]) for i in OUTPUTS)))
    return tuple(tree(group) for group in grouped)


def _loose(report: Report, stated: Stated) -> tuple[Tree, ...]:
    """Leaves of several variables, each with the widest bounds from which all that is stated of
    its cell and of the whole still follows: an independent proof of those takes fewer pieces.

    Nothing stated rests on one leaf alone here, as windows of one variable do.
    """
    leaves, known = report.outcome.state.leaves, report.known
    target = [
        (float(lo), float(hi))
        for lo, hi in zip(*_hull(leaves, TARGET, len(stated.cells)), strict=True)
    ]
    grouped: list[list[Leaf]] = [[] for _ in stated.cells]
    for cell, box in zip(leaves.cell.tolist(), leaves.box.tolist(), strict=True):
        worst = float(known.cell_sup[1, cell])
        bounds = stated.cells[cell].range, target[cell], (-worst, worst)
        grouped[cell].append(Leaf(tuple(map(tuple, box)), *bounds))
    return tuple(map(tree_of, grouped))


def _hull(leaves: Leaves, which: int, cells: int) -> tuple[list[float], list[float]]:
    """Least and greatest bound of an output on every cell."""
    lo, hi = leaves.bounds[which]
    least, most = [math.inf] * cells, [-math.inf] * cells
    for cell, a, b in zip(leaves.cell.tolist(), lo.tolist(), hi.tolist(), strict=True):
        least[cell], most[cell] = min(least[cell], a), max(most[cell], b)
    return least, most


def _slopes(report: Report) -> Slopes | None:
    """Evidence about the model's derivative; the target's is left out."""
    if report.slopes is None:
        return None
    state = report.slopes.outcome.state
    trees = _trees(state.leaves, len(report.cells))
    low, high = state.points.bounds[MODEL]
    best = state.points.take([int((-high).argmax()), int(low.argmax())])
    points = _points(best, everything=True)
    return Slopes(
        tuple(tuple(map(_model_only, entries)) for entries in trees),
        tuple(map(_model_only, points)),
    )


def _model_only(entry: Cut | Leaf | Point) -> Cut | Leaf | Point:
    if isinstance(entry, Cut):
        return entry
    return entry._replace(target=UNKNOWN, difference=UNKNOWN)


def _claims(report: Report) -> Iterator[Claim]:
    """The claims asked for, and what is always reported: theorems D3 and D5."""
    for claim in report.claims:
        yield Claim(claim.label, claim.numbers, claim.verdict.value)
    if not report.options.no_plateau or report.options.windows is not None:
        verdict = OPPOSITE[report.plateaus.overall()]
        yield Claim("no-plateau", {"tau": report.options.tau}, verdict.value)
    if report.sliding is not None and report.sliding not in report.claims:
        yield Claim(report.sliding.label, report.sliding.numbers, report.sliding.verdict.value)
    if report.longest is None:
        return
    lo, hi, _ = report.longest
    numbers = {"tau": report.options.tau, "least": lo, "most": hi}
    yield Claim("longest-plateau", numbers, Verdict.PROVED.value)


def _stated(report: Report) -> Stated:
    known = report.known
    columns = (known.range, known.variation, known.target_variation, known.cell_sup)
    rows = zip(report.cells.tolist(), *(c.T.tolist() for c in columns), strict=True)
    cells = tuple(Cell(tuple(map(tuple, box)), *map(tuple, pairs)) for box, *pairs in rows)
    witness = known.witness or None
    total = tuple(known.target_total.tolist())
    if report.slopes is None:
        return Stated(cells, known.sup, total, witness)
    slopes = report.slopes.least, report.slopes.greatest
    return Stated(cells, known.sup, total, witness, slopes)


def _largest(points: Points, witness: tuple[float, ...]) -> list[Point]:
    """The points with the largest error of their cell, and the witness: others may tie with it."""
    order = points.error().argsort().tolist()
    best = {int(points.cell[i]): i for i in order}  # the last one stays
    named = {i for i, x in enumerate(points.x.tolist()) if tuple(x) == witness}
    return _points(points.take(sorted(named | set(best.values()))), everything=True)


def _points(
    points: Points, *, everything: bool, also: Collection[tuple[float, ...]] = ()
) -> list[Point]:
    """The points that some stated bound rests on, each once, in order; windows need them all.

    also: inputs that are needed anyway: the best of a cell may not be the one that is named.
    """
    lo, hi = points.bounds[:, 0], points.bounds[:, 1]
    best: dict[tuple[int, int], int] = {}
    scores = [points.error(), lo[MODEL], -hi[MODEL], lo[TARGET], -hi[TARGET]]
    for kind, score in enumerate(scores):
        for i in score.argsort().tolist():  # the last one, the best of its cell, stays
            best[kind, int(points.cell[i])] = i
    found: dict[tuple[float, ...], Point] = {}
    values = points.bounds.permute(2, 0, 1).tolist()
    needed = set(best.values()) | {i for i, x in enumerate(points.x.tolist()) if tuple(x) in also}
    for i in range(len(points.x)) if everything else needed:
        x = tuple(points.x[i].tolist())
        point = Point(x, *(tuple(values[i][k]) for k in OUTPUTS))
        found[x] = _both(found.get(x, point), point)
    return [found[x] for x in sorted(found)]


def _both(p: Point, q: Point) -> Point:
    """What two proofs about one input say together."""
    pairs = zip(p[1:], q[1:], strict=True)
    return Point(p.at, *((max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs))
