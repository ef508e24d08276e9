"""The report's drawings over the domain, and of the bracket over time.

Curves are plain float64 samples, for the eye. Boxes and straight lines are what was proved; where
many leaves share a pixel they are drawn as their hull, which is proved too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from certify.checking import Report
from certify.evaluate import evaluate
from certify.report.axes import Axis, axis, boxes, line, stairs
from certify.report.bars import variation
from certify.report.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Mark,
    Plot,
    across,
    finished,
    variable,
)
from certify.report.numbers import place, rounded
from certify.search import DIFFERENCE, MODEL, Leaves, Problem

SAMPLES = 641  # of a curve
COLUMNS = 480  # leaves drawn next to each other


def plots(report: Report) -> list[Plot]:
    """Everything that can be drawn; what cannot be is there with the reason."""
    found: list[Plot] = []
    if report.target.variables == 1:
        found += [_envelope(report), _error(report), variation(report)]
        if report.slopes is not None:
            found.append(_slopes(report))
    return [*found, gap_plot(report.outcome.trace, report.options.gap)]


def hulls(leaves: Leaves, which: int) -> list[tuple[float, float, float, float]]:
    """(left, right, lo, hi) of one output over neighboring leaves, at most COLUMNS of them."""
    order = torch.argsort(leaves.box[:, 0, 0])
    box, (lo, hi) = leaves.box[order, 0], leaves.bounds[which][:, order]
    per = -(-len(box) // COLUMNS)
    parts = [slice(i, i + per) for i in range(0, len(box), per)]
    return [
        (float(box[p][0, 0]), float(box[p][-1, 1]), float(lo[p].min()), float(hi[p].max()))
        for p in parts
    ]


def _samples(problem: Problem) -> tuple[list[float], dict[str, list[float]]]:
    """Values of every output on an even grid, not proved."""
    lo, hi = float(problem.cells.min()), float(problem.cells.max())
    t = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)
    x = (lo * (1 - t) + hi * t).clamp(lo, hi)
    values = evaluate(problem.graph, x.reshape(-1, *problem.graph.input_shape))
    return x.tolist(), {name: v.reshape(-1).tolist() for name, v in values.items()}


def _envelope(report: Report) -> Plot:
    """Target, model, and the boxes that the model's graph is proved to lie in."""
    height, problem = 340, report.outcome.problem
    name, title = "envelope", "Model, target and certified envelope"
    places, values = _samples(problem)
    y = axis([*values["model"], *values["target"]], height - BOTTOM, TOP, pad=0.06)
    if y is None:
        return Plot(name, title, "", missing="No sample of model or target is finite.")
    x, rows = across(report), hulls(report.outcome.state.leaves, MODEL)
    known = [row for row in rows if all(map(math.isfinite, row))]
    open_rows = [row for row in rows if row not in known]
    window = report.longest[2]
    marks = [Mark("path", "envelope", boxes(known, x, y))]
    legend = [
        ("model", "model (samples)"),
        ("target", f"target {report.target.name} (samples)"),
        ("envelope", "certified envelope: the model's graph lies inside, for every real input"),
    ]
    if open_rows:
        marks.append(Mark("path", "unbounded", boxes(open_rows, x, y)))
        legend.append(("unbounded", "no finite bound is proved here"))
    if window is not None:
        marks.insert(0, Mark("path", "window", boxes([(*window, -math.inf, math.inf)], x, y)))
        legend.append(("window", f"a proved {report.options.tau:g}-plateau, the longest known"))
    curves = [(c, line(zip(places, values[c], strict=True), x, y)) for c in ("model", "target")]
    marks += [Mark("path", c, d) for c, d in curves]
    says = (
        f"Model and target over the domain. {len(known)} boxes enclose the model's graph; "
        f"{len(open_rows)} places have no finite bound."
    )
    plot = Plot(name, title, says, height, x_label=variable(report), y_label="value",
                marks=tuple(marks), legend=tuple(legend))  # fmt: skip
    return finished(plot, x, y)


def _error(report: Report) -> Plot:
    """model - target, its proved bounds on every leaf, and the bracket of the sup error."""
    height, (lo, hi) = 340, report.known.sup
    name, title = "error", "Error: model minus target"
    places, values = _samples(report.outcome.problem)
    error = values["difference"]
    scale = [hi, -hi] if math.isfinite(hi) and hi <= 20 * max(lo, 1e-300) else [lo, -lo]
    y = axis([*error, *scale], height - BOTTOM, TOP, pad=0.12)
    if y is None:
        return Plot(name, title, "", missing="No sample of the error is finite.")
    x, rows = across(report), hulls(report.outcome.state.leaves, DIFFERENCE)
    known = [row for row in rows if all(map(math.isfinite, row))]
    others = [row for row in rows if row not in known]
    left, right = x.start, x.end
    marks = [Mark("path", "envelope", boxes(known, x, y))]
    if others:
        marks.append(Mark("path", "unbounded", boxes(others, x, y)))
    marks.append(Mark("path", "zero", f"M{left} {y.at(0.0):g}H{right}"))
    marks.append(Mark("path", "errorline", line(zip(places, error, strict=True), x, y)))
    legend = [
        ("errorline", "error (samples)"),
        ("envelope", "proved bounds of the error, leaf by leaf"),
        ("reached", f"reached: |error| is at least {rounded(lo, 6, up=False)} somewhere"),
    ]
    for side in (lo, -lo):
        marks.append(Mark("path", "reached", f"M{left} {y.at(side):g}H{right}"))
    if math.isfinite(hi) and y.lo <= -hi and hi <= y.hi:
        most = rounded(hi, 6, up=True)
        marks += [Mark("path", "bound", f"M{left} {y.at(s):g}H{right}") for s in (hi, -hi)]
        legend.append(("bound", f"proved: |error| is at most {most} everywhere"))
        says = f"proved: |error| <= {most} everywhere"
        marks.append(Mark("text", "boundtext", x=left + 8, y=y.at(hi) - 6, text=says))
    elif math.isfinite(hi):
        most = rounded(hi, 6, up=True)
        legend.append(("bound", f"proved bound {most}, beyond this drawing"))
    marks += _witness(report, x, y)
    says = (
        f"The error stays below {rounded(hi, 6, up=True)} and reaches "
        f"{rounded(lo, 6, up=False)} at {place(report.known.witness)}."
    )
    plot = Plot(name, title, says, height, x_label=variable(report), y_label="model - target",
                marks=tuple(marks), legend=tuple(legend))  # fmt: skip
    return finished(plot, x, y)


def _witness(report: Report, x: Axis, y: Axis) -> Iterator[Mark]:
    """Where the lower bound is proved: with the sign that the point itself has."""
    points = report.outcome.state.points
    if not report.known.witness:
        return
    (at,) = report.known.witness
    best = int(points.error().argmax())
    low, high = points.bounds[DIFFERENCE][:, best].tolist()
    value = low if abs(low) <= abs(high) else high
    if not math.isfinite(value):
        return
    left, height = x.at(at), y.at(value)
    end = left > (x.start + x.end) / 2
    yield Mark("point", "witness", x=left, y=height, title=f"witness x = {at!r}")
    down = 22 if value > 0 else -12
    says = f"witness {'x' if report.model.curve is None else 't'} = {at:.6g}"
    yield Mark("text", "witnesstext", x=left + (-10 if end else 10), y=height + down, text=says,
               anchor="end" if end else "start")  # fmt: skip


def _slopes(report: Report) -> Plot:
    """The model's derivative: samples, and its certified envelope."""
    height, found = 300, report.slopes
    name, title = "slopes", "The model's slope and its certified envelope"
    places, values = _samples(found.problem)
    y = axis([*values["model"], 0.0], height - BOTTOM, TOP, pad=0.08)
    if y is None:
        return Plot(name, title, "", missing="No sample of the derivative is finite.")
    x, rows = across(report), hulls(found.outcome.state.leaves, MODEL)
    marks = [
        Mark("path", "envelope", boxes(rows, x, y)),
        Mark("path", "zero", f"M{x.start} {y.at(0.0):g}H{x.end}"),
        Mark("path", "model", line(zip(places, values["model"], strict=True), x, y)),
    ]
    legend = (("model", "the model's slope (samples)"),
              ("envelope", "certified envelope: no slope leaves it"))  # fmt: skip
    least, greatest = rounded(found.least[0], 6, up=False), rounded(found.greatest[1], 6, up=True)
    says = f"All slopes lie between {least} and {greatest}."
    plot = Plot(name, title, says, height, x_label=variable(report), y_label="slope",
                marks=tuple(marks), legend=legend)  # fmt: skip
    return finished(plot, x, y)


def gap_plot(trace: Sequence[tuple[float, float, float]], asked: float) -> Plot:
    """hi / lo - 1 of the sup-error bracket against seconds."""
    height, name, title = 250, "gap", "How the bracket closed: gap against time"
    gaps = [(t, hi / lo - 1) for t, lo, hi in trace if lo > 0 and math.isfinite(hi)]
    gaps = [(t, max(g, 1e-16)) for t, g in gaps if math.isfinite(g)]
    if not gaps:
        return Plot(name, title, "", missing="The bracket never had two finite, positive ends.")
    x = axis([0.0, trace[-1][0]], LEFT, WIDTH - RIGHT)
    found = [g for _, g in gaps] + [asked]
    y = Axis(min(found) / 2, max(found) * 2, height - BOTTOM, TOP, log=True)
    path = stairs([*gaps, (trace[-1][0], gaps[-1][1])], x, y)
    early = [(0.0, gaps[0][0], 0.0, math.inf)] if gaps[0][0] > 0 else []
    marks = [
        Mark("path", "unbounded", boxes(early, x, y)),
        Mark("path", "tau", f"M{x.start} {y.at(asked):g}H{x.end}"),
        Mark("path", "gapline", path),
        *(Mark("point", "gapdot", x=x.at(t), y=y.at(g), title=f"{t:.3g} s: {g:.3g}") for t, g
          in (gaps if len(gaps) <= 60 else gaps[-1:])),
    ]  # fmt: skip
    legend = (("gapline", "hi / lo - 1 of the sup error's bracket"),
              ("tau", f"the gap asked for, {asked:g}"),
              ("unbounded", "not yet two finite, positive ends"))  # fmt: skip
    first, last = gaps[0], gaps[-1]
    says = f"From {first[1]:.3g} after {first[0]:.3g} s to {last[1]:.3g} after {trace[-1][0]:.3g} s"
    plot = Plot(name, title, says, height, x_label="seconds", y_label="gap", marks=tuple(marks),
                legend=legend)  # fmt: skip
    return finished(plot, x, y)
