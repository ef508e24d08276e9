"""The figure of the scaling study: log-log, beside the layers that the construction takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from probes.figures import LOOKS, as_svg, paper_look
from probes.scaling import Point
from theory.resolution import ROWS, delta

AXES = (("layers", "layers"), ("width", "width"), ("steps", "AdamW steps"))
PAPER = {"color": "black", "linestyle": (0, (1, 1)), "linewidth": 1.4}


def scaling_figure(points: list[Point | None]) -> bytes:
    """Sup error above, longest plateau below; against layers, width and training steps.

    Returns:
        SVG; the same points give the same bytes.

    Raises:
        Missing: matplotlib is not installed.
    """
    done = [p for p in points if p]
    with paper_look() as new:
        figure = new(figsize=(9.6, 6.4), layout="constrained")
        draw(done, figure)
        return as_svg(figure)


def draw(done: list[Point], figure: Any) -> None:
    """All six panels on one figure."""
    rows = figure.subplots(2, 3, sharey="row")
    for column, (name, words) in enumerate(AXES):
        above, below = rows[0, column], rows[1, column]
        _clouds(above, done, name, lambda p: p.sup[1])
        _resolutions(below, done, name)
        for axes in (above, below):
            axes.set(xscale="log", yscale="log")
            axes.set_xlabel(words)
            if name != "layers" or axes is below:
                ticks = sorted({getattr(p.setting, name) for p in done})
                axes.set_xticks(ticks, [str(t) for t in ticks])
                axes.minorticks_off()
    _construction(rows[0, 0], done)
    rows[0, 0].set_ylabel("sup error, proved upper end")
    rows[1, 0].set_ylabel("longest plateau, proved upper end")
    rows[0, 2].legend(frameon=False, fontsize=8, title="best of others, by", title_fontsize=8)
    shown = rows[1, 2].get_legend_handles_labels()
    figure.legend(*shown, frameon=False, fontsize=8, loc="outside lower center", ncols=4)


def _clouds(axes: Any, done: list[Point], name: str, of: Callable[[Point], float]) -> None:
    """Every encoder as a dot, and a line through the best of each value of another variable."""
    finite = [p for p in done if 0 < of(p) < float("inf")]
    axes.plot([getattr(p.setting, name) for p in finite], [of(p) for p in finite], ".",
              color="0.7", markersize=4, zorder=1)  # fmt: skip
    other = "width" if name == "layers" else "layers"
    kinds = sorted({getattr(p.setting, other) for p in finite})
    for value, (color, line, marker) in zip(kinds, LOOKS * len(kinds), strict=False):
        best: dict[int, float] = {}
        for p in finite:
            if getattr(p.setting, other) == value:
                x = getattr(p.setting, name)
                best[x] = min(of(p), best.get(x, float("inf")))
        axes.plot(*zip(*sorted(best.items()), strict=True), color=color, linestyle=line,
                  marker=marker, markersize=4, label=f"{other} {value}")  # fmt: skip


def _resolutions(axes: Any, done: list[Point], name: str) -> None:
    """Proved brackets of the longest plateau; none at any width in a row of its own below."""
    steps = [p.step for p in done if p.step]
    seen = [v for p in done for v in (*p.longest, p.step or 0) if 0 < v < float("inf")]
    if not seen:
        return
    floor = min(seen) / 8
    some = [p for p in done if p.longest[0] > 0]
    none = [p for p in done if p.longest[1] == 0]
    open_ = [p for p in done if p.longest[0] == 0 < p.longest[1]]
    looks = (
        (some, lambda p: p.longest[1], "s", "black", "has a plateau, so wide"),
        (open_, lambda p: p.longest[1], "v", "black", "undecided: none is wider"),
        (none, lambda p: floor, "o", "white", "none at any width"),
    )
    for part, of, marker, face, label in looks:
        axes.plot([_spread(p, name) for p in part], [of(p) for p in part], marker,
                  markerfacecolor=face, color="black", markersize=4.5, label=label)  # fmt: skip
    with_step = [p for p in done if p.step]
    axes.plot([_spread(p, name) for p in with_step], steps, "_", color="0.45", markersize=9,
              label="delta*, the steps of its accuracy")  # fmt: skip
    axes.axhline(floor * 2, color="0.8", linewidth=0.8)
    axes.set_ylim(floor / 2, 3 * max(seen))
    axes.text(0.02, 0.02, "none", transform=axes.transAxes, fontsize=8, color="0.35")


def _spread(p: Point, name: str) -> float:
    """The value, moved a little by the other settings so that equal ones do not hide each other."""
    s = p.setting
    others = {"layers": s.width * 7 + s.steps, "width": s.layers * 7 + s.steps,
              "steps": s.layers * 7 + s.width * 3}  # fmt: skip
    shift = ((others[name] * 2654435761 + s.seed * 40503) % 97) / 96 - 0.5
    return getattr(s, name) * 2 ** (0.35 * shift)


def _construction(axes: Any, done: list[Point]) -> None:
    """The paper's layers: a line where the theory has one, from each encoder's accuracy on it."""
    named = [p for p in done if p.predicted]
    row = next((r for r in ROWS if done and r.target == done[0].setting.target
                and abs((r.domain[1] - r.domain[0]) - done[0].side) == 0), None)  # fmt: skip
    if row is None or not named:
        return
    most = 1.5 * max(p.predicted for p in named)
    layers = np.geomspace(1, most, 100)
    varies = sp.lambdify(delta, row.variation, "numpy")
    axes.plot(layers, varies(done[0].side / layers) / 2, **PAPER, label="the construction")
    best = min(named, key=lambda p: p.sup[1])
    ends = best.setting.layers, best.predicted
    axes.annotate("", (ends[1], best.sup[1]), (ends[0], best.sup[1]),
                  arrowprops={"arrowstyle": "<->", "color": "0.4", "linewidth": 0.8})  # fmt: skip
    says = f"{ends[0]} against {math.floor(ends[1])} layers"
    middle = (ends[0] * ends[1]) ** 0.5
    axes.text(middle, best.sup[1] * 0.93, says, fontsize=8, ha="center", va="top")
    axes.legend(frameon=False, fontsize=8)
