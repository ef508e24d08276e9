"""Axes of a drawing: from numbers to pixels, with ticks at round numbers. For the eye only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

EXACT = Context(prec=800)  # every double is a decimal with fewer digits than that


@dataclass(frozen=True)
class Tick:
    """at: pixels; label: what stands there."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """lo ... hi drawn from pixel `start` to pixel `end`; lo < hi, both finite.

    With `log` the logarithms are drawn, and lo > 0.
    """

    lo: float
    hi: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a number; what lies outside of the axis is drawn at its end."""
        value = min(max(value, self.lo), self.hi)
        lo, hi = self.lo, self.hi
        if self.log:
            value, lo, hi = math.log(value), math.log(lo), math.log(hi)
        # Halves, since hi - lo may overflow.
        part = (value / 2 - lo / 2) / (hi / 2 - lo / 2)
        return round(self.start + (self.end - self.start) * part, 2)

    def ticks(self, count: int = 6) -> list[Tick]:
        """About `count` round numbers between the ends."""
        values = _decades(self.lo, self.hi, count) if self.log else _round(self.lo, self.hi, count)
        return [Tick(self.at(float(v)), plain(v)) for v in values]


def axis(values: Iterable[float], start: float, end: float, *, pad: float = 0.0) -> Axis | None:
    """An axis that shows all finite values, with a part `pad` of its length left free at the ends.

    Returns:
        None if no value is finite.
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return None
    lo, hi = min(finite), max(finite)
    if lo == hi:
        lo, hi = (lo - abs(lo) / 2, hi + abs(hi) / 2) if lo else (-1.0, 1.0)
    room = pad * 2 * (hi / 2 - lo / 2)
    largest = 1.7e308
    lo, hi = max(lo - room, -largest), min(hi + room, largest)
    return Axis(lo, hi, start, end) if lo < hi else None


def _round(lo: float, hi: float, count: int) -> list[Decimal]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    low, high = EXACT.create_decimal(lo), EXACT.create_decimal(hi)
    rough = EXACT.divide(EXACT.subtract(high, low), Decimal(count))
    power = Decimal(1).scaleb(rough.adjusted(), EXACT)
    step = next(s for m in (1, 2, 5, 10) if (s := EXACT.multiply(Decimal(m), power)) >= rough)
    first = int(EXACT.divide(low, step).to_integral_value("ROUND_CEILING"))
    last = int(EXACT.divide(high, step).to_integral_value("ROUND_FLOOR"))
    return [EXACT.multiply(Decimal(k), step) for k in range(first, last + 1)]


def _decades(lo: float, hi: float, count: int) -> list[Decimal]:
    first, last = math.ceil(math.log10(lo)), math.floor(math.log10(hi))
    stride = max(1, -(-(last - first + 1) // count))
    return [Decimal(1).scaleb(k) for k in range(first, last + 1, stride)]


def plain(value: Decimal) -> str:
    """A round number with no more digits than it has."""
    if not value:
        return "0"
    value = value.normalize(EXACT)
    if -4 <= value.adjusted() < 7:
        return format(value, "f")
    return format(value, "e").replace("e+", "e")


def line(points: Iterable[tuple[float, float]], x: Axis, y: Axis) -> str:
    """A path through the points, broken where one is not finite."""
    parts, pen = [], "M"
    for a, b in points:
        if math.isfinite(a) and math.isfinite(b):
            parts.append(f"{pen}{x.at(a):g} {y.at(b):g}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def stairs(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    """A path that keeps each value until the next point."""
    if not points:
        return ""
    (a, b), *rest = points
    moves = [f"M{x.at(a):g} {y.at(b):g}", *(f"H{x.at(a):g}V{y.at(b):g}" for a, b in rest)]
    return "".join(moves)


def boxes(rows: Iterable[tuple[float, float, float, float]], x: Axis, y: Axis) -> str:
    """Rectangles (left, right, lo, hi) as one path; infinite ends reach the frame."""
    return "".join(
        f"M{x.at(a):g} {y.at(lo):g}H{x.at(b):g}V{y.at(hi):g}H{x.at(a):g}Z" for a, b, lo, hi in rows
    )
