"""What the certified numbers say of P3, in words: only what is proved, and where it is."""

from __future__ import annotations

import math

from certify.report.numbers import interval, rounded
from probes.certified import CELLS, OUTPUT, TAU, Certified
from probes.tables import Group, certified_errors, verdicts

_HEAD = """\
P3 says that transformers rely on piecewise constant approximations with sizable intervals.
Errors on a test set say nothing on that: a small one does not exclude short plateaus, a large
one does not need any.
"""
_OPEN = """\
Nothing here is certified: **not decided here**.
"""
_TERMS = f"""\
Along a data curve t in [-1, 1] a model is a function of one variable. A *plateau* is one of {CELLS}
cells, each {2 / CELLS:g} wide in t, on which output {OUTPUT} varies by at most {TAU:g} of what the
target varies there (D3). Each line speaks of the models of all seeds, along every curve asked for.
"""
_SCOPE = f"""\
All this is about output {OUTPUT} along these curves, for these weights. It decides nothing for
other curves, for cells finer than these beyond the longest plateaus named, for larger models or for
transformers in general; and that a training ends in a plateau or in none is not forced by it.
"""


def legend(found: list[Group]) -> str:
    """What stands in the certified columns, or why they are empty. Markdown."""
    if not any(group.certified for group in found):
        return (
            'The columns "certified sup error", "plateau" and "readout" are empty: certification '
            "was not asked for, or no regression model is trained yet.\n"
        )
    return (
        f'"Certified sup error" is a proved bracket of the largest error of output {OUTPUT} along '
        "a data curve, one for each seed and curve, rounded outward, beside the largest error of "
        'any output on the test points; "plateau" says how often it is '
        f"PROVED that one of {CELLS} cells of the curve is a plateau, REFUTED that any is, or "
        'UNDECIDED. "Readout" names a LayerNorm without head; its range is in results.csv.\n'
    )


def section(found: list[Group]) -> str:
    """The section on P3. Markdown."""
    groups = [g for g in found if g.certified]
    if not any(c.sup for g in groups for c in g.certified):
        return f"{_HEAD}\n{_OPEN}"
    lines = "\n".join(f"- {_line(group)}" for group in groups)
    every = [c for g in groups for c in g.certified if c.sup]
    conclusions = [text for text in (_against(every), _in_favor(every), _idle(every)) if text]
    return "\n".join([_HEAD, _TERMS, lines, "", *(f"{c}\n" for c in conclusions), _SCOPE])


def _line(group: Group) -> str:
    model, brackets = group.setting.model, certified_errors(group)
    text = (
        f"{group.setting.scheme}, d = {model.d}, {model.layers} layers, {model.architecture}, "
        f"{group.setting.recipe}: plateau {verdicts(group)}."
    )
    widths = [c.longest for c in group.certified if c.longest]
    if brackets:
        text += f" Sup error in {brackets}."
    if widths:
        lo, hi = (max(ends) for ends in zip(*widths, strict=True))
        text += f" The longest plateau of any place is {interval(lo, hi, most=4)} wide in t."
    said = dict.fromkeys(c.readout for c in group.certified if c.readout)
    return text + "".join(f" {sentence}." for sentence in said)


def beats_constant(one: Certified) -> bool:
    """Whether the model is proved better along the curve than every constant answer."""
    return one.sup[1] < one.target[0] / 2


def no_better(one: Certified) -> bool:
    """Whether the model is proved no better along the curve than the best constant answer."""
    return one.sup[0] >= one.target[1] / 2


def _against(every: list[Certified]) -> str:
    """Models that approximate without plateaus."""
    these = [c for c in every if c.verdict == "REFUTED" and beats_constant(c)]
    if not these:
        return ""
    error = max(math.nextafter(c.sup[1] / c.target[0], math.inf) for c in these)
    width = max(c.longest[1] for c in these)
    return (
        f"**Against P3**: {_curves(these, every)} the error is proved to be at most "
        f"{rounded(error, 2, up=True)} of the target's range, less than any constant reaches, and "
        "no deciding cell is a plateau; the longest plateau of any place is at most "
        f"{rounded(width, 3, up=True)} wide in t. Their accuracy there does not come from being "
        f"nearly constant on cells {2 / CELLS:g} wide."
    )


def _in_favor(every: list[Certified]) -> str:
    """Models that approximate and have plateaus."""
    these = [c for c in every if c.verdict == "PROVED" and not no_better(c)]
    if not these:
        return ""
    return (
        f"**As P3 says**: {_curves(these, every)} a plateau is proved, and the model is not proved "
        "to be as bad as a constant. One plateau is not a staircase: it does not show that the "
        "model relies on plateaus elsewhere."
    )


def _idle(every: list[Certified]) -> str:
    """Models that are no better than a constant."""
    these = [c for c in every if no_better(c)]
    if not these:
        return ""
    flat = sum(c.verdict == "PROVED" for c in these)
    return (
        f"**Neither for nor against P3**: {_curves(these, every)} the error is proved to be no "
        f"smaller than the best constant's; {flat} of these have a plateau. A model that does not "
        "approximate shows nothing of how approximation is done."
    )


def _curves(these: list[Certified], every: list[Certified]) -> str:
    return f"on {len(these)} of {len(every)} certified curves (each of one model)"
