"""Tables of outcomes: one line per model as CSV, one line per setting as Markdown."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from certify.report.numbers import interval
from probes.certified import Certified
from probes.paper import Outcome
from probes.recipes import RECIPES, Setting

#: What is proved of output 0 along data curves; empty where that was not asked for.
CERTIFIED = ("certified sup error", "plateau", "readout")
MEASURED = (
    "relative_rmse",
    "rmse",
    "sd",
    "floor",
    "sup_error",
    "constant_sup_error",
    "failure_rate",
    "threshold",
    "constant_failure_rate",
    "accuracy",
    "constant_accuracy",
)


@dataclass(frozen=True)
class Group:
    """The outcomes of one setting for several seeds.

    Attributes:
        setting: of the first seed.
        results: of the seeds that were run.
        planned: how many seeds there were to run.
        certified: of all those seeds, one entry for each data curve.
    """

    setting: Setting
    results: tuple[dict[str, Any], ...]
    planned: int
    certified: tuple[Certified, ...] = ()

    def numbers(self, name: str) -> list[float]:
        """One measured number for every seed that has it."""
        found = (result["measured"].get(name) for result in self.results)
        return [number for number in found if number is not None]

    @property
    def task(self) -> str:
        """What is learned, in a few words."""
        classes = self.setting.model.classes
        return f"{self.setting.scheme}, {classes}-way" if classes else self.setting.scheme


def groups(outcomes: list[Outcome]) -> list[Group]:
    """The outcomes by setting, in the order that tables show them in."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(replace(one.setting, seed=0).key, []).append(one)
    made = [
        Group(
            part[0].setting,
            tuple(o.result for o in part if o.result),
            len(part),
            tuple(one for o in part for one in o.certified),
        )
        for part in found.values()
    ]
    return sorted(made, key=_order)


def _order(group: Group) -> tuple[Any, ...]:
    one, model = group.setting, group.setting.model
    recipe = RECIPES.index(one.recipe)
    return (one.scheme != "scheme-one", model.architecture, model.d, model.layers, recipe)


def as_csv(outcomes: list[Outcome]) -> str:
    """One line per model, numbers in full, empty where there is none."""
    head = (
        *("key", "scheme", "task", "classes", "architecture", "d", "width", "layers", "recipe"),
        *("seed", "parameters", "torch", *MEASURED, "failure_rates_by_size"),
        *("certified_sup_error", "plateau", "undecided_because", "longest_plateau", "readout"),
    )
    out = io.StringIO()
    writer = csv.DictWriter(out, head, lineterminator="\n")
    writer.writeheader()
    for one in outcomes:
        writer.writerow(_csv_row(one))
    return out.getvalue()


def _csv_row(one: Outcome) -> dict[str, Any]:
    model, result = one.setting.model, one.result or {"measured": {}}
    sizes = result["measured"].get("failures", ())
    return {
        "key": one.setting.key,
        "scheme": one.setting.scheme,
        "task": "classification" if model.classes else "regression",
        "classes": model.classes,
        "architecture": model.architecture,
        "d": model.d,
        "width": model.width,
        "layers": model.layers,
        "recipe": one.setting.recipe,
        "seed": one.setting.seed,
        "parameters": result.get("parameters"),
        "torch": result.get("torch"),
        **{name: result["measured"].get(name) for name in MEASURED},
        "failure_rates_by_size": " ".join(f"{size}:{rate!r}" for size, rate in sizes),
        "certified_sup_error": _each(interval(*c.sup) if c.sup else "" for c in one.certified),
        "plateau": _each(c.verdict for c in one.certified),
        "undecided_because": _each(c.reason for c in one.certified),
        "longest_plateau": _each(interval(*c.longest) if c.longest else "" for c in one.certified),
        "readout": next((c.readout for c in one.certified if c.readout), ""),
    }


def _each(texts: Iterable[str]) -> str:
    """One text for each curve, in order; nothing where all are empty."""
    found = list(texts)
    return "; ".join(found) if any(found) else ""


def curves_csv(curves: dict[tuple[int, float], dict[str, Any]]) -> str:
    """The failure rate against N: one line per d, error and N."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("d", "relative_rmse", "test_points", "failure_rate", "predicted_size"))
    for (d, relative), found in curves.items():
        for size, rate in zip(found["sizes"], found["rates"], strict=True):
            writer.writerow((d, relative, size, rate, found["predicted_size"]))
    return out.getvalue()


Column = tuple[str, Callable[[Group], str]]


def _spread_of(name: str) -> Callable[[Group], str]:
    return lambda group: spread(group.numbers(name))


_SHARED: tuple[Column, ...] = (
    ("task", lambda g: g.task),
    ("model", lambda g: g.setting.model.architecture),
    ("d", lambda g: str(g.setting.model.d)),
    ("D", lambda g: str(g.setting.model.width)),
    ("layers", lambda g: str(g.setting.model.layers)),
    ("recipe", lambda g: g.setting.recipe),
    ("seeds", lambda g: f"{len(g.results)} of {g.planned}"),
)


def certified_errors(group: Group) -> str:
    """A bracket for each seed and curve, rounded outward, three digits or more."""
    return "; ".join(interval(*c.sup, least=3, most=4) for c in group.certified if c.sup)


def verdicts(group: Group) -> str:
    """How often each verdict stands, and why what is undecided is so."""
    texts = [c.verdict + (f" ({c.reason})" if c.reason else "") for c in group.certified]
    return "; ".join(f"{text}: {count}" for text, count in sorted(Counter(texts).items()))


def readouts(group: Group) -> str:
    """The LayerNorms without head that were found, without the numbers of a seed."""
    heads = (c.readout.partition(":")[0] for c in group.certified if c.readout)
    return "; ".join(dict.fromkeys(heads))


_REGRESSION: tuple[Column, ...] = (
    *_SHARED,
    ("RMSE/sd", _spread_of("relative_rmse")),
    ("C3 floor", _spread_of("floor")),
    ("sup error", _spread_of("sup_error")),
    ("constant: sup error", _spread_of("constant_sup_error")),
    ("failure rate", _spread_of("failure_rate")),
    ("RMSE/sd of 50 % failure", _spread_of("threshold")),
    ("constant: failure rate", _spread_of("constant_failure_rate")),
    *zip(CERTIFIED, (certified_errors, verdicts, readouts), strict=True),
)
_CLASSIFICATION: tuple[Column, ...] = (
    *_SHARED,
    ("accuracy", _spread_of("accuracy")),
    ("constant: accuracy", _spread_of("constant_accuracy")),
)


def regression_table(found: list[Group]) -> str:
    """Markdown, one line per regression setting, ranges over the seeds."""
    return _markdown(_REGRESSION, [g for g in found if not g.setting.model.classes])


def classification_table(found: list[Group]) -> str:
    """Markdown, one line per classification setting, ranges over the seeds."""
    return _markdown(_CLASSIFICATION, [g for g in found if g.setting.model.classes])


def _markdown(columns: tuple[Column, ...], found: list[Group]) -> str:
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    lines += [[of(group) for _, of in columns] for group in found]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(numbers: list[float]) -> str:
    """Smallest to largest in three digits, one number where they agree, nothing for none."""
    shown = list(dict.fromkeys(short(number) for number in sorted(numbers)))
    return f"{shown[0]} to {shown[-1]}" if len(shown) > 1 else "".join(shown)


def short(number: float) -> str:
    """Three significant digits; four where three would make a share below 1 look like 1."""
    text = f"{number:.3g}"
    return f"{number:.4g}" if text == "1" and number != 1 else text
