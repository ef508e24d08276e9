"""Plateaus on windows of any place and width, from bounds on neighboring leaves.

A window [a, b] of the domain begins in some leaf p and ends in some leaf q. It contains the
leaves between them and is covered by all of p ... q, so that with V the model's variation, D the
target's, and s how far the bounds on model - target spread there,

    V >= spread of the points in the leaves between,    D <= spread of the leaves p ... q,
    V >= D - s.

The pairs (p, q) are finitely many, and what holds of each holds of every window (theorem D5).
Windows where the target does not vary by FLAT of its total decide nothing (theorem D3). All
comparisons are made between exact numbers.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise

MOST = 1024  # leaves whose pairs are all looked at; more are taken together first
FLAT = 1e-3  # where the target varies by less than this part of its total, nothing is decided

Pair = tuple[float, float]


@dataclass(frozen=True)
class Windows:
    """Leaves from the lower end of the domain to the upper one, and points.

    Attributes:
        edges: ends of the leaves, one more than there are leaves, increasing.
        model, target: bounds of both on every leaf.
        difference: bounds on model - target on every leaf.
        points: (x, bounds of the model, bounds of the target), by increasing x.
        total: bounds on the target's variation over the domain.
    """

    edges: list[float]
    model: list[Pair]
    target: list[Pair]
    difference: list[Pair]
    points: list[tuple[float, Pair, Pair]]
    total: Pair

    def longest(self, tau: float) -> tuple[float, float, Pair | None]:
        """Bracket the width of the longest deciding window that is a tau-plateau.

        Args:
            tau: plateau ratio, 0 <= tau < 1.

        Returns:
            (lo, hi, window): the window, of width lo or more, is a tau-plateau; no deciding
            window wider than hi is one. Without a plateau (0, hi, None).
        """
        if self.harmless(tau):
            return 0.0, 0.0, None
        if len(self.model) > MOST:
            return self.together(-(-len(self.model) // MOST)).longest(tau)
        edges = [Fraction(edge) for edge in self.edges]
        widest, longest, window = Fraction(0), Fraction(0), None
        for p in range(len(self.model)):
            row = _Row(self, p)
            for q in range(len(self.model) - 1, bisect_right(edges, edges[p] + widest) - 2, -1):
                if row.may_be_plateau(q, tau):
                    widest = edges[q + 1] - edges[p]
                    break
            for q in range(len(self.model) - 1, bisect_right(edges, edges[p] + longest) - 2, -1):
                if row.is_plateau(q, tau, whole=True):
                    longest, window = edges[q + 1] - edges[p], (self.edges[p], self.edges[q + 1])
                    break
        return _below(longest), _above(widest), window

    def together(self, count: int) -> Windows:
        """Each `count` neighbors as one leaf: looser, and as true."""
        firsts = range(0, len(self.model), count)
        bounds = (
            [_hulls(many[i : i + count])[-1] for i in firsts]
            for many in (self.model, self.target, self.difference)
        )
        edges = [self.edges[i] for i in firsts] + self.edges[-1:]
        return Windows(edges, *bounds, self.points, self.total)

    def harmless(self, tau: float) -> bool:
        """Whether no deciding window can be a plateau, since the error varies too little."""
        spread = _minus(*_hulls(self.difference)[-1])
        return spread < (1 - Fraction(tau)) * self.flat[0]

    @cached_property
    def flat(self) -> tuple[Fraction, Fraction | float]:
        """Bounds on FLAT of the target's total variation."""
        lo, hi = max(self.total[0], 0.0), self.total[1]
        return Fraction(FLAT) * Fraction(lo), Fraction(FLAT) * Fraction(hi) if hi < math.inf else hi

    @cached_property
    def inner(self) -> list[tuple[Pair, Pair]]:
        """For every leaf, of the model and of the target, an upper bound on the least value at a
        point of the leaf and a lower bound on the greatest; (inf, -inf) without points."""
        places, out = [point[0] for point in self.points], []
        for lo, hi in pairwise(self.edges):
            near = self.points[bisect_left(places, lo) : bisect_right(places, hi)]
            both = []
            for which in (1, 2):
                least = min((point[which][1] for point in near), default=math.inf)
                both.append((least, max((point[which][0] for point in near), default=-math.inf)))
            out.append(tuple(both))
        return out

    def sliding(self, tau: float, width: float) -> tuple[Pair | None, bool]:
        """A window of this width that is proved to be a plateau, if there is one, its ends
        rounded; and whether some decides and none is one.

        Args:
            tau: plateau ratio, 0 <= tau < 1.
            width: of the windows, at most that of the domain.
        """
        edges, delta = [Fraction(edge) for edge in self.edges], Fraction(width)
        found, decides, none = None, False, True
        for p in range(len(self.model)):
            if edges[p] + delta > edges[-1]:
                break
            # A window of this width that begins in leaf p ends in leaf q.
            q = max(p, bisect_left(edges, edges[p] + delta) - 1)
            row = _Row(self, p, bisect_right(edges, edges[p + 1] + delta))
            while q < len(self.model) and edges[q] <= edges[p + 1] + delta:
                none &= not row.may_be_plateau(q, tau)
                decides |= row.decides(q)
                if found is None and row.is_plateau(q, tau, whole=False):
                    start = max(edges[p], edges[q] - delta)
                    found = float(start), float(start + delta)
                q += 1
        return found, decides and none

    def variations(self, window: Pair) -> Pair:
        """At most how much the model varies on a window of the domain, by the leaves that cover
        it, and at least how much the target does, by the points in it."""
        (a, b), places = window, [point[0] for point in self.points]
        first = max(0, bisect_right(self.edges, a) - 1)
        last = max(first + 1, bisect_left(self.edges, b))
        near = self.points[bisect_left(places, a) : bisect_right(places, b)]
        least = min((target[1] for _, _, target in near), default=math.inf)
        most = max((target[0] for _, _, target in near), default=-math.inf)
        ours, theirs = _minus(*_hulls(self.model[first:last])[-1]), _minus(least, most)
        return _above(ours), _below(max(Fraction(0), theirs))


class _Row:
    """Windows that begin in leaf p, by the leaf q in which they end; only q < end are asked for."""

    def __init__(self, windows: Windows, p: int, end: int | None = None):
        self.p, self.flat = p, windows.flat
        every = windows.model, windows.target, windows.difference
        self.model, self.target, self.difference = (_hulls(bounds[p:end]) for bounds in every)
        parts = [[pair[which] for pair in windows.inner[p:end]] for which in (0, 1)]
        self.whole = [_hulls(part) for part in parts]
        self.between = [_hulls(part[1:]) for part in parts]

    def reached(self, q: int, which: int, whole: bool) -> Pair:
        """A hull that is certainly reached, by the model (0) or the target (1): on the leaves
        p ... q, or only on those between p and q."""
        hulls, last = (self.whole, q - self.p) if whole else (self.between, q - self.p - 2)
        lo, hi = hulls[which][last] if last >= 0 else (0.0, 0.0)
        return (lo, hi) if lo <= hi else (0.0, 0.0)

    def decides(self, q: int, whole: bool = False) -> bool:
        """Whether the target certainly varies enough on these windows."""
        d = _minus(*self.reached(q, 1, whole))
        return d > 0 and d >= self.flat[1]

    def is_plateau(self, q: int, tau: float, *, whole: bool) -> bool:
        """Whether these windows are proved to be plateaus, or the one of all leaves p ... q."""
        d = self.reached(q, 1, whole)
        return not _wider(self.model[q - self.p], tau, d) and self.decides(q, whole)

    def may_be_plateau(self, q: int, tau: float) -> bool:
        """Whether, for all that is known, one of these windows is a deciding plateau."""
        most, other = self.target[q - self.p], self.difference[q - self.p]
        if _wider(self.reached(q, 0, False), tau, most):
            return False
        if _minus(*most) <= 0 or _minus(*most) < self.flat[0]:
            return False
        least = max(Fraction(_minus(*self.reached(q, 1, False))), self.flat[0])
        return (1 - Fraction(tau)) * least <= _minus(*other)


def _wider(v: Pair, factor: float, d: Pair) -> bool:
    """Whether the hull v is wider than factor times the hull d, exactly.

    The neighbors of a rounded result bound the exact one; they decide most cases.
    """
    down = math.nextafter(v[1] - v[0], -math.inf)
    up = math.nextafter(factor * math.nextafter(d[1] - d[0], math.inf), math.inf)
    if down > up:
        return True
    width, other = _minus(*v), _minus(*d)
    return width > Fraction(factor) * other if other < math.inf else False


def _hulls(bounds: list[Pair]) -> list[Pair]:
    """Least lower and greatest upper end of the first 1, 2, ... pairs."""
    lows = accumulate((lo for lo, _ in bounds), min)
    return list(zip(lows, accumulate((hi for _, hi in bounds), max), strict=True))


def _minus(lo: float, hi: float) -> Fraction | float:
    """hi - lo exactly; inf, or -inf from an empty hull, where an end is infinite."""
    if math.isfinite(hi) and math.isfinite(lo):
        return Fraction(hi) - Fraction(lo)
    return -math.inf if hi == -math.inf or lo == math.inf else math.inf


def _above(x: Fraction) -> float:
    """The least double >= x >= 0, inf beyond all of them."""
    try:
        near = float(x)
    except OverflowError:
        return math.inf
    return near if near >= x else math.nextafter(near, math.inf)


def _below(x: Fraction) -> float:
    """The greatest double <= x."""
    try:
        near = float(x)
    except OverflowError:
        return sys.float_info.max
    return near if near <= x else math.nextafter(near, -math.inf)
