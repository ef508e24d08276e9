"""The drawing of variations: bars for every cell, and the strip of plateau verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from certify.checking import Report
from certify.report.axes import Axis, axis
from certify.report.drawing import BOTTOM, TOP, Mark, Plot, across, finished, variable
from certify.report.numbers import interval
from certify.report.strip import SIGNS, Column, columns

TILES = 128  # cells drawn next to each other

CLASSES = {"_": "plateau", "?": "unclear", "/": "follows", ".": "flat"}


def variation(report: Report) -> Plot:
    """Variation of model and target on every cell, and a strip of verdicts below."""
    height, strip, known = 330, 34, report.known
    name, title = "variation", "Variation on every cell, and plateau verdicts"
    cells = report.plateaus.cells
    found = columns(cells, TILES)
    share = (known.variation[0] / known.target_variation[1]).nan_to_num(math.inf)
    shown = [c.first + int(share[c.first : c.last].argmin()) for c in found]
    ours, theirs = (v[:, shown].T.tolist() for v in (known.variation, known.target_variation))
    base = height - BOTTOM - strip
    y = axis([0.0, *(v for pair in (*ours, *theirs) for v in pair)], base, TOP, pad=0.0)
    if y is None or y.hi <= 0:
        y = Axis(0.0, 1.0, base, TOP)
    y = Axis(0.0, y.hi * 1.06 if y.hi < 1e308 else y.hi, base, TOP)
    x = across(report)
    marks: list[Mark] = []
    for column, cell, mine, target in zip(found, shown, ours, theirs, strict=True):
        box = report.cells[column.first, 0, 0], report.cells[column.last - 1, 0, 1]
        left, right = (x.at(float(end)) for end in box)
        marks += _bars(left, right, (mine, target), report.options.tau, y)
        words = f"cell {cell}: model varies by {interval(*mine, most=6)}, target by "
        words += interval(*target, most=6)
        if column.last - column.first > 1:
            words = f"cells {column.first} to {column.last - 1}; {words}"
        marks += _tile(column, (left, right, base + 8, strip - 12), words, len(found) <= 64)
    legend = [
        ("targetbar", "the target's variation, proved at least"),
        ("modelbar", "the model's, proved at least"),
        ("unsure", "between the proved bounds"),
        ("tau", f"{report.options.tau:g} times the target's"),
    ]
    legend += [(CLASSES[s], f"{s} {SIGNS[s]}") for s in SIGNS if any(c.sign == s for c in found)]
    per = found[0].last - found[0].first
    note = "" if per == 1 else (
        f"Each column stands for {per} cells. Its bars are of the cell where the model follows "
        "least, its sign is the first of those above that one of the cells has."
    )  # fmt: skip
    counts = {means: sum(c.sign == s for c in found) for s, means in SIGNS.items()}
    says = "; ".join(f"{n} columns: {means}" for means, n in counts.items() if n)
    plot = Plot(name, title, says, height, x_label=variable(report), y_label="max - min",
                marks=tuple(marks), legend=tuple(legend), note=note)  # fmt: skip
    return finished(plot, x, y)


def _tile(
    column: Column, place: tuple[float, float, float, float], words: str, large: bool
) -> Iterator[Mark]:
    """The verdict of a column; place: left, right, top and height."""
    left, right, top, height = place
    width = max(right - left - 1, 0.5)
    title = f"{SIGNS[column.sign]}; {words}"
    yield Mark("rect", CLASSES[column.sign], x=left, y=top, w=width, h=height, title=title)
    if large:
        middle = (left + right) / 2
        yield Mark("text", "sign", x=middle, y=top + 16, text=column.sign, anchor="middle")


def _bars(
    left: float, right: float, pairs: Sequence[Sequence[float]], tau: float, y: Axis
) -> Iterator[Mark]:
    """One cell: the target's bar behind, the model's in front, a tick at tau of the target's."""
    (lo, hi), (low, high) = pairs
    wide = right - left
    base = y.at(0.0)

    def bar(cls: str, a: float, b: float, inset: float) -> Mark:
        top = y.at(b)
        return Mark("rect", cls, x=left + wide * inset, y=top, w=max(wide * (1 - 2 * inset), 0.4),
                    h=max(y.at(a) - top, 0.0))  # fmt: skip

    yield bar("targetbar", 0.0, low if math.isfinite(low) else 0.0, 0.06)
    yield bar("unsure", low, high, 0.06)
    yield bar("modelbar", 0.0, lo, 0.26)
    yield bar("unsure", lo, hi, 0.26)
    mark = y.at(tau * low)
    if mark < base:
        yield Mark("path", "tau", f"M{left + wide * 0.06:g} {mark:g}H{right - wide * 0.06:g}")
