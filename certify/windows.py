"""Which leaves to split so that the longest plateau, or all windows of a width, are decided.

One input variable. Nothing is proved here: `theory.windows` decides, exactly. This is the same
computation in float64, on all pairs of leaves at once, from what the leaves know of themselves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.goal import Brackets, Goal, Open
from certify.search import DIFFERENCE, MODEL, TARGET, Leaves, State
from theory.windows import FLAT, MOST, Windows

ENDS = 16  # leaves split at a time


def open_windows(state: State, goal: Goal, known: Brackets) -> Open:
    """The leaves in which the widest undecided windows begin and end.

    Where a leaf ends matters, not how small its remainder is, once that is far below what a
    deciding window varies by.
    """
    small = goal.gap / 8 * goal.tau * FLAT * float(known.target_total[0])
    return Open(_ends(state, goal, known), small, False)


def _ends(state: State, goal: Goal, known: Brackets) -> Tensor:
    leaves, none = state.leaves, torch.empty(0, dtype=torch.long)
    if len(leaves) > MOST or harmless(goal.tau, state, known):
        return none
    order = torch.argsort(leaves.box[:, 0, 0])
    sorted_leaves = leaves.take(order)
    pairs = _Pairs(sorted_leaves, known)
    may = pairs.may_be_plateau(goal.tau)
    if goal.width is None:
        lo = float((pairs.length * pairs.is_plateau(goal.tau)).amax())
        ends = pairs.length.masked_fill(~may, -math.inf)
        may &= ends > (1 + goal.gap) * lo
    else:
        may &= pairs.feasible(goal.width) & ~pairs.proved(goal.tau)
        ends = pairs.length.masked_fill(~may, -math.inf)
    # An end known to this part of the widest window's length is known well enough.
    lo, hi, mid = *pairs.box.T, pairs.box.mean(1)
    fine = (hi - lo <= goal.gap / 8 * float(ends.amax())) | (mid <= lo) | (mid >= hi)
    may &= ~(fine[:, None] & fine[None, :])
    if not bool(may.any()):
        return none
    ends = ends.masked_fill(~may, -math.inf)
    best = torch.topk(ends.flatten(), min(4 * ENDS, int(may.sum()))).indices
    p, q = best // len(leaves), best % len(leaves)
    wider = torch.where((hi - lo)[p] >= (hi - lo)[q], p, q).tolist()
    chosen = list(dict.fromkeys(wider))[:ENDS]  # the end that is known less, widest window first
    return order[chosen]


def harmless(tau: float, state: State, known: Brackets) -> bool:
    """Whether the error seems to vary too little for any plateau, or the target does not seem to
    vary at all, so that no window decides anything."""
    lo, hi = state.leaves.bounds[DIFFERENCE]
    if known.target_total[0] <= 0:
        return True
    return float(hi.max() - lo.min()) < (1 - tau) * FLAT * float(known.target_total[0])


class _Pairs:
    """All pairs of a first leaf p and a last leaf q, p <= q; leaves by their lower ends."""

    def __init__(self, leaves: Leaves, known: Brackets):
        self.box = leaves.box[:, 0]
        lo, hi = self.box.T
        n = len(lo)
        self.length = hi[None, :] - lo[:, None]
        self.valid = torch.ones((n, n), dtype=torch.bool).triu()
        self.flat = FLAT * known.target_total
        outer = [leaves.bounds[which] for which in (MODEL, TARGET)]
        inner = [leaves.inner[which] for which in (MODEL, TARGET)]
        self.outer = [_spread(least, most) for least, most in outer]
        self.whole = [_spread(least, most).clamp(min=0) for least, most in inner]
        between = torch.zeros((2, n, n), dtype=torch.float64)
        for which in (0, 1):  # the leaves p + 1 ... q - 1
            between[which, :-1, 1:] = self.whole[which][1:, :-1]
        self.between = between
        self.difference = _spread(*leaves.bounds[DIFFERENCE])

    def may_be_plateau(self, tau: float) -> Tensor:
        """Windows of which some may be a deciding plateau."""
        most = self.outer[1]
        least = self.between[1].clamp(min=float(self.flat[0]))
        refuted = (most <= self.flat[0]) | (self.between[0] > tau * most)
        return self.valid & ~refuted & ~((1 - tau) * least > self.difference)

    def is_plateau(self, tau: float) -> Tensor:
        """Windows from edge to edge that are plateaus."""
        found = (self.outer[0] <= tau * self.whole[1]) & (self.whole[1] >= self.flat[1])
        return self.valid & found & (self.whole[1] > 0)

    def proved(self, tau: float) -> Tensor:
        """Windows that begin in p and end in q and are plateaus wherever they do."""
        decides = (self.between[1] > 0) & (self.between[1] >= self.flat[1])
        return self.valid & decides & (self.outer[0] <= tau * self.between[1])

    def feasible(self, width: float) -> Tensor:
        """Pairs of leaves in which some window of this width begins and ends."""
        lo, hi = self.box.T
        return self.valid & (lo[None, :] - hi[:, None] <= width) & (self.length >= width)


def _running(value: Tensor) -> Tensor:
    """(n, n): the largest of value[p ... q]; -inf below the diagonal."""
    below_diagonal = torch.ones((len(value), len(value)), dtype=torch.bool).tril(-1)
    return value.expand_as(below_diagonal).masked_fill(below_diagonal, -math.inf).cummax(1).values


def _spread(lo: Tensor, hi: Tensor) -> Tensor:
    """(n, n): the largest hi minus the least lo over leaves p ... q."""
    return _running(hi) + _running(-lo)


def as_windows(state: State, known: Brackets) -> Windows:
    """What leaves and points say of windows, for the judge."""
    leaves, points = state.leaves, state.points
    order = torch.argsort(leaves.box[:, 0, 0])
    box = leaves.box[order, 0].tolist()
    every = (MODEL, TARGET, DIFFERENCE)
    bounds = [[tuple(pair) for pair in leaves.bounds[w][:, order].T.tolist()] for w in every]
    places = torch.argsort(points.x[:, 0])
    rows = zip(
        points.x[places, 0].tolist(),
        *(points.bounds[which][:, places].T.tolist() for which in (MODEL, TARGET)),
        strict=True,
    )
    return Windows(
        [lo for lo, _ in box] + [box[-1][1]],
        *bounds,
        [(x, tuple(ours), tuple(theirs)) for x, ours, theirs in rows],
        tuple(known.target_total.tolist()),
    )
