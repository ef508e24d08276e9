"""What a drawing is: axes, marks and a legend, in pixels; the templates write it as SVG."""

from __future__ import annotations

from dataclasses import dataclass, replace

from certify.checking import Report
from certify.report.axes import Axis, Tick, axis

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960, 78, 18, 16, 46


@dataclass(frozen=True)
class Mark:
    """One thing drawn. kind: path, point, text or rect; cls: its class in the style sheet."""

    kind: str
    cls: str
    d: str = ""
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0
    text: str = ""
    title: str = ""
    anchor: str = "start"


@dataclass(frozen=True)
class Plot:
    """A drawing with its axes, or the reason why there is none.

    `legend` pairs a class with what it stands for; `says` is read to those who do not see it.
    """

    name: str
    title: str
    says: str
    height: int = 0
    missing: str = ""
    x_label: str = ""
    y_label: str = ""
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    marks: tuple[Mark, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = 0


def finished(plot: Plot, x: Axis, y: Axis) -> Plot:
    """The plot with the ticks of its axes."""
    ticks = {"x_ticks": tuple(x.ticks(8)), "y_ticks": tuple(y.ticks(5))}
    return replace(plot, bottom=plot.height - BOTTOM, **ticks)


def across(report: Report) -> Axis:
    """The axis of the input variable."""
    return axis(list(report.options.domain), LEFT, WIDTH - RIGHT)


def variable(report: Report) -> str:
    """What that axis is called."""
    return "x" if report.model.curve is None else "t, along the curve"
