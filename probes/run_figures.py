"""The figures of `probes run`, as SVG, readable in grayscale."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from certify.report.numbers import rounded
from probes.changes import Segment
from probes.figures import as_svg, paper_look
from probes.running import Probing

WIDE = (7.0, 3.6)
STEEP = 20  # largest slope in parts of the median from which on the axis is logarithmic
STAIR = {"linewidth": 0.8, "color": "0.45"}


def figures(found: Probing) -> dict[str, bytes]:
    """Every figure under its file name; attention only where the model has some.

    Raises:
        Missing: matplotlib is not installed.
    """
    drawers: dict[str, Callable[[Probing, Any], None]] = {
        "envelope.svg": envelope,
        "error.svg": error,
        "variation.svg": variation,
        "plateaus.svg": plateaus,
        "spectrum.svg": spectrum,
    }
    if found.attention:
        drawers["attention.svg"] = attention
    out = {}
    for name, draw in drawers.items():
        with paper_look() as new:
            figure = new(figsize=WIDE, layout="constrained")
            draw(found, figure)
            out[name] = as_svg(figure)
    return out


def envelope(found: Probing, figure: Any) -> None:
    """Model and target, and the proved range of the model on every cell."""
    axes, samples = figure.subplots(), found.samples
    lo, hi = found.report.known.range.tolist()
    edges = _edges(found)
    axes.stairs(hi, edges, baseline=lo, fill=True, color="0.87")
    axes.stairs(hi, edges, baseline=None, label="proved range on each cell", **STAIR)
    axes.stairs(lo, edges, baseline=None, **STAIR)
    axes.plot(samples.x, samples.target, "k--", linewidth=2.2, alpha=0.55,
              label=found.report.target.name)  # fmt: skip
    axes.plot(samples.x, samples.model, "k-", linewidth=0.9, label="model")
    axes.set(xlabel="x", title="Model, target, and what is proved of the model cell by cell")
    axes.legend(frameon=False)


def error(found: Probing, figure: Any) -> None:
    """model - target between the proved sup error, with the witness."""
    axes, samples, known = figure.subplots(), found.samples, found.report.known
    axes.plot(samples.x, samples.error, "k-", linewidth=0.9, label="model - target, sampled")
    lo, hi = found.report.known.cell_sup.tolist()
    axes.stairs(hi, _edges(found), baseline=None, **STAIR, label="proved bound of each cell")
    axes.stairs([-v for v in hi], _edges(found), baseline=None, **STAIR)
    sup = known.sup[1]
    if math.isfinite(sup):
        text = f"proved: at most {rounded(sup, 5, up=True)}"
        for sign in (1, -1):
            axes.axhline(sign * sup, color="black", linestyle="--", linewidth=1,
                         label=text if sign > 0 else None)  # fmt: skip
        axes.set_ylim(-1.5 * sup, 1.5 * sup)
    for witness in known.witness:
        best = int((samples.x - witness).abs().argmin())
        side = math.copysign(known.sup[0], float(samples.error[best]))
        axes.plot([witness], [side], "o", color="black", markerfacecolor="white",
                  markersize=7, label=f"witness, x = {witness:.6g}")  # fmt: skip
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel="x", title="Error")
    axes.legend(frameon=False, ncols=2, loc="upper center")


def variation(found: Probing, figure: Any) -> None:
    """Per cell: proved variation of model and target, and tau times the target's."""
    axes, known, tau = figure.subplots(), found.report.known, found.report.options.tau
    edges = _edges(found)
    middles = [(a + b) / 2 for a, b in zip(edges, edges[1:], strict=False)]
    high = known.variation[1].tolist()
    theirs = known.target_variation.tolist()
    axes.stairs(high, edges, fill=True, color="0.8", label="model: at most, proved")
    axes.stairs(theirs[0], edges, baseline=None, color="black", linewidth=1.4,
                label="target: at least, proved")  # fmt: skip
    below = [tau * v for v in theirs[0]]
    axes.stairs(below, edges, baseline=None, color="black", linestyle=":", linewidth=1.2,
                label=f"{tau:g} times that: a plateau is below")  # fmt: skip
    axes.plot(middles, found.intervals.model, "kx", markersize=4, label="model: sampled")
    axes.set(xlabel="x", ylabel="variation on a cell", title="Variation, cell by cell")
    positive = [v for v in [*below, *found.intervals.model.tolist()] if 0 < v < math.inf]
    if positive:
        finite = [v for v in (*high, *theirs[0]) if 0 < v < math.inf]
        axes.set_yscale("log")
        axes.set_ylim(min(positive) / 2, 6 * max(finite, default=1.0))
    axes.legend(frameon=False, ncols=2, loc="upper center")


def plateaus(found: Probing, figure: Any) -> None:
    """Segments between change points, of values above and of slopes below."""
    above, under = figure.subplots(2, 1, sharex=True)
    samples, cut = found.samples, found.changes
    rows = (above, cut.values, samples.model, "value"), (under, cut.slopes, samples.slope, "slope")
    for axes, parts, signal, name in rows:
        axes.plot(samples.x, signal, color="0.6", linewidth=2.5)
        for k, part in enumerate(parts):
            inside = (samples.x >= part.lo) & (samples.x <= part.hi)
            level = float(signal[inside].mean())
            axes.plot([part.lo, part.hi], [level, level], color="black", linewidth=1.1,
                      label="segment, at its mean" if k == 0 else None)  # fmt: skip
            if part.plateau:
                axes.axvspan(part.lo, part.hi, color="0.88", zorder=0)
        axes.set_ylabel(name)
        usual, most = float(signal.abs().median()), float(signal.abs().max())
        if name == "slope" and most > STEEP * usual > 0:
            axes.set_yscale("symlog", linthresh=2 * usual)
        axes.set_title(_counted(parts, name), fontsize=9)
    longest = found.report.longest[2]
    if longest is not None:
        for axes in (above, under):
            axes.axvspan(*longest, facecolor="none", edgecolor="black", hatch="///", alpha=0.35,
                         label="longest proved plateau")  # fmt: skip
    above.legend(frameon=False, fontsize=8)
    under.set_xlabel("x")


def _counted(parts: tuple[Segment, ...], name: str) -> str:
    flat = sum(part.plateau for part in parts)
    return f"{len(parts)} segments of {name}s, {flat} of them plateaus (shaded)"


def spectrum(found: Probing, figure: Any) -> None:
    """Power of the error, and where steps of width delta* would show."""
    axes, s = figure.subplots(), found.spectrum
    shown = s.power > 0
    axes.loglog(s.frequency[shown], s.power[shown], "k-", linewidth=0.9, label="error, sampled")
    if found.step is not None and 1 / found.step <= s.nyquist:
        axes.axvline(1 / found.step, color="0.4", linestyle="--", label="1 / delta*")
    elif found.step is not None:
        axes.plot([], [], " ", label=f"1 / delta* = {1 / found.step:.4g}, beyond this axis")
    axes.set(xlabel="periods in a unit of x", ylabel="power", title="Spectrum of the error")
    axes.legend(frameon=False)


def attention(found: Probing, figure: Any) -> None:
    """The largest weight of a row of each softmax: mean, and least to most."""
    rows = found.attention
    panels = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for k, (axes, one) in enumerate(zip(panels, rows, strict=True)):
        axes.fill_between(one.x, one.least, one.most, color="0.85", label="least to most")
        axes.plot(one.x, one.mean, "k-", linewidth=1, label="mean of all rows")
        axes.axhline(1 / one.keys, color="0.4", linestyle=":", label=f"even: 1/{one.keys}")
        axes.set(xlabel="x", ylim=(0, 1.03), title=f"softmax {k}")
    panels[0].set_ylabel("largest weight of a row")
    panels[0].legend(frameon=False, fontsize=8)


def _edges(found: Probing) -> list[float]:
    cells = found.report.cells[:, 0]
    return [*cells[:, 0].tolist(), float(cells[-1, 1])]
