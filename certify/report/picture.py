"""The drawings that answer the question as one SVG file: the error, and the variation of cells.

It is made of the marks of the HTML page. The file has its own background and both color schemes,
so it can be read wherever it is shown, and nothing in it is loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from certify.checking import Report
from certify.report.clean import shown
from certify.report.drawing import WIDTH, Plot
from certify.report.html import environment
from certify.report.plots import plots

DRAWN = ("error", "variation")
EDGE, HEAD, KEY = 20, 44, 24  # pixels: around, for a title, for a line of a legend
LETTER = 7.0  # no less than an average letter of a legend is wide


def render(report: Report) -> str:
    """The picture; of several variables or outputs, or where nothing is finite, a sentence."""
    panels, top = [], EDGE
    for plot in () if report.together else plots(report):
        if plot.name in DRAWN and not plot.missing:
            keys = list(_keys(plot))
            panels.append((plot, top, keys))
            top += HEAD + plot.height + KEY * (keys[-1][0] + 1) + EDGE
    return environment().get_template("picture.svg.j2").render(
        panels=panels, width=WIDTH + 2 * EDGE, height=top + HEAD * (not panels), edge=EDGE,
        head=HEAD, key=KEY, title=shown(f"{report.model.path} against {report.target.name}"),
    )  # fmt: skip


def _keys(plot: Plot) -> Iterator[tuple[int, float, str, str]]:
    """Line, pixels from the left, class and words of each entry of a legend, in lines of words."""
    line, left = 0, 0.0
    for cls, text in plot.legend:
        wide = 56 + LETTER * len(text)
        if left and left + wide > WIDTH:
            line, left = line + 1, 0.0
        yield line, left, cls, text
        left += wide
