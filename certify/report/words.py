"""A report as a few sentences that a reader of the paper understands."""

from __future__ import annotations

import math
from collections.abc import Iterator

import sympy as sp
from flint import ctx

from certify.checking import Report
from certify.report.numbers import box, interval, percent, rounded
from certify.structure import Readout
from certify.verdict import Verdict
from theory.claims import FLAT
from theory.intervals import number
from theory.resolution import delta_star, eps


def paragraph(report: Report) -> str:
    """Is it piecewise constant, at what resolution, and why: in whole sentences."""
    parts = [*_together(report), _answer(report), *_resolution(report), *_smoothness(report)]
    parts += _rows(report) if report.together else _readout(report)
    return " ".join([*parts, *_slopes(report)])


def _together(report: Report) -> Iterator[str]:
    """What is meant by an error and a variation of several outputs."""
    if report.together is not None:
        count, norm = len(report.together.parts), report.options.measure
        yield (
            f"This is about {count} output{'s' if count > 1 else ''} together: errors are measured "
            f"in the {norm}, and a cell's variation is the largest distance, in it, between two "
            "output vectors on the cell (theorem A1-norm)."
        )


def _answer(report: Report) -> str:
    found, known, tau = report.plateaus, report.known, report.options.tau
    name, deciding = report.target.noun, found.deciding
    widths = (report.cells[..., 1] - report.cells[..., 0]).amax(1)[deciding]
    if report.known.target_total[0] <= 0:
        return f"Plateaus are not an issue here: {name} is not proved to vary on the domain."
    if not len(widths) and (
        bool(found.possible.any()) or (report.longest and report.longest[1] > 0)
    ):
        return f"Whether this model has plateaus is not decided: {name} is not yet bracketed."
    if not len(widths):
        return f"Plateaus are not an issue here: on no cell does {name} vary enough for one."
    width, count = float(widths.max()), len(widths)
    verdict = found.overall()
    if verdict is Verdict.REFUTED:
        share = float((known.variation[0] / known.target_variation[1])[deciding].min())
        cells = "the one cell" if count == 1 else f"all {count} cells"
        cells += " that decide" if count < len(report.cells) else ""
        return (
            f"This model is not piecewise constant at resolution {width:g}: on {cells} its output "
            f"varies by at least {percent(share)} of {name}'s variation."
        )
    if verdict is Verdict.PROVED:
        cell = found.telling(known)
        ours, theirs = float(known.variation[1, cell]), float(known.target_variation[0, cell])
        return (
            f"This model has plateaus: on {box(report.cells[cell].tolist())} its output varies by "
            f"at most {rounded(ours, 3, up=True)}, where {name} varies by "
            f"{rounded(theirs, 3, up=False)} or more (theorem D3)."
        )
    return (
        f"Whether this model is piecewise constant at resolution {width:g} is not decided: "
        f"no cell is a proved {tau!r}-plateau, and not every one is excluded."
    )


def _resolution(report: Report) -> Iterator[str]:
    """The certified resolution, beside the width of steps at the accuracy that is proved."""
    if report.longest is None:
        return  # several inputs
    (lo, hi, window), tau, name = report.longest, report.options.tau, report.target.noun
    if report.known.target_total[0] <= 0:
        return  # no window decides
    if hi == 0:
        yield (
            f"Certified resolution: at no width is a window a {tau!r}-plateau where {name} varies "
            f"by {FLAT:g} of its total or more (theorem D5)."
        )
    elif window is None:
        yield f"Certified resolution: no {tau!r}-plateau is wider than {rounded(hi, 4, up=True)}."
    else:
        yield (
            f"Certified resolution: the longest {tau!r}-plateau is {interval(lo, hi, most=5)} "
            f"wide, e.g. [{window[0]!r}, {window[1]!r}] (theorem D5)."
        )
    steps = step_width(report)
    if steps is not None:
        accuracy = rounded(report.known.sup[1], 4, up=True)
        yield (
            f"Steps of equal width that reach the accuracy proved here, {accuracy}, would be "
            f"{steps:.3g} wide (theorem A3)."
        )


def step_width(report: Report) -> float | None:
    """delta*(eps) at the proved accuracy, where the theory has it in closed form."""
    worst, target = report.known.sup[1], report.target
    width = delta_star(target.name, target.domain)
    if width is None or not math.isfinite(worst) or worst == 0:
        return None
    with ctx.workprec(128):
        try:
            ball = number(width.subs(eps, sp.Rational(*worst.as_integer_ratio())))
        except TypeError:
            return None
    return float(ball.mid()) if ball.is_finite() and ball > 0 else None


def _smoothness(report: Report) -> Iterator[str]:
    if report.structure.smoothness == "constant":
        yield "It is constant: nothing leads from its input to its output."
    elif report.structure.smoothness == "analytic":
        several = report.target.variables > 1
        where = "box unless everywhere" if several else "interval unless on the whole line"
        yield f"It is real-analytic, so constant on no {where} (D1)."
    elif report.structure.smoothness == "piecewise analytic":
        yield "It is continuous and piecewise analytic (D1)."


def _readout(report: Report) -> Iterator[str]:
    readout = report.structure.readout
    if readout is None:
        return
    if readout.range is None:
        yield (
            f"Its last LayerNorm, over {readout.features} features, is followed by a linear map: "
            "theorem C1 does not confine it."
        )
        return
    lo, hi = readout.range
    if readout.features == 1:
        yield f"It ends in a LayerNorm over one feature: it is the constant {lo!r} (theorem C0)."
    else:
        yield (
            f"It ends in a LayerNorm over {readout.features} features without a linear head: "
            f"whatever its weights before, it stays in {interval(lo, hi)} (theorem C1)."
        )
    floor = layer_norm_floor(report, readout)
    if floor > 0:
        yield f"So its error is at least {rounded(floor, 4, up=False)} (theorem A1')."


def _rows(report: Report) -> Iterator[str]:
    """What a last LayerNorm says of all outputs together."""
    readout, found = report.structure.readout, report.together
    if readout is not None and readout.head:
        yield (
            f"Its last LayerNorm, over {readout.features} features, is followed by a linear map: "
            "theorem C2 does not speak of it."
        )
    if found.floor > 0:
        yield (
            "Outputs are all features of a LayerNorm without a linear head, and their targets "
            "depend on different inputs: whatever the weights, also of the LayerNorm, the error "
            f"is at least {rounded(found.floor, 4, up=False)} (theorem C2)."
        )
    if found.own_floor > 0:
        yield (
            "It ends in a LayerNorm without a linear head: whatever the weights before it, the "
            f"error is at least {rounded(found.own_floor, 4, up=False)} (theorem C2-own)."
        )


def layer_norm_floor(report: Report, readout: Readout) -> float:
    """What the readout's range leaves of the target's: no training goes below this error."""
    if readout.range is None:
        return 0.0
    lo, hi = readout.range
    least, most = (
        float(report.known.target_inner[0].min()),
        float(report.known.target_inner[1].max()),
    )
    floors = (most - hi, lo - least)
    return max(0.0, *(math.nextafter(f, -math.inf) for f in floors if math.isfinite(f)))


def _slopes(report: Report) -> Iterator[str]:
    found = report.slopes
    if found is None:
        return
    lo, hi = found.least[0], found.greatest[1]
    kind = "non-decreasing" if lo >= 0 else "non-increasing" if hi <= 0 else None
    yield f"Its slopes lie in {interval(lo, hi)}" + (
        f": it is {kind} (theorem D4)." if kind else "."
    )
