"""Coverage, and that what is stated follows from the leaves and the points: exact numbers only."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod

import z3

from certify.certificate import SLOPES, Bundle, Certificate, Cut, Leaf, Pair, Point, Tree
from certify.certificate.norms import unproved
from theory.claims import UNKNOWN, Facts, decide
from theory.windows import Windows


class Rejected(Exception):
    """The certificate does not hold, or its proof was not found; the text says where and why."""


@cache
def cut_covers() -> None:
    """Z3 proves, for all real numbers: what lies in [lo, hi] lies in [lo, at] or in [at, hi]."""
    x, lo, at, hi = z3.Reals("x lo at hi")
    solver = z3.Solver()
    solver.add(lo < at, at < hi, lo <= x, x <= hi)
    solver.add(z3.Not(z3.Or(z3.And(lo <= x, x <= at), z3.And(at <= x, x <= hi))))
    if solver.check() != z3.unsat:
        raise Rejected("Z3 did not prove that a cut interval is covered by its two parts")


def leaves_of(tree: Tree, box: tuple[Pair, ...], where: str) -> Iterator[Leaf]:
    """The leaves, while `cut_covers` shows that they cover `box`; ends are compared exactly."""
    cut_covers()
    waiting = [box]
    for i, entry in enumerate(tree):
        if not waiting:
            raise Rejected(f"{where}[{i}]: the tree is complete before this leaf")
        box = waiting.pop()
        if isinstance(entry, Cut):
            lo, hi = box[entry.axis]
            if not lo < entry.at < hi:
                raise Rejected(f"{where}[{i}]: the cut at {entry.at!r} is outside {box}")
            for part in ((entry.at, hi), (lo, entry.at)):
                waiting.append((*box[: entry.axis], part, *box[entry.axis + 1 :]))
        elif entry.box != box:
            raise Rejected(f"{where}[{i}]: the leaf has the box {entry.box}, the tree says {box}")
        else:
            yield entry
    if waiting:
        raise Rejected(f"{where}: no leaf covers {waiting[-1]}")


def check_cells(certificate: Certificate) -> None:
    """The cells are all products of neighboring sides from one end of the domain to the other, in
    order, one tree for each; else they are `Rejected`."""
    cells = certificate.stated.cells
    if len(cells) != len(certificate.trees):
        raise Rejected(f"{len(cells)} cells, but {len(certificate.trees)} trees")
    every = []
    for axis, (place, end) in enumerate(certificate.domain):
        every.append(sorted({cell.box[axis] for cell in cells}))
        for lo, hi in [*every[axis], (end, end)]:
            if lo != place:
                raise Rejected(f"what follows begins at {lo!r}, but the cells end at {place!r}")
            place = hi
    if len(cells) != prod(map(len, every)) or [c.box for c in cells] != list(product(*every)):
        raise Rejected("the cells are not all products of their sides, each once and in order")


def check_frame(certificate: Certificate) -> list[tuple[str, Leaf]]:
    """Check all but points and leaves themselves: what is stated must follow from those.

    The leaves come back, each with its tree's place in the file.
    """
    check_cells(certificate)
    stated, named = certificate.stated, []
    points, several = sorted(certificate.points), len(certificate.domain) > 1
    firsts = [point.at[0] for point in points]
    _check_domain(certificate, points)
    for i, (cell, tree) in enumerate(zip(stated.cells, certificate.trees, strict=True)):
        place = f"trees[{i}]"
        leaves = list(leaves_of(tree, cell.box, place))
        named += [(place, leaf) for leaf in leaves]
        lo, hi = cell.box[0]
        near = points[bisect_left(firsts, lo) : bisect_right(firsts, hi)]
        near = [p for p in near if _within(p.at, cell.box)] if several else near
        low, high = cell.range
        _need(all(low <= f.model[0] and f.model[1] <= high for f in leaves), f"cell {i}: range")
        _check_spread(leaves, near, "model", cell.variation, f"cell {i}: variation")
        _check_spread(leaves, near, "target", cell.target_variation, f"cell {i}: target_variation")
        _check_error(leaves, near, cell.sup_error, f"cell {i}: sup_error")
    every = [leaf for _, leaf in named]
    _check_spread(every, points, "target", stated.target_variation, "target_variation")
    _check_error(every, points, stated.sup_error, "sup_error")
    at_witness = [point for point in points if point.at == stated.witness]
    _check_error([], at_witness, (stated.sup_error[0], math.inf), "sup_error at the witness")
    named += _check_slopes(certificate)
    windows = None if several else _windows(certificate, every, points)
    _check_claims(certificate, replace(stated.facts, slopes=stated.slopes, windows=windows))
    return named


def check_bundle(bundle: Bundle) -> None:
    """What is stated of all outputs together must follow from the parts, once those are proved."""
    for what in unproved(bundle):
        _need(False, what)
    _check_claims(bundle, bundle.facts)


def _check_claims(certificate: Certificate | Bundle, facts: Facts) -> None:
    for claim in certificate.claims:
        try:
            verdict = decide(claim.label, claim.numbers, facts).value
        except (ValueError, ArithmeticError) as error:
            raise Rejected(f"the claim {ascii(claim.label)}: {error}") from None
        said = ascii(claim.verdict)[:20]
        _need(claim.verdict == verdict, f"the verdict on {claim.label} is {verdict}; {said}")


def _check_slopes(certificate: Certificate) -> list[tuple[str, Leaf]]:
    """Bounds of the least and the greatest slope follow from the leaves and points of slopes."""
    slopes, (least, greatest) = certificate.slopes, certificate.stated.slopes
    cells = certificate.stated.cells
    if slopes is None:
        _need((least, greatest) == (UNKNOWN, UNKNOWN), "slopes")
        return []
    if len(slopes.trees) != len(cells):
        raise Rejected(f"{len(cells)} cells, but {len(slopes.trees)} trees of slopes")
    named = []
    for i, (cell, tree) in enumerate(zip(cells, slopes.trees, strict=True)):
        place = f"{SLOPES}trees[{i}]"
        named += [(place, leaf) for leaf in leaves_of(tree, cell.box, place)]
    _check_domain(certificate, slopes.points)
    _need(all(least[0] <= leaf.model[0] for _, leaf in named), "the least slope, lower end,")
    _need(all(leaf.model[1] <= greatest[1] for _, leaf in named), "the greatest slope, upper end,")
    low = min((point.model[1] for point in slopes.points), default=math.inf)
    high = max((point.model[0] for point in slopes.points), default=-math.inf)
    _need(low <= least[1] and greatest[0] <= high, "a slope that is reached")
    return named


def _windows(certificate: Certificate, leaves: list[Leaf], points: list[Point]) -> Windows:
    """The leaves of all cells in a row, for claims about windows."""
    edges = [leaf.box[0][0] for leaf in leaves] + [leaves[-1].box[0][1]]
    bounds = ([getattr(leaf, name) for leaf in leaves] for name in Leaf._fields[1:])
    places = [(point.at[0], point.model, point.target) for point in points]
    return Windows(edges, *bounds, places, certificate.stated.target_variation)


def _check_domain(certificate: Certificate, points: Sequence[Point]) -> None:
    if not all(_within(point.at, certificate.domain) for point in points):
        raise Rejected(f"a point lies outside the domain {certificate.domain}")


def _within(x: tuple[float, ...], box: tuple[Pair, ...]) -> bool:
    return all(lo <= value <= hi for value, (lo, hi) in zip(x, box, strict=True))


def _check_spread(leaves: list, points: list, name: str, stated: Pair, what: str) -> None:
    """max - min: at most the spread of the leaves, at least that of two points."""
    lo, hi = min(getattr(f, name)[0] for f in leaves), max(getattr(f, name)[1] for f in leaves)
    _need(stated[1] >= _exact(hi) - _exact(lo), f"{what}, upper end,")
    low = min((getattr(p, name)[1] for p in points), default=math.inf)
    high = max((getattr(p, name)[0] for p in points), default=-math.inf)
    _need(stated[0] <= 0 or stated[0] <= _exact(high) - _exact(low), f"{what}, lower end,")


def _check_error(leaves: list[Leaf], points: list[Point], stated: Pair, what: str) -> None:
    """sup |difference|: at most the largest of the leaves, at least the value at a point."""
    high = max((max(-f.difference[0], f.difference[1]) for f in leaves), default=0.0)
    _need(stated[1] >= high, f"{what}, upper end,")
    low = max((max(p.difference[0], -p.difference[1]) for p in points), default=0.0)
    _need(stated[0] <= max(low, 0.0), f"{what}, lower end,")


def _exact(x: float) -> Fraction | float:
    """A double without rounding; infinities stay, and compare as they should."""
    return Fraction(x) if math.isfinite(x) else x


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Rejected(f"{what} does not follow from the leaves and points")
