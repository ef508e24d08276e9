"""What was bounded in one way, held against what a theorem says of it from another.

Every check compares two proven numbers whose order a theorem fixes. A violation means that the
toolkit is wrong somewhere, so it stops the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch

from certify.frontend.agree import InternalError
from certify.goal import Brackets
from certify.rounding import above, below
from certify.search import MODEL, TARGET, Points
from certify.slopes import Slopes, covering
from certify.structure import Structure
from theory.targets import Target

MOST = 512  # points whose pairs are compared


@dataclass(frozen=True)
class CrossCheck:
    """theorem: its label; says: the inequality with its numbers; count: how many were compared."""

    theorem: str
    says: str
    count: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a run has proved; slopes only where they were asked for, and for several outputs the
    errors that theorems C2 and C2-own say they cannot undercut together."""

    known: Brackets
    points: Points
    structure: Structure
    target: Target
    slopes: Slopes | None
    floors: tuple[float, float] = (0.0, 0.0)


def cross_check(evidence: Evidence) -> tuple[CrossCheck, ...]:
    """Every comparison that the evidence allows.

    Raises:
        InternalError: two proofs contradict each other; the theorem and the numbers are named.
    """
    return tuple(found for check in CHECKS for found in check(evidence))


def _need(holds: bool, theorem: str, says: str, count: int = 1) -> CrossCheck:
    if not holds:
        raise InternalError(f"cross-check violated ({theorem}): {says}; please report this model")
    return CrossCheck(theorem, says, count)


def _error_from_range(evidence: Evidence) -> Iterator[CrossCheck]:
    """A1' on every cell: sup |f - g| >= max(sup f - hi, lo - inf f, 0)."""
    known = evidence.known
    (lo, hi), (least, most) = known.range, known.target_inner
    floor = torch.maximum(below(most - hi), below(lo - least)).clamp(min=0)
    worst = int((known.cell_sup[1] - floor).argmin())
    says = (
        f"on every cell the sup error is at least what the model's range leaves of the target's, "
        f"e.g. {float(floor[worst]):.6g} <= {float(known.cell_sup[1, worst]):.6g} on cell {worst}"
    )
    yield _need(bool((floor <= known.cell_sup[1]).all()), "A1'", says, len(floor))


def _variation_from_error(evidence: Evidence) -> Iterator[CrossCheck]:
    """A1-dual on every cell: V >= Delta - 2 eps."""
    known = evidence.known
    floor = below(known.target_variation[0] - above(2 * known.cell_sup[1]))
    gap = known.variation[1] - floor
    worst = int(gap.nan_to_num(math.inf).argmin())
    says = (
        f"on every cell the variation is at least the target's less twice the error, e.g. "
        f"{float(floor[worst]):.6g} <= {float(known.variation[1, worst]):.6g} on cell {worst}"
    )
    yield _need(not bool((floor > known.variation[1]).any()), "A1-dual", says, len(floor))


def _error_from_slopes(evidence: Evidence) -> Iterator[CrossCheck]:
    """B1: the sup error of an L-Lipschitz model is at least (|f(x) - f(y)| - L |x - y|) / 2."""
    if evidence.slopes is None or not math.isfinite(evidence.slopes.lipschitz[1]):
        return
    bound, best = Fraction(evidence.slopes.lipschitz[1]), Fraction(0)
    x, bounds = _spread(evidence.points)
    values = [(Fraction(a), *map(Fraction, pair)) for a, pair in zip(x, bounds[TARGET], strict=True)
              if all(map(math.isfinite, pair))]  # fmt: skip
    rising = falling = None
    for at, lo, hi in values:  # the best partner so far, for f rising and for f falling
        for sign, best_so_far in ((1, rising), (-1, falling)):
            low = lo if sign > 0 else -hi
            if best_so_far is not None:
                best = max(best, low - bound * at + best_so_far)
        up, down = -hi + bound * at, lo + bound * at
        rising = up if rising is None else max(rising, up)
        falling = down if falling is None else max(falling, down)
    floor, most = best / 2, evidence.known.sup[1]
    says = (
        f"a model with slopes of at most {float(bound):.6g} is off by {float(floor):.6g} or more; "
        f"proved are at most {most:.6g}"
    )
    yield _need(most == math.inf or floor <= Fraction(most), "B1", says, len(values))


def _quotients(evidence: Evidence) -> Iterator[CrossCheck]:
    """Difference quotients of proven values lie between the bounds on the derivative."""
    if evidence.slopes is None:
        return
    x, bounds = _spread(evidence.points)
    count = 0
    for (a, (low, high)), (b, (least, most)) in pairwise(zip(x, bounds[MODEL], strict=True)):
        ends = covering(evidence.slopes, a, b)
        if a == b or not all(map(math.isfinite, (low, high, least, most))):
            continue
        width = Fraction(b) - Fraction(a)
        smallest = (Fraction(least) - Fraction(high)) / width
        largest = (Fraction(most) - Fraction(low)) / width
        inside = smallest <= ends[1] and largest >= ends[0]
        count += 1
        if not inside:
            says = (
                f"the difference quotient from x = {a!r} to {b!r} lies in [{float(smallest):.17g}, "
                f"{float(largest):.17g}], the derivative in [{ends[0]:.17g}, {ends[1]:.17g}]"
            )
            _need(False, "D4", says)
    says = "difference quotients of proven values lie between the bounds on the derivative"
    yield _need(True, "D4", says, count)


def _readout(evidence: Evidence) -> Iterator[CrossCheck]:
    """C1: proven values of a LayerNorm without head lie in its interval."""
    readout, known = evidence.structure.readout, evidence.known
    if readout is None or readout.range is None:
        return
    lo, hi = readout.range
    reached = float(known.inner[0].min()), float(known.inner[1].max())
    says = (
        f"values down to {reached[0]:.6g} and up to {reached[1]:.6g} were proved, of a LayerNorm "
        f"that stays in [{lo:.6g}, {hi:.6g}]"
    )
    yield _need(reached[0] >= lo and reached[1] <= hi, "C1", says)


def _layer_norm(evidence: Evidence) -> Iterator[CrossCheck]:
    """C2 and C2-own: all features of a LayerNorm, against what targets demand of them."""
    most = evidence.known.sup[1]
    for theorem, floor in zip(("C2", "C2-own"), evidence.floors, strict=True):
        if floor > 0:
            says = (
                f"all outputs of a LayerNorm together are off by {floor:.6g} or more; proved are "
                f"at most {most:.6g}"
            )
            yield _need(floor <= most, theorem, says)


CHECKS: tuple[Callable[[Evidence], Iterator[CrossCheck]], ...] = (
    _error_from_range,
    _variation_from_error,
    _error_from_slopes,
    _quotients,
    _readout,
    _layer_norm,
)


def _spread(points: Points) -> tuple[list[float], list[list[tuple[float, float]]]]:
    """At most MOST of the points, by increasing x, with the bounds of model and target."""
    x = points.x[:, 0]
    order = torch.argsort(x)
    if len(order) > MOST:
        order = order[torch.linspace(0, len(order) - 1, MOST).long()]
    pairs = [[tuple(p) for p in points.bounds[which][:, order].T.tolist()] for which in (0, 1)]
    return x[order].tolist(), pairs
