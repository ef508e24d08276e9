"""Fewest constant pieces within an accuracy, from below and from above: A3, A3-Lp-lower, -upper.

In the maximum norm the count is known. In L^p it is enclosed: strips with exponentials below |f'|
bound it from below for every partition, and one partition with enclosed errors from above. Only
the choice of strips and cuts is heuristic; each bound is valid for any choice. Where f' is
log-concave both bounds are usually within one of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp
from flint import arb, ctx

from theory.arb import bounds, series
from theory.errors import BadRequest
from theory.functions import x
from theory.intervals import hull, number
from theory.resolution import ROWS
from theory.targets import find_target

PRECISION = 128
PARTS = 64  # of a strip, for the least value of |f'| e^(-slope x)
STRIPS = 250
CELLS = 1000  # whose errors are enclosed one by one; beyond, each stands for several equal pieces
STEEP = 4  # times its mean slope: where a cell is that steep somewhere, it is halved
SAMPLES = 4000  # parts of all cells together on which f is enclosed


@dataclass(frozen=True)
class Pieces:
    """A count of pieces, lower <= count <= upper."""

    lower: int
    upper: int

    def __str__(self) -> str:
        exact = self.lower == self.upper
        return str(self.lower) if exact else f"{self.lower} to {self.upper}"


def min_pieces(
    target: str, domain: tuple[float, float], accuracy: sp.Rational, p: float = math.inf
) -> Pieces:
    """Bounds on the fewest constant pieces (intervals) within an accuracy.

    Args:
        target: a name or an expression in x, as of `find_target`; continuous.
        domain: its two ends, finite.
        accuracy: of (int |f - g|^p)^(1/p) over the domain, not divided by its width; for p = inf
            of sup |f - g|.
        p: 1, 2 or math.inf.

    Raises:
        BadRequest: another p; an accuracy that is not positive; p = inf and no row of
            `theory.resolution` says that the target increases on this domain; or the target is
            not defined on all of it.

    Source:
        A3, A3-Lp-lower, A3-Lp-upper.
    """
    f = find_target(target, domain).expression
    if not accuracy > 0:
        raise BadRequest(f"an accuracy is a positive number, not {accuracy}")
    if p == math.inf:
        if not any(row.target == target and row.domain == tuple(domain) for row in ROWS):
            raise BadRequest(f"{target} is not known to be monotone on {list(domain)}")
        count = sp.Abs(f.subs(x, domain[1]) - f.subs(x, domain[0])) / (2 * accuracy)
        return Pieces(*(max(1, _ceiling(end)) for end in _ends(count)))
    if p not in (1, 2):
        raise BadRequest(f"pieces are counted for p = 1, 2 and inf, not for p = {p}")
    with ctx.workprec(PRECISION):
        search = Search(f, int(p), number(accuracy))
        lower, strips = search.needed(float(domain[0]), float(domain[1]))
        return Pieces(lower, search.enough(lower, strips))


def _ends(count: sp.Expr) -> tuple[sp.Expr | arb, sp.Expr | arb]:
    """A number twice if it is rational, else the ends of an enclosure."""
    if sp.sympify(count).is_Rational:
        return count, count
    with ctx.workprec(PRECISION):
        ball = number(count)
        return ball.lower(), ball.upper()


def _ceiling(value: sp.Expr | arb) -> int:
    return int(value.ceil().unique_fmpz()) if isinstance(value, arb) else int(sp.ceiling(value))


@dataclass(frozen=True)
class Strip:
    """An interval where |f'| >= c e^(slope (x - middle)), and what that says.

    Attributes:
        lo, hi: its ends.
        slope: of the exponent.
        mass: at most the integral of that exponential to the power q = p / (p + 1).
        most: (variation of f)^q (width)^(1-q); that of |f'|^q is not larger (Jensen), about.
    """

    lo: float
    hi: float
    slope: float = 0.0
    mass: arb = arb(0)
    most: float = math.inf


@dataclass(frozen=True)
class Search:
    """f, in x; p; the accuracy, a ball."""

    f: sp.Expr
    p: int
    accuracy: arb

    @property
    def q(self) -> arb:
        return arb(self.p) / (self.p + 1)

    @property
    def constant(self) -> arb:
        """The p-th power of the error of the best constant for a line of slope 1, width 1."""
        return 1 / (arb(2) ** self.p * (self.p + 1))

    def needed(self, lo: float, hi: float) -> tuple[int, list[Strip]]:
        """N >= (sum of masses)^(1/q) constant^(1/p) / accuracy - (strips - 1), at its best.

        The strip with the most to gain is halved, until one more strip costs more than all can
        gain. With a log-concave slope strips are free: they only bound its integral.
        """
        strips, best = [self.strip(lo, hi)], 1
        cost = 0 if self.log_concave(lo, hi) else 1
        while True:
            mass = sum((s.mass for s in strips), arb(0))
            best = max(best, self.count(mass) - cost * (len(strips) - 1))
            hope = self.count(arb(sum(s.most for s in strips))) - cost * len(strips)
            if hope <= best or len(strips) >= STRIPS:
                return best, sorted(strips, key=lambda s: s.lo)
            worst = max(strips, key=lambda s: s.most - float(s.mass))
            middle = (worst.lo + worst.hi) / 2
            if not worst.lo < middle < worst.hi:
                return best, sorted(strips, key=lambda s: s.lo)
            strips.remove(worst)
            strips += [self.strip(worst.lo, middle), self.strip(middle, worst.hi)]

    def count(self, mass: arb) -> int:
        """The least N that A3-Lp-lower allows for one strip."""
        root = self.constant.root(self.p) * mass ** (1 / self.q) if mass > 0 else arb(0)
        return _ceiling((root / self.accuracy).lower())

    def log_concave(self, lo: float, hi: float) -> bool:
        """Whether f' or -f' is shown to be so, by A2-log-concave; one may be 0 at lo or hi."""
        signs = [self.part_log_concave(a, b) for a, b in _parts(lo, hi, PARTS)]
        return signs[0] != 0 and all(sign == signs[0] for sign in signs)

    def part_log_concave(self, a: arb, b: arb) -> int:
        """1 or -1: times f', it is >= 0 and log-concave on the part; 0: not known."""
        _, first, second, third = series(self.f, hull(a, b), 3)
        gap = (2 * second) ** 2 - first * (6 * third)
        for s in (1, -1):
            grows = s * second > 0 and s * series(self.f, a, 1)[1] >= 0
            falls = s * second < 0 and s * series(self.f, b, 1)[1] >= 0
            if (s * first > 0 and gap >= 0) or ((grows or falls) and gap > 0):
                return s
        return 0

    def most(self, lo: float, hi: float) -> float:
        """See `Strip`; a rough number, from which nothing is concluded."""
        low, high = bounds(self.f, arb(lo), arb(hi))
        return float((high - low) ** self.q * (arb(hi) - arb(lo)) ** (1 - self.q))

    def strip(self, lo: float, hi: float) -> Strip:
        """The exponential with the slope of log |f'| in the middle, as high as it fits."""
        width, most = arb(hi) - arb(lo), self.most(lo, hi)
        middle = (arb(lo) + arb(hi)) / 2
        _, first, second = series(self.f, middle, 2)
        bend = float((2 * second / first).mid()) if not first.contains(0) else math.nan
        slope = bend if math.isfinite(bend) else 0.0
        least = self.least(lo, hi, slope)
        if not least > 0:
            return Strip(lo, hi, most=most)
        half = self.q * arb(slope) * width / 2  # the integral is width sinh(half) / half
        mass = least**self.q * width * (half.sinh() / half if slope else 1)
        return Strip(lo, hi, slope, mass.lower(), most)

    def least(self, lo: float, hi: float, slope: float) -> arb:
        """At most |f'(x)| e^(-slope (x - middle)) on the strip; positive only if f' has no zero.

        On a part with middle m and half width r the mean value theorem says that f' e^(-slope
        (x - m)) is within r sup |f'' - slope f'| e^(|slope| r) of f'(m).
        """
        middle = (arb(lo) + arb(hi)) / 2
        rate, out = arb(slope), arb("inf")
        for a, b in _parts(lo, hi, PARTS):
            m, r = (a + b) / 2, (b - a) / 2
            center = series(self.f, m, 1)[1]
            _, first, second = series(self.f, hull(a, b), 2)
            change = abs(2 * second - rate * first) * (abs(rate) * r).exp()
            if not change.is_finite():
                return arb(0)
            value = (abs(center) - r * change) * (rate * (middle - m)).exp()
            out = out.min(value.lower())
        return out.lower()

    def enough(self, least: int, strips: Sequence[Strip]) -> int:
        """A number of pieces with which one partition is within the accuracy."""
        parts = -(-least // CELLS)
        cells = -(-least // parts)
        while True:
            places = _cells(strips, cells, self.q)
            power = sum((self.error(a, b, parts, SAMPLES // cells) for a, b in places), arb(0))
            if power <= self.accuracy**self.p:
                return cells * parts
            if not power.is_finite():
                raise BadRequest(f"{self.f} is not known to be bounded on the domain")
            ratio = (power.upper().root(self.p) / self.accuracy).upper()
            cells = max(cells + 1, math.floor(cells * float(ratio)))

    def error(self, lo: float, hi: float, parts: int, samples: int) -> arb:
        """At least the p-th power of an error with so many constants on an interval.

        One for each equal part, by the slope; or the same for all, from enclosures of f on the
        samples; or, where f is steep somewhere, some for either half.
        """
        width = arb(hi) - arb(lo)
        ranges = [bounds(self.f, a, b) for a, b in _parts(lo, hi, max(1, samples))]
        middles = sorted(float((low + high) / 2) for low, high in ranges)
        mean = math.fsum(middles) / len(middles)
        k = arb(mean if self.p == 2 else middles[len(middles) // 2])
        far = sum(((high - k).max(k - low) ** self.p for low, high in ranges), arb(0))
        one = (far * width / len(ranges)).upper()
        slope = abs(series(self.f, hull(arb(lo), arb(hi)), 1)[1])
        if slope.is_finite():
            line = self.constant * (slope * width) ** self.p * width / arb(parts) ** self.p
            one = one.min(line.upper())
        middle, varies = (lo + hi) / 2, ranges[-1][1] - ranges[0][0]
        if parts == 1 or abs(slope) * width <= STEEP * abs(varies) or not lo < middle < hi:
            return one
        left, right = self.most(lo, middle), self.most(middle, hi)
        share = min(max(1, round(parts * left / (left + right))), parts - 1)
        return self.error(lo, middle, share, 1) + self.error(middle, hi, parts - share, 1)


def _parts(lo: float, hi: float, count: int) -> Iterator[tuple[arb, arb]]:
    """The ends of equal parts, as balls."""
    ends = [arb(lo) + (arb(hi) - arb(lo)) * k / count for k in range(count + 1)]
    yield from zip(ends, ends[1:], strict=False)


def _cells(strips: Sequence[Strip], cells: int, q: arb) -> Iterator[tuple[float, float]]:
    """Consecutive intervals of about the same share of the integral of |f'|^q."""
    total, power = sum(s.most for s in strips), float(q)
    start, at, passed = strips[0].lo, 1, 0.0
    for s in strips:
        while at < cells and total * at / cells < passed + s.most:
            share = (total * at / cells - passed) / s.most
            rate = power * s.slope * (s.hi - s.lo)
            share = math.log1p(share * math.expm1(rate)) / rate if abs(rate) > 1e-9 else share
            cut = min(max(s.lo + share * (s.hi - s.lo), start), s.hi)
            yield start, cut
            start, at = cut, at + 1
        passed += s.most
    yield start, strips[-1].hi
