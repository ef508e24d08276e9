"""A report in words for a terminal: verdict first, then the numbers that decide it."""

from __future__ import annotations

import math
import textwrap

from certify.checking import Report
from certify.report.numbers import agreed, box, interval, on, percent, place, rounded
from certify.report.strip import strip
from certify.report.words import paragraph
from certify.run import Progress
from certify.verdict import Claim, Verdict
from theory.claims import FLAT, OPPOSITE
from theory.windows import Pair

INDENT = 12
WIDTH = 88
SHOWN = 4  # intervals of a list
MOST_OUTPUTS = 8  # one line each
UNASKED = "(not asked for: no effect on the exit code; --no-plateau asks)"


def block(head: str, lines: list[str]) -> str:
    """`head` in the margin, the lines beside it."""
    whole = textwrap.TextWrapper(WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
    wrapped = [part for line in lines for part in whole.wrap(line) or [""]]
    first, *rest = wrapped
    return "\n".join([f"{head:<{INDENT}}{first}", *(" " * INDENT + line for line in rest)])


def render(report: Report) -> str:
    """The whole report, without color."""
    claims = [block(c.verdict.value, _claim(report, c)) for c in report.claims]
    sup = _sup(report, heading=not any(c.label == "within" for c in report.claims))
    words = block("in words", [paragraph(report)])
    rest = [*_sliding(report), words, *_slopes(report), _checks(report), _search(report)]
    above = [*_float32(report), *_outputs(report), *_plateaus(report), *_strip(report)]
    return "\n".join([*claims, *sup, *above, *rest])


def _float32(report: Report) -> list[str]:
    """Brackets of executions beside those of the real function."""
    found = report.float32
    if found is None:
        return []
    lines = [
        f"sup error in {interval(*report.known.sup)} for every execution in float32,",
        f"and in {interval(*found.real.known.sup)} in real arithmetic",
        f"an execution is within {rounded(found.deviation, 3, up=True)} of the real function; "
        f"torch's own run, at {found.replays} inputs, within {found.observed:.2g}",
        "above and below, what is said of the model holds for every execution in the model of "
        "docs/float32.md, at float32 inputs",
    ]
    return [block("float32", lines)]


def _outputs(report: Report) -> list[str]:
    """The outputs one by one, where the report is about all of them together."""
    if report.together is None:
        return []
    lines, parts = [], report.together.parts
    for number, part in enumerate(parts[:MOST_OUTPUTS]):
        found = interval(*part.known.sup, most=7)
        lines.append(f"output {number} against {part.target.name}: sup error in {found}")
    if len(parts) > MOST_OUTPUTS:
        worst = max(range(len(parts)), key=lambda i: parts[i].known.sup[1])
        found = interval(*parts[worst].known.sup, most=7)
        more = f"{len(parts) - MOST_OUTPUTS} more (--json)"
        lines.append(f"{more}; largest on output {worst}, {found}")
    return [block("outputs", lines)]


def _claim(report: Report, claim: Claim) -> list[str]:
    lines = [claim.says, claim.reason]
    if claim.verdict is Verdict.UNDECIDED:
        lines.append(_why(report))
    if claim.label == "within":
        lo, hi = report.known.sup
        lines[1] = f"sup error in {interval(lo, hi)}, at {place(report.known.witness)}"
        if claim.verdict is Verdict.REFUTED and report.attained:
            ours, theirs = report.attained
            size = max(map(abs, (*ours, *theirs)))
            # As many digits as leave 5 to their difference.
            most = 5 + math.ceil(min(12.0, math.log10(size / lo)))
            ours, theirs = (agreed(*bounds, most) for bounds in (ours, theirs))
            lines.append(f"there the model is {ours} and {report.target.noun} {theirs}")
    return lines


def _sup(report: Report, heading: bool) -> list[str]:
    if not heading:
        return []
    name, known = report.target.term, report.known
    where = on(*report.options.domain, report.target.variables)
    verdict = Verdict.PROVED if report.closed else Verdict.UNDECIDED
    error = report.options.size(f"model - {name}")
    lines = [
        f"sup {error} on {where} lies in {interval(*known.sup)}",
        f"at least {rounded(known.sup[0], 6, up=False)} at {place(known.witness)}",
    ]
    if not report.closed:
        lines.append(f"the bracket is not closed to {_gap(report)}: {_why(report)}")
        lines += ["(not asked for: no effect on the exit code)"] if report.claims else []
    return [block(verdict.value, lines)]


def _gap(report: Report) -> str:
    options = report.options
    absolute = f" or {options.abs_gap:g}" if options.abs_gap else ""
    return f"the gap asked for, {100 * options.gap:g} %{absolute}"


def _why(report: Report) -> str:
    """What stopped the search, and what goes further."""
    limits, stopped = report.options.limits, report.outcome.stopped_by
    if report.float32 is not None and stopped == "resolution":
        return "what executions in float32 may differ leaves no more to gain by splitting"
    return {
        "budget": f"the budget of {limits.budget:g} s is spent: a larger --budget, or --resume",
        "memory": f"the memory of {limits.memory:g} MiB is used up: a larger --memory",
        "interrupt": "interrupted: --resume STATE keeps a search to go on from",
        "resolution": "rounding in float64 leaves no more to gain by splitting; no budget helps",
        "closed": "every bracket is closed, and what decides lies inside: a smaller --gap",
    }.get(stopped, "nothing more can be split")


def _plateaus(report: Report) -> list[str]:
    """Theorem D3 on the cells, where no claim says it already."""
    if any(claim.label == "no-plateau" for claim in report.claims):
        return []
    found, known, tau = report.plateaus, report.known, report.options.tau
    cells, deciding = len(report.cells), int(found.deciding.sum())
    name = report.target.noun
    if not deciding:
        why = f"{name} varies too little (below {FLAT:g} of its total) or is not yet bracketed"
        return [block("UNDECIDED", [f"{tau!r}-plateaus: no cell decides; {why}", UNASKED])]
    verdict, cell = found.overall(), found.telling(known)
    if verdict is Verdict.PROVED:
        says = f"the model has a {tau!r}-plateau (theorem D3)"
        count = f"on {int(found.proved.sum())} of {deciding} deciding cells; e.g. cell {cell}, "
    else:
        says = f"the model has a {tau!r}-plateau on some cell (theorem D3)"
        least = percent(float(known.variation[0, cell] / known.target_variation[1, cell]))
        count = (
            f"on {int((found.refuted & found.deciding).sum())} of {deciding} deciding cells it "
            f"varies by more than {tau!r} times {name}'s variation, by {least} or more on all; "
            f"least on cell {cell}, "
        )
        if verdict is Verdict.UNDECIDED:
            count = count.replace(f", by {least} or more on all", "")
    ours, theirs = (
        interval(*bracket[:, cell].tolist(), most=7)
        for bracket in (known.variation, known.target_variation)
    )
    shown = (
        f"{box(report.cells[cell].tolist())}: variation in {ours}, where {name} varies by {theirs}"
    )
    flat = cells - int(found.possible.sum())
    unclear = cells - flat - deciding
    tail = [f"{flat} of {cells} cells decide nothing: {name} is flat there"] if flat else []
    if unclear:
        tail.append(f"on {unclear} of {cells} cells the variation of {name} is not bracketed yet")
    return [block(verdict.value, [says, count + shown, *tail, UNASKED])]


def _strip(report: Report) -> list[str]:
    """One sign a cell; over several input variables there is no order to show them in."""
    cells, options, variables = report.cells, report.options, report.target.variables
    if variables == 1:
        lo, hi = options.domain
        return [block("cells", strip(report.plateaus.cells, f"{lo!r} to {hi!r}"))]
    side = round(len(cells) ** (1 / variables))
    grid = " x ".join([str(side)] * variables) if variables <= 4 else f"{side}^{variables}"
    most = f"of at most {options.cells}" if options.width is None else f"{options.width!r} wide"
    many = "s" if len(cells) > 1 else ""
    return [block("cells", [f"{len(cells)} cell{many} ({grid}, {most})"])]


def _sliding(report: Report) -> list[str]:
    """Windows of one width, where they were asked for and no claim says it already."""
    found = report.sliding
    if found is None or found in report.claims:
        return []
    says = (
        f"the model has a {report.options.tau!r}-plateau on some window of width "
        f"{report.options.windows!r} (theorem D5)"
    )
    return [block(OPPOSITE[found.verdict].value, [says, found.reason, UNASKED])]


def _slopes(report: Report) -> list[str]:
    found = report.slopes
    if found is None:
        return []
    lines = [
        f"least slope in {interval(*found.least)}, greatest in {interval(*found.greatest)}; "
        f"Lipschitz constant in {interval(*found.lipschitz)}"
    ]
    for runs, word in ((found.rising, "non-decreasing"), (found.falling, "non-increasing")):
        if runs:
            lines.append(f"{word} on {_runs(runs)}")
    if found.target and report.known.target_total[0] > 0:
        name = report.target.noun
        slow = f"|slope| <= {report.options.tau!r} times that of {name}: on "
        lines.append(slow + (_runs(found.slow) if found.slow else "no interval proved"))
        if found.unclear:
            lines.append(f"whether it is so slow is not decided on {_runs(found.unclear)}")
        lines.append(f"sup |model' - {name}'| in {interval(*found.known.sup)}")
    return [block("slopes", lines)]


def _runs(runs: list[Pair]) -> str:
    shown = ", ".join(_within(lo, hi) for lo, hi in runs[:SHOWN])
    more = f" and {len(runs) - SHOWN} more (--json)" if len(runs) > SHOWN else ""
    return shown + more


def _within(lo: float, hi: float) -> str:
    """An interval rounded inward, so that what is printed is proved too."""
    inner = rounded(lo, 9, up=True), rounded(hi, 9, up=False)
    inner = inner if float(inner[0]) < float(inner[1]) else (repr(lo), repr(hi))
    return f"[{inner[0]}, {inner[1]}]"


def _checks(report: Report) -> str:
    names = sorted({check.theorem for check in report.crosschecks})
    count = sum(check.count for check in report.crosschecks)
    return block("checks", [f"{count} comparisons agree with theorems {', '.join(names)}"])


def _search(report: Report) -> str:
    outcome = report.outcome
    before = f" after {outcome.before:.2f} s of earlier runs" if outcome.before else ""
    says = (
        f"{outcome.state.boxes} boxes, {len(outcome.state.leaves)} leaves, "
        f"{outcome.seconds:.2f} s{before}, stopped by {outcome.stopped_by}; "
        f"all {outcome.samples} samples lie inside the enclosures"
    )
    return block("search", [says])


def progress_line(progress: Progress) -> str:
    """One line: bracket, gap, boxes, seconds."""
    lo, hi = progress.known.sup
    gap = f"{100 * (hi / lo - 1):.3g} %" if lo > 0 else "inf"
    return (
        f"sup error in {interval(lo, hi)}  gap {gap}  boxes {progress.boxes}  "
        f"leaves {progress.leaves}  {progress.seconds:.1f} s"
    )
