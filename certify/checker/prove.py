"""The proof of one leaf or one point."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

from flint import arb, ctx, fmpq

from certify.certificate import Leaf, Pair, Point
from certify.checker.evaluate import Evaluator
from certify.checker.frame import Rejected
from theory.claims import UNKNOWN
from theory.judge import inside
from theory.multipolynomials import widest

#: Tried on a piece before it is halved: order, precision in bits, bits of coefficients for Z3.
ATTEMPTS = ((16, 128, 64), (24, 256, None))
ORDERS = {2: 8, 3: 6, 4: 5, 5: 4}  # by the number of variables; 3 in more of them
MOST_PIECES = 512  # of one leaf
BOUNDED = ("model", "target", "difference")


def prove_point(evaluator: Evaluator, point: Point, where: str) -> None:
    """The values at one input lie in their bounds, or `Rejected` says which one is not shown to."""
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
    """The values on a box lie in their bounds, or `Rejected` says why; it may be cut."""
    judged: Counter[str] = Counter()
    waiting = [[(arb(lo), arb(hi)) for lo, hi in leaf.box]]
    while waiting:
        judged["pieces"] += 1
        if judged["pieces"] > MOST_PIECES:
            raise Rejected(f"{where}, leaf {leaf.box}: not proved with {MOST_PIECES} pieces")
        box = waiting.pop()
        proofs, axis, cuts = _prove_piece(evaluator, box, leaf, where)
        judged += proofs
        lo, hi = box[axis]
        for side in reversed(list(pairwise([lo, *cuts, hi])) if cuts else []):
            waiting.append([*box[:axis], side, *box[axis + 1 :]])
    return judged


def _prove_piece(
    evaluator: Evaluator, box: list[tuple[arb, arb]], leaf: Leaf, where: str
) -> tuple[Counter[str], int, list[arb]]:
    """Who proved the bounds on a box; or nobody, and on which axis and where to cut it."""
    middles = tuple(((lo + hi) / 2).mid() for lo, hi in box)
    several, axis = len(box) > 1, 0
    for order, precision, bits in ATTEMPTS if not several else ((ORDERS.get(len(box), 3), 128, 0),):
        judged: Counter[str] = Counter()
        with ctx.workprec(precision):
            values, kinks = evaluator.on_box(box, order)
            pairs = zip(values, leaf[1:], strict=True)
            for (p, ends), bound in ((one, bound) for every, bound in pairs for one in every):
                who, place = ("", Fraction(0)) if several else inside(p, bound, bits)  # by ranges
                for lo, hi in (ends, p.ends()) if several else (ends,):
                    who = who or ("arb" if _holds(lo, bound) and _holds(hi, bound) else "")
                judged[who] += 1
                if not who:
                    if place is not None:
                        axis = widest(p, box, leaf.box)
                        by = arb(fmpq(*place.as_integer_ratio())) / 2
                        at = zip(middles, box, strict=True)
                        at = tuple((m + by * (hi - lo)).mid() for m, (lo, hi) in at)
                        _look(evaluator, at, leaf, where)
                    break
            if not judged[""]:
                return judged, 0, []
            if kinks:
                return Counter(), 0, kinks
    return Counter(), axis, [middles[axis]]


def _look(evaluator: Evaluator, x: tuple[arb, ...], leaf: Leaf, where: str) -> None:
    """Reject the leaf if a value at x, a place in it, is certainly out of its bounds."""
    if not all(arb(lo) <= at <= arb(hi) for at, (lo, hi) in zip(x, leaf.box, strict=True)):
        return
    for value, name, bound in zip(evaluator.at(x), BOUNDED, leaf[1:], strict=True):
        if value < arb(bound[0]) or value > arb(bound[1]):
            at = ", ".join(value.str(17, radius=False) for value in x)
            shown = f"at {at} the {name} is {value.str(20)}, not in {list(bound)}"
            raise Rejected(f"{where}, leaf {leaf.box}: {shown}")
