"""The proof of one leaf or one point."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from flint import arb, ctx, fmpq

from certify.certificate import Leaf, Pair, Point
from certify.checker.evaluate import Evaluator
from certify.checker.frame import Rejected
from theory.claims import UNKNOWN
from theory.judge import inside

#: Tried on a piece before it is halved: order, precision in bits, bits of coefficients for Z3.
ATTEMPTS = ((16, 128, 64), (24, 256, None))
MOST_PIECES = 512  # of one leaf
BOUNDED = ("model", "target", "difference")


def prove_point(evaluator: Evaluator, point: Point, where: str) -> None:
    """The values at one input lie in their bounds.

    Raises:
        Rejected: one does not, or the precision was not enough to show it.
    """
    for precision in (128, 512):
        with ctx.workprec(precision):
            values = zip(evaluator.at(point.at), BOUNDED, point[1:], strict=True)
            failed = [(v, n, bound) for v, n, bound in values if not _holds(v, bound)]
        if not failed:
            return
    value, name, bound = failed[0]
    raise Rejected(f"{where}: at {point.at} the {name} is {value.str(20)}, not in {list(bound)}")


def _holds(value: arb, bound: Pair) -> bool:
    """Whether every number of the ball is in the bounds; nan never is, where there are any."""
    if bound == UNKNOWN:
        return True
    return value.is_finite() and bool(arb(bound[0]) <= value) and bool(value <= arb(bound[1]))


def prove_leaf(evaluator: Evaluator, leaf: Leaf, where: str) -> Counter[str]:
    """The values on one box lie in their bounds; the box is cut where that helps.

    Raises:
        Rejected: a value does not, or the proof was not found.
    """
    judged: Counter[str] = Counter()
    ((lo, hi),) = leaf.box
    waiting = [(arb(lo), arb(hi))]
    while waiting:
        judged["pieces"] += 1
        if judged["pieces"] > MOST_PIECES:
            raise Rejected(f"{where}, leaf {leaf.box}: not proved with {MOST_PIECES} pieces")
        lo, hi = waiting.pop()
        proofs, cuts = _prove_piece(evaluator, lo, hi, leaf, where)
        judged += proofs
        waiting += reversed(list(pairwise([lo, *cuts, hi]))) if cuts else []
    return judged


def _prove_piece(
    evaluator: Evaluator, lo: arb, hi: arb, leaf: Leaf, where: str
) -> tuple[Counter[str], list[arb]]:
    """Who proved the bounds on [lo, hi]; or nobody, and where to cut it."""
    for order, precision, bits in ATTEMPTS:
        judged: Counter[str] = Counter()
        with ctx.workprec(precision):
            values, kinks = evaluator.on_box(lo, hi, order)
            pairs = zip(values, leaf[1:], strict=True)
            for (p, ends), bound in ((one, bound) for every, bound in pairs for one in every):
                who, place = inside(p, bound, bits)
                if not who and _holds(ends[0], bound) and _holds(ends[1], bound):
                    who = "arb"
                judged[who] += 1
                if not who:
                    if place is not None:
                        t = arb(fmpq(place.numerator, place.denominator))
                        _look(evaluator, ((lo + hi + t * (hi - lo)) / 2).mid(), leaf, where)
                    break
            if not judged[""]:
                return judged, []
            if kinks:
                return Counter(), kinks
            middle = ((lo + hi) / 2).mid()
    return Counter(), [middle]


def _look(evaluator: Evaluator, x: arb, leaf: Leaf, where: str) -> None:
    """Reject the leaf if a value at x, a place in it, is certainly out of its bounds."""
    if not arb(leaf.box[0][0]) <= x <= arb(leaf.box[0][1]):
        return
    for value, name, bound in zip(evaluator.at((x,)), BOUNDED, leaf[1:], strict=True):
        if value < arb(bound[0]) or value > arb(bound[1]):
            at = x.str(17, radius=False)
            shown = f"at {at} the {name} is {value.str(20)}, not in {list(bound)}"
            raise Rejected(f"{where}, leaf {leaf.box}: {shown}")
