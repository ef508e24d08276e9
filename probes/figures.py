"""Figures, as SVG, readable in grayscale. matplotlib is an optional extra: plateau[probes]."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from probes.optional import Missing, need

__all__ = ["Missing", "as_svg", "failure_figure", "paper_look"]

#: One look per curve, so that color is not needed to tell them apart.
LOOKS = (("black", "-", "o"), ("0.35", "--", "s"), ("0.6", ":", "^"))


def failure_figure(curves: dict[tuple[int, float], dict[str, Any]]) -> bytes:
    """Failure rate against test points: a panel per error, a line per d.

    Args:
        curves: (d, RMSE/sd) to "sizes", "rates" and "predicted_size".

    Returns:
        SVG; the same curves give the same bytes.

    Raises:
        Missing: matplotlib is not installed.
    """
    errors = sorted({relative for _, relative in curves})
    with paper_look() as new:
        figure = new(figsize=(3.2 * len(errors), 3.2), layout="constrained")
        panels = figure.subplots(1, len(errors), sharey=True, squeeze=False)[0]
        for axes, relative in zip(panels, errors, strict=True):
            part = {d: found for (d, r), found in sorted(curves.items()) if r == relative}
            _panel(axes, relative, part)
        panels[0].set_ylabel("failure rate")
        panels[0].legend(frameon=False)
        return as_svg(figure)


@contextmanager
def paper_look() -> Iterator[Any]:
    """matplotlib's `Figure`, to be drawn on inside.

    Raises:
        Missing: matplotlib is not installed.
    """
    matplotlib, figure = need("matplotlib", "a figure"), need("matplotlib.figure", "a figure")
    # Text stays text; a fixed salt and no date make the bytes repeat.
    with matplotlib.rc_context({"svg.hashsalt": "plateau", "svg.fonttype": "none", "font.size": 9}):
        yield figure.Figure


def as_svg(figure: Any) -> bytes:
    """The bytes of a figure; to be called inside `paper_look`."""
    data = io.BytesIO()
    figure.savefig(data, format="svg", metadata={"Date": None})
    return data.getvalue()


def _panel(axes: Any, relative: float, part: dict[int, dict[str, Any]]) -> None:
    """Curves of one error; a vertical line of the curve's look where half should fail."""
    last = max(size for found in part.values() for size in found["sizes"])
    for (d, found), (color, line, marker) in zip(part.items(), LOOKS, strict=False):
        axes.plot(
            found["sizes"], found["rates"], color=color, linestyle=line, marker=marker,
            markersize=4, label=f"d = {d}",
        )  # fmt: skip
        if found["predicted_size"] <= last:
            axes.axvline(found["predicted_size"], color=color, linestyle=line, linewidth=0.8)
    axes.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="test points N")
    axes.set_title(f"RMSE/sd = {relative:g}; thin: predicted half", fontsize=9)
