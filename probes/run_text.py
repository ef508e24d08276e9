"""`probes run` in words: verdicts first, then every number with the method it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from certify.report.numbers import interval, place, rounded
from certify.report.text import block
from certify.report.words import paragraph
from certify.verdict import Verdict
from probes.changes import Segment
from probes.intervals import compared, ratios
from probes.running import Probing

SHOWN = 3


def render(found: Probing) -> str:
    """The whole report, without color."""
    return "\n".join(block(head, lines) for head, lines in _blocks(found))


def _blocks(found: Probing) -> Iterator[tuple[str, list[str]]]:
    report = found.report
    closed = Verdict.PROVED if report.closed else Verdict.UNDECIDED
    lo, hi = report.options.domain
    yield (
        closed.value,
        [
            f"sup |model - {report.target.term}| on [{lo!r}, {hi!r}] lies in "
            f"{interval(*report.known.sup)}, at {place(report.known.witness)}"
        ],
    )
    tau = report.options.tau
    yield (
        report.plateaus.overall().value,
        [
            f"the model has a {tau!r}-plateau on some of {len(report.cells)} cells (theorem D3)",
        ],
    )
    yield "sandwich", [_sandwich(found)]
    yield "in words", [paragraph(report)]
    yield "sup error", _extremes(found)
    yield "intervals", _intervals(found)
    yield "differences", _differences(found)
    yield "Lipschitz", _lipschitz(found)
    yield "changes", list(_changes(found))
    yield "spectrum", _spectrum(found)
    if found.attention:
        yield "attention", _attention(found)
    yield "checked", _checked(found)
    searched = report.outcome.seconds + report.slopes.outcome.seconds
    yield "time", [f"certified in {searched:.1f} s, probed in {found.seconds:.1f} s"]


def _sandwich(found: Probing) -> str:
    held = found.held
    count, idle = (sum(getattr(h, name) for h in held) for name in ("count", "idle"))
    vacuous = f"; {idle} of them against no finite bound" if idle else ""
    proved = sum(h.rounding for h in held)
    rounding = f"; {proved} needed a proof at their place, being out by rounding" if proved else ""
    return f"{count} comparisons, sampled <= certified, hold; violations: 0{vacuous}{rounding}"


def _extremes(found: Probing) -> list[str]:
    largest, lo = found.extremes, found.report.known.sup[0]
    best = int(largest.proved.argmax())
    value = float(largest.proved[best])
    share = f", {100 * value / lo:.6g} % of the certified lower end" if lo > 0 else ""
    return [
        f"{rounded(value, 6, up=False)} or more at x = {float(largest.x[best]):.17g}{share}; "
        f"{largest.held.method}; proved there"
    ]


def _intervals(found: Probing) -> list[str]:
    cells, tested = found.report.cells, found.intervals
    ratio, tight = ratios(tested), compared(found.report.known, tested)
    ratio = ratio.masked_fill(~found.report.plateaus.deciding, float("nan"))
    lines = []
    if bool(ratio.isfinite().any()):
        least = int(ratio.nan_to_num(nan=float("inf")).argmin())
        where = cells[least, 0].tolist()
        lines.append(
            "least oscillation in parts of the target's, where that decides: "
            f"{float(ratio[least]):.4g}, on cell {least}, {where}; sampled"
        )
    lines.append(
        f"samples show {100 * float(tight.min()):.5g} % or more of every cell's proved variation; "
        f"{found.held[2].method}, extremes proved"
    )
    return lines


def _differences(found: Probing) -> list[str]:
    d = found.differences
    n = len(d.x)
    words = {w: d.order.count(w) for w in ("second", "hidden", "rough")}
    width = d.certified[1] - d.certified[0]
    shown = f"{float(width.median()):.2g} wide, widest {float(width.max()):.2g}"
    return [
        f"central, steps {float(d.step.min()):.2g} to {float(d.step.max()):.2g} from the proved "
        f"rounding error; Richardson. One probe in each of {n} cells",
        f"inside the proved slopes as they are: {int(d.inside.sum())} of {n}; extrapolated, give "
        f"or take their error: {int(d.meets.sum())} of {n}; median enclosure {shown}",
        f"rounding {float(d.rounding.max()):.2g} at most, proved; truncation "
        f"{float(d.truncation.max()):.2g} at most, estimated",
        f"error of second order: {words['second']}; hidden by rounding: {words['hidden']}; "
        f"rough, as at a kink: {words['rough']}",
        f"autograd within that error: {int(d.agrees.sum())} of {n}; largest difference "
        f"{float((d.autograd - d.richardson).abs().max()):.2g}",
    ]


def _lipschitz(found: Probing) -> list[str]:
    slope = found.intervals.slope
    cell = int(slope.argmax())
    lo, hi = found.report.slopes.lipschitz
    return [
        f"sampled {float(slope[cell]):.6g}, on cell {cell}, by autograd; least on cell "
        f"{int(slope.argmin())}, {float(slope.min()):.4g}; certified {interval(lo, hi)}"
    ]


def _changes(found: Probing) -> Iterator[str]:
    for name, parts, scale in zip(
        ("values", "slopes"),
        (found.changes.values, found.changes.slopes),
        found.changes.scales,
        strict=True,
    ):
        if scale is None:
            yield f"{name}: not cut, since no finite positive error scales the penalty"
            continue
        widths = sorted(s.width for s in parts)
        yield (
            f"{name}: {len(parts)} segments by PELT at scale {scale:.3g}, median "
            f"{widths[len(widths) // 2]:.3g} wide, longest {widths[-1]:.3g}; "
            f"{sum(s.plateau for s in parts)} of them plateaus"
        )
    lo, hi, _ = found.report.longest
    yield (
        f"longest plateau: sampled {_longest(found.changes.plateaus)}; certified "
        f"{interval(lo, hi, most=5)}"
    )
    if found.step is not None:
        yield f"the paper's steps at the proved accuracy: delta* = {found.step:.3g}"


def _longest(plateaus: list[Segment]) -> str:
    if not plateaus:
        return "none"
    return f"{plateaus[0].width:.4g}, [{plateaus[0].lo!r}, {plateaus[0].hi!r}]"


def _spectrum(found: Probing) -> list[str]:
    s = found.spectrum
    if s.dominant != s.dominant:
        return ["the sampled error does not vary"]
    lines = [
        f"{100 * s.share:.3g} % of the error's power about {s.dominant:.4g} periods in a unit, "
        f"99 % below {s.band:.4g}; Hann periodogram, samples resolve {s.nyquist:.4g}"
    ]
    if found.step is not None:
        seen = "" if 1 / found.step <= s.nyquist else ", beyond what these samples resolve"
        lines.append(f"steps of width delta* would show at {1 / found.step:.4g}{seen}")
    return lines


def _attention(found: Probing) -> list[str]:
    return [
        f"softmax {k}: largest weight of a row {float(a.least.min()):.3g} to "
        f"{float(a.most.max()):.3g}, mean {float(a.mean.mean()):.3g} (even: "
        f"{1 / a.keys:.3g}, saturated: 1)"
        for k, a in enumerate(found.attention)
    ]


def _checked(found: Probing) -> list[str]:
    return [f"{h.says}: {h.count}" + (f", {h.idle} against no finite bound" if h.idle else "")
            for h in found.held]  # fmt: skip
