"""The proof of leaves and points: no piece is left out, and what nobody proves is rejected."""

from __future__ import annotations

import math

import pytest
from flint import arb, arb_poly

from certify.certificate import Leaf, Point
from certify.checker.frame import Rejected
from certify.checker.prove import prove_leaf, prove_point

FREE = (-math.inf, math.inf)
UNKNOWN = arb_poly([arb("nan")]), (arb("nan"), arb("nan"))


class Stairs:
    """A model that is `low` before a step and `high` after it; wide boxes are not understood."""

    def __init__(self, low, high, step, widest):
        self.low, self.high, self.step, self.widest = low, high, step, widest

    def on_box(self, box, order):
        ((lo, hi),) = box
        if hi - lo > self.widest or lo < self.step < hi:
            return [[UNKNOWN]] * 3, []
        value = arb(self.low if hi <= self.step else self.high)
        return [[(arb_poly([value]), (value, value))]] * 3, []

    def at(self, point):
        value = arb(self.low if arb(point[0]) <= self.step else self.high)
        return value, value, value


def leaf(bound):
    return Leaf(((0.0, 1.0),), bound, FREE, FREE)


def test_pieces_are_cut_and_all_of_them_proved():
    judged = prove_leaf(Stairs(0.0, 0.5, 0.75, 0.3), leaf((-1.0, 1.0)), "here")
    assert judged["pieces"] == 7 and not judged[""]


@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (5.0, 0.0), (0.0, -5.0)])
def test_one_false_piece_is_enough(low, high):
    with pytest.raises(Rejected, match="here, leaf"):
        prove_leaf(Stairs(low, high, 0.75, 0.3), leaf((-1.0, 1.0)), "here")


def test_what_nobody_understands_is_rejected():
    with pytest.raises(Rejected, match="not proved with 512 pieces"):
        prove_leaf(Stairs(0.0, 0.0, 2.0, -1.0), leaf((-1.0, 1.0)), "here")


@pytest.mark.parametrize(("bound", "holds"), [
    ((0.0, 1.0), True), ((0.5, 0.5), True), (FREE, True), ((0.5, math.inf), True),
    ((-1.0, 0.25), False), ((0.75, 1.0), False), ((0.75, math.inf), False),
])  # fmt: skip
def test_points_need_both_ends(bound, holds):
    point = Point((0.25,), FREE, bound, FREE)
    if holds:
        prove_point(Stairs(0.5, 0.5, 2.0, 1.0), point, "there")
        return
    with pytest.raises(Rejected, match="there: at"):
        prove_point(Stairs(0.5, 0.5, 2.0, 1.0), point, "there")
