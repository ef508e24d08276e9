"""One page in words: what the experiments show and do not show of the paper's claims.

Every sentence with a number is made from outcomes; where they do not support it, another
sentence stands there.
"""

from __future__ import annotations

from typing import Any

from probes import failure, mechanism
from probes.paper import Outcome
from probes.tables import Group, classification_table, groups, regression_table, short, spread

Curves = dict[tuple[int, float], dict[str, Any]]


def page(outcomes: list[Outcome], curves: Curves, figure: str | None) -> str:
    """The page, Markdown.

    Args:
        outcomes: of the whole grid, what was not run included.
        curves: of `probes.paper.failure_curves`.
        figure: file name of the drawn curves, or None.
    """
    found = groups(outcomes)
    done = sum(outcome.result is not None for outcome in outcomes)
    rest = "" if done == len(outcomes) else "**The rest is missing**: run the command again. "
    parts = [
        "# The paper's experiments, run again\n",
        f"{done} of {len(outcomes)} models are trained and measured. {rest}"
        "Claims P1 to P3 are those of arXiv 2402.15478.\n",
        _RECIPES,
        "## Regression\n",
        regression_table(found),
        _LEGEND,
        mechanism.legend(found),
        "## Classification\n",
        classification_table(found),
        _classification(found),
        "## The failure rate\n",
        _failures(curves, figure),
        "## P1: encoders\n",
        _contrasts(found, "encoder"),
        _P1,
        "## P2: the full transformer\n",
        _contrasts(found, "transformer"),
        _P2,
        "## P3: the mechanism\n",
        mechanism.section(found),
        "## What none of this shows\n",
        _LIMITS,
    ]
    return "\n".join(part for part in parts if part)


_RECIPES = """\
Three recipes. *Released*: as the public code trains: no linear head in regression, D = d,
coupled weight decay 0.05 on everything, 200 mini-batches, a random start token that is neither
trained nor kept, dropout on the raw inputs, no causal mask. *Fair*: affine maps in and out,
D = 4d + 2, AdamW that spares norms and biases, start token trained and kept, causal mask, no
dropout. *Obstructed*: fair, but D = d and no head, so that the answer is the output of LayerNorm.
"""
_LEGEND = """\
Ranges are over the seeds. "C3 floor" is the relative error that theorem C3 lets no LayerNorm
readout go below, for the law of the data; the best constant has RMSE/sd = 1. Sup errors are
the largest on the test points, so lower bounds. "RMSE/sd of 50 % failure" is the prediction for
isotropic errors.
"""
_PREDICTION = """\
The prediction N = (1 + (sd/RMSE)^2)^(d/2) is the capacity of a Gaussian channel: sharp for normal
labels as d grows, and only a guide for these labels and a finite d.\
"""
_P1 = """\
P1 says that encoders cannot approximate smooth functions. Experiments can refute such a sentence
(by an encoder that does), never prove it: a training that fails may have failed as training.
"""
_P2 = """\
P2 says the same of the full transformer, from experiments. What has to be explained is a large
error; "obstructed" against "fair" changes the readout, the width, and the learning rate that
goes with the width. The floor of C3 is a theorem: with D = d and no head it holds for every
transformer before the readout, however trained.
"""
_LIMITS = """\
- The column "sup error" bounds nothing between the test points; what is certified holds for one
  output, along the curves named, and for no other input.
- Batch size, learning rate and dropout inside the layers of the released training are our choice;
  its other settings are a reconstruction, so its numbers need not equal the paper's.
- A few seeds on one machine: other machines and versions of torch give other weights.
- What larger models, other data or longer training would reach.
- For mixed data the decoder is fed its own answers, and failures are counted for each output
  token by itself.
"""


def _contrasts(found: list[Group], architecture: str) -> str:
    """A sentence for every task, d and depth, from the recipes that were run."""
    table: dict[tuple[Any, ...], dict[str, Group]] = {}
    for group in found:
        model = group.setting.model
        if model.architecture == architecture and not model.classes and group.results:
            place = (group.setting.scheme, model.d, model.layers)
            table.setdefault(place, {})[group.setting.recipe] = group
    lines = [f"- {_contrast(place, by)}" for place, by in table.items()]
    return "\n".join(lines) + "\n" if lines else "No regression was run.\n"


def _contrast(place: tuple[Any, ...], by: dict[str, Group]) -> str:
    scheme, d, layers = place
    errors = {recipe: group.numbers("relative_rmse") for recipe, group in by.items()}
    said = [f"{recipe} {spread(numbers)}" for recipe, numbers in errors.items()]
    text = f"{scheme}, d = {d}, {layers} layers: RMSE/sd {', '.join(said)}."
    if "released" in errors:
        beats = sum(error < 1 for error in errors["released"])
        text += (
            f" As released, {beats} of {len(errors['released'])} models "
            "are better than the best constant."
        )
    if {"fair", "obstructed"} <= errors.keys():
        text += " " + _readout(errors["fair"], errors["obstructed"], by["obstructed"])
    return text


def _readout(fair: list[float], obstructed: list[float], group: Group) -> str:
    floor = group.numbers("floor")[0]
    if max(fair) < floor:
        return (
            f"Every fair model ({len(fair)}) is below {short(floor)}, the floor of C3, which no "
            "model with D = d and no head passes at any depth; the obstructed ones end at "
            f"{spread([error / floor for error in obstructed])} times that floor. So much of "
            "their error is forced by the LayerNorm readout, whatever the transformer before it."
        )
    if max(fair) < min(obstructed):
        return (
            "The fair models are better than the obstructed ones, but not all pass the floor of "
            f"C3 ({short(floor)}): the readout may be one reason among others."
        )
    return "These runs do not separate fair from obstructed: the readout explains nothing here."


def _classification(found: list[Group]) -> str:
    lines = []
    for group in found:
        accuracy, constant = group.numbers("accuracy"), group.numbers("constant_accuracy")
        if not accuracy:
            continue
        beats = sum(a > c for a, c in zip(accuracy, constant, strict=True))
        model = group.setting.model
        lines.append(
            f"- {group.task}, d = {model.d}, {model.layers} layers, {model.architecture}, "
            f"{group.setting.recipe}: {beats} of {len(accuracy)} models are right more often "
            f"than the constant answer ({spread(constant)})."
        )
    head = (
        "The labels lie on the diagonal, so the task is to class mean(y), "
        "and the middle class gains on the others as d grows.\n"
    )
    return "\n".join([head, *lines]) + "\n" if lines else "No classification was run.\n"


def _failures(curves: Curves, figure: str | None) -> str:
    lines = [
        "A failure is an answer whose nearest test label is not its own. "
        "With the same error, it depends on the number N of test points and on d:\n"
    ]
    lines += [f"![Failure rate against N]({figure})\n"] if figure else []
    for (d, relative), found in curves.items():
        rates, sizes = found["rates"], found["sizes"]
        measured = failure.crossing(found)
        if measured is not None:
            half = f"half fail at N = {_size(measured)}"
        elif rates[0] >= 0.5:
            half = f"half fail already at N = {sizes[0]}"
        else:
            half = "less than half fail throughout"
        lines.append(
            f"- d = {d}, RMSE/sd = {relative:g}: {100 * rates[0]:.3g} % fail at N = {sizes[0]}, "
            f"{100 * rates[-1]:.3g} % at N = {sizes[-1]:,}; {half} "
            f"(predicted: {_size(found['predicted_size'])})."
        )
    lines.append(f"\n{_PREDICTION}{_quality(curves)}")
    return "\n".join(lines) + "\n"


def _quality(curves: Curves) -> str:
    """How far the prediction is off, from the curves that cross one half."""
    ratios = [
        measured / found["predicted_size"]
        for found in curves.values()
        if (measured := failure.crossing(found)) is not None
    ]
    return f" Here the measured N is {spread(ratios)} times the predicted one." if ratios else ""


def _size(number: float) -> str:
    """A test-set size in two digits."""
    return f"{float(f'{number:.2g}'):,.0f}" if number < 1e7 else f"{number:.0e}"
