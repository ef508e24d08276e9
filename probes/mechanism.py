"""What the certified numbers say of P3, in words: only what is proved, and where it is."""

from __future__ import annotations

import math
from collections import Counter

from certify.report.numbers import interval, rounded
from probes.certified import CELLS, OUTPUT, TAU, Certified
from probes.tables import Group, certified_errors, verdicts

#: A recipe's name and what is proved of one of its models along one curve.
Found = tuple[str, Certified]

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
other curves and outputs, for larger models, or for transformers in general; and another training
may end otherwise.
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
        "a data curve, one for each seed and curve, rounded outward; the sup error on the test "
        'points is of all outputs and other inputs, so either may be larger. "Plateau" says how '
        f"often it is PROVED that one of {CELLS} cells of the curve is a plateau, REFUTED that any "
        'is one, or UNDECIDED. "Readout" names a LayerNorm without head where the certifier finds '
        "it, with its range in results.csv; behind joined tokens, as for mixed data, it does not.\n"
    )


def section(found: list[Group]) -> str:
    """The section on P3. Markdown."""
    groups = [g for g in found if g.certified]
    if not any(c.sup for g in groups for c in g.certified):
        return f"{_HEAD}\n{_OPEN}"
    lines = "\n".join(f"- {_line(group)}" for group in groups)
    every = [(g.setting.recipe, c) for g in groups for c in g.certified if c.sup]
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


def _against(every: list[Found]) -> str:
    """Models that approximate without plateaus."""
    these = [(r, c) for r, c in every if c.verdict == "REFUTED" and beats_constant(c)]
    if not these:
        return ""
    width = max(c.longest[1] for _, c in these)
    return (
        f"**Against P3**: {_curves(these, every)} the error is proved smaller than any constant "
        f"answer's, {_errors(these)}, and no deciding cell is a plateau; the longest plateau of "
        f"any place is at most {rounded(width, 3, up=True)} wide in t. Their accuracy there does "
        f"not come from being nearly constant on cells {2 / CELLS:g} wide."
    )


def _in_favor(every: list[Found]) -> str:
    """Models that approximate, somehow, and have plateaus."""
    these = [(r, c) for r, c in every if c.verdict == "PROVED" and beats_constant(c)]
    if not these:
        return ""
    return (
        f"**As P3 says**: {_curves(these, every)} the error is proved smaller than any constant "
        f"answer's, {_errors(these)}, and a plateau is proved. One plateau is not a staircase: it "
        "does not show that the model relies on plateaus elsewhere."
    )


def _idle(every: list[Found]) -> str:
    """Models that are no better than a constant."""
    these = [(r, c) for r, c in every if no_better(c)]
    if not these:
        return ""
    flat = sum(c.verdict == "PROVED" for _, c in these)
    return (
        f"**Neither for nor against P3**: {_curves(these, every)} the error is proved to be no "
        f"smaller than the best constant's; a plateau is proved on {flat} of these. A model that "
        "does not approximate shows nothing of how approximation is done."
    )


def _curves(these: list[Found], every: list[Found]) -> str:
    by = Counter(recipe for recipe, _ in these)
    recipes = ", ".join(f"{count} {recipe}" for recipe, count in by.items())
    return f"on {len(these)} of {len(every)} certified curves ({recipes})"


def _errors(these: list[Found]) -> str:
    """For each recipe the largest share of the target's range, rounded up."""
    worst: dict[str, float] = {}
    for recipe, one in these:
        # The quotient of two floats may have been rounded down.
        share = math.nextafter(one.sup[1] / one.target[0], math.inf)
        worst[recipe] = max(share, worst.get(recipe, 0.0))
    said = ", ".join(f"{share} ({recipe})" for recipe, share in
                     ((r, rounded(s, 2, up=True)) for r, s in worst.items()))  # fmt: skip
    return f"at most {said} of the target's range"
