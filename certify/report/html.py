"""A report as one HTML file: no script, nothing loaded from elsewhere, light and dark.

Everything that comes from outside, such as the model's path and the target's text, is escaped by
the templates; `Markup` is made of nothing but our own statements' formulas.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from certify.checking import Report
from certify.report import plots as drawing
from certify.report.clean import shown
from certify.report.command import command
from certify.report.data import as_data
from certify.report.numbers import box, floor, interval, on, percent, place, rounded
from theory.theorem import all_theorems

WORST = 10  # cells of the table


def render(report: Report, certificate: dict[str, Any] | None = None) -> str:
    """The page.

    Args:
        report: what was found.
        certificate: path, sha256 and whether the checker accepted it, if there is one.
    """
    data = as_data(report, certificate)
    segment = report.model.curve is not None and report.model.curve.ends is not None
    plots = [] if report.together else drawing.plots(report)
    return page(data, plots, command(report), segment=segment)


def page(
    data: dict[str, Any], plots: list[drawing.Plot], again: str, *, segment: bool = False
) -> str:
    """The page of a report given as JSON data, of any number of input variables.

    Args:
        data: schema certify-report/1.
        plots: what could be drawn.
        again: the command that makes the report again.
        segment: the command names two files that the report does not know.
    """
    data = shown(data)
    variables = max((len(cell["box"]) for cell in data["cells"]), default=1)
    verdicts = list(_verdicts(data))
    return environment().get_template("report.html.j2").render(
        data=data,
        plots=plots,
        headline=_headline(verdicts),
        verdicts=verdicts,
        domain=on(*data["target"]["domain"], variables),
        inputs=math.prod(data["model"]["inputs"]),
        skipped=_skipped(data, variables),
        outputs=list(_outputs(data)),
        worst=list(_worst(data["cells"])),
        theorems=list(_theorems(data)),
        command=shown(again),
        placeholders="A.json and B.json stand for the two inputs." if segment else "",
        verify=f"certify verify {shlex.quote(str(data['certificate']['path']))}",
        agreement=_agreement(data["sandwich"]["agreement"]),
    )  # fmt: skip


@cache
def environment() -> Environment:
    """The templates of this package; what comes into them is escaped."""
    found = Environment(
        loader=PackageLoader("certify.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"anchor": anchor, "formulas": formulas}
    return found


def anchor(label: str) -> str:
    """A theorem's label as part of an address."""
    return re.sub(r"[^A-Za-z0-9]+", "-", label.replace("'", "-prime")).strip("-")


def formulas(text: str) -> Markup:
    """A statement of ours, its formulas between dollar signs as MathML."""
    parts: list[Markup] = []
    for i, part in enumerate(text.split("$")):
        if i % 2 == 0:
            parts.append(escape(part))
            continue
        found = convert(part).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
        parts.append(Markup(found))  # noqa: S704 - the registry's own text
    return Markup("").join(parts)


def _verdicts(data: dict[str, Any]) -> Iterator[dict[str, str | None]]:
    """Claims first, then what is always reported."""
    sup, found = data["sup_error"], data["plateaus"]
    lo, hi = _pair(sup)
    bracket = f"sup error in {interval(lo, hi)}, at {place(tuple(map(float, sup['witness'])))}"
    for claim in data["claims"]:
        why = bracket if claim["label"] == "within" else claim["reason"]
        yield {"verdict": claim["verdict"], "says": claim["says"], "why": why,
               "theorem": claim["theorem"]}  # fmt: skip
    if not any(claim["label"] == "within" for claim in data["claims"]):
        verdict = "PROVED" if sup["closed"] else "UNDECIDED"
        most, least = rounded(hi, 6, up=True), rounded(lo, 6, up=False)
        error = "The error" if data["norm"] is None else f"The error in the {data['norm']}-norm"
        says = f"{error} is at most {most} everywhere, and at least {least} somewhere"
        if math.isinf(hi):
            says = f"{error} is at least {least} somewhere; no upper bound is proved"
        why = bracket
        if not sup["closed"]:
            why += f"; not closed to the gap asked for, stopped by {data['search']['stopped_by']}"
        yield {"verdict": verdict, "says": says, "why": why, "theorem": None}
    if any(claim["label"] == "no-plateau" for claim in data["claims"]):
        return
    says = f"The model has a {found['tau']}-plateau on some cell"
    count, cells = found["deciding"], len(data["cells"])
    why = (
        f"{count} of {cells} cells decide: a plateau on {found['proved']}, none on "
        f"{found['refuted']}" if count else "no cell decides"
    ) + "; not asked for: no effect on the exit code"  # fmt: skip
    yield {"verdict": found["verdict"], "says": says, "why": why, "theorem": "D3"}


def _skipped(data: dict[str, Any], variables: int) -> str:
    """Why nothing is drawn over the domain; empty if it is."""
    if data["norm"] is not None:
        return "They are about one output: --output INDEX."
    return f"They need one input variable; this model has {variables}." if variables > 1 else ""


def _outputs(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The outputs one by one, where the report is about all of them together."""
    for one in data["outputs"] or ():
        yield {
            "number": one["output"],
            "target": one["target"]["expression"],
            "error": interval(*_pair(one["sup_error"]), most=6),
            "plateau": one["plateaus"]["verdict"].lower(),
        }


def _headline(verdicts: list[dict[str, str | None]]) -> str:
    """The first verdict, in words."""
    first = verdicts[0]
    word = {"PROVED": "Proved", "REFUTED": "Refuted", "UNDECIDED": "Undecided"}[first["verdict"]]
    says = first["says"]
    return f"{word}: {says[:1].lower() + says[1:] if says.startswith('The ') else says}"


def _worst(cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    order = sorted(range(len(cells)), key=lambda i: (-_pair(cells[i]["sup_error"])[1], i))
    for i in order[:WORST]:
        cell = cells[i]
        ours, theirs = _pair(cell["variation"]), _pair(cell["target_variation"])
        yield {
            "number": i,
            "where": box([[float(end) for end in side] for side in cell["box"]]),
            "error": interval(*_pair(cell["sup_error"]), most=6),
            "variation": interval(*ours, most=6),
            "target_variation": interval(*theirs, most=6),
            "share": _share(ours[0], theirs[1]),
            "verdict": cell["plateau"].lower(),
        }


def _share(ours: float, theirs: float) -> str:
    """A proved lower bound of ours / theirs, rounded down."""
    if not math.isfinite(ours) or not math.isfinite(theirs) or theirs <= 0:
        return "-"
    exact = min(Fraction(ours) / Fraction(theirs), Fraction(10**6))  # enough, and no overflow
    return percent(floor(exact))


def _theorems(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statements that the report rests on or was held against."""
    checks = {check["theorem"]: check for check in data["crosschecks"]}
    labels = {"D3", "D5", *checks, *(claim["theorem"] for claim in data["claims"])}
    labels |= {"A1-norm"} if data["norm"] is not None else set()
    labels |= {data["structure"]["theorem"], (data["structure"]["readout"] or {}).get("theorem")}
    longest = data["longest_plateau"]
    if longest is not None and longest["step_width"] is not None:
        labels.add("A3")
    known = all_theorems()
    for label in sorted(label for label in labels if label in known):
        found, check = known[label], checks.get(label, {})
        yield {"label": label, "title": found.title, "statement": found.statement,
               "source": found.source, "says": check.get("says"),
               "comparisons": check.get("comparisons"),
               "command": f'"{label}"' if "'" in label else label}  # fmt: skip


def _pair(bracket: dict[str, Any]) -> tuple[float, float]:
    return float(bracket["lo"]), float(bracket["hi"])


def _agreement(value: Any) -> str:
    return "an unknown amount" if value is None else f"{float(value):.2g}, relative"
