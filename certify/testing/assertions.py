"""Assertions that hold for every real input of a domain, proved, or fail with the reason.

Three outcomes: a PROVED claim returns its report; a REFUTED one raises `Refuted` with the
witness; one that is not decided within the budget raises `Undecided`, since a guarantee that was
not proved is none. Both are AssertionErrors, so any test runner shows them as failures.
"""

from __future__ import annotations

import io
import os
from dataclasses import fields, replace
from typing import Any

import torch

from certify.checking import Report, check
from certify.errors import BadRequest
from certify.frontend import Model, load, read
from certify.frontend.export import serialized
from certify.options import Options
from certify.report.numbers import interval, place
from certify.run import Limits
from certify.verdict import Claim, Verdict
from theory.targets import Target

MARGIN = 12  # columns for the verdict

Checkable = torch.nn.Module | Model | str | os.PathLike[str]


class NotProved(AssertionError):
    """A guarantee that does not stand; `claim` says which, `report` holds all numbers."""

    def __init__(self, text: str, claim: Claim, report: Report) -> None:
        super().__init__(text)
        self.claim, self.report = claim, report


class Refuted(NotProved):
    """The claim is false, and a witness shows it."""


class Undecided(NotProved):
    """The claim was neither proved nor refuted within the budget."""


def assert_within(model: Checkable, target: Target | str, eps: float, **more: Any) -> Report:
    """Prove |model(x) - target(x)| <= eps for every real x of the domain.

    Args:
        model: a module, which is exported in memory and in eval mode; a model file's path; or a
            loaded model.
        target: a target, its name, or an expression in x.
        eps: the accuracy.
        more: `budget` in seconds, `example` (the module's input, by default zeros of shape
            (1, 1)), and any field of `certify.options.Options`, such as `domain=(0, 1)`.

    Raises:
        Refuted, Undecided: the claim is not proved; the text has the verdict, the numbers that
            decide it, and the witness.
        UnreadableFile, Unsupported, BadRequest: there is nothing that could be claimed.
    """
    return _asserted(model, target, {"within": eps}, more)


def assert_no_plateau(
    model: Checkable, target: Target | str, *, width: float, tau: float = 0.1, **more: Any
) -> Report:
    """Prove that no window of this width, of any place, is a tau-plateau of the model.

    A tau-plateau is a window where the model varies by at most tau times what the target varies
    by; windows where the target itself hardly varies decide nothing (theorems D3, D5).

    Args:
        model, target, more: see `assert_within`.
        width: of the windows.
        tau: plateau ratio, 0 <= tau < 1.

    Raises:
        Refuted, Undecided, UnreadableFile, Unsupported, BadRequest: see `assert_within`.
    """
    return _asserted(model, target, {"no_plateau": True, "windows": width, "tau": tau}, more)


def assert_monotone(model: Checkable, target: Target | str = "x", **more: Any) -> Report:
    """Prove that the model never falls, or never rises, on the domain; see `assert_within`."""
    return _asserted(model, target, {"monotone": True}, more)


def assert_lipschitz(
    model: Checkable, bound: float, target: Target | str = "x", **more: Any
) -> Report:
    """Prove |model(x) - model(y)| <= bound |x - y| on the domain; see `assert_within`."""
    return _asserted(model, target, {"lipschitz": bound}, more)


def as_model(model: Checkable, example: torch.Tensor | None = None) -> Model:
    """What is certified: the module as it would be exported, or the file, read as data.

    Args:
        model: see `assert_within`.
        example: one input of a module; zeros of shape (1, 1) in its own type by default.

    Raises:
        UnreadableFile, Unsupported, BadRequest: see `certify.load` and `certify.export`.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, torch.nn.Module):
        return load(model)
    if example is None:
        kind = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
        example = torch.zeros(1, 1, dtype=kind)
    return read(io.BytesIO(serialized(model, example)), type(model).__name__)


def _asserted(
    model: Checkable, target: Target | str, claimed: dict[str, Any], more: dict[str, Any]
) -> Report:
    """The report if every claim is proved."""
    __tracebackhide__ = True  # pytest then points at the caller's line
    example = more.pop("example", None)
    report = check(as_model(model, example), target, _options(claimed, more))
    for claim in report.claims:
        if claim.verdict is not Verdict.PROVED:
            kind = Refuted if claim.verdict is Verdict.REFUTED else Undecided
            raise kind(in_words(claim, report), claim, report)
    return report


def _options(claimed: dict[str, Any], more: dict[str, Any]) -> Options:
    more, limits = dict(more), Limits()
    if "budget" in more:
        limits = replace(more.get("limits", limits), budget=more.pop("budget"))
        more["limits"] = limits
    known = {field.name for field in fields(Options)}
    odd = sorted(set(more) - known) + sorted(set(more) & set(claimed))
    if odd:
        raise BadRequest(
            f"certify.testing: {', '.join(odd)} cannot be given here; what can: budget, example, "
            + ", ".join(sorted(known - set(claimed)))
        )
    return Options(**claimed, **more)


def in_words(claim: Claim, report: Report) -> str:
    """Verdict, claim, the numbers that decide it, the witness, and what to do."""
    lo, hi = report.options.domain
    lines = [f"{claim.says}, for every x in [{lo!r}, {hi!r}]", claim.reason]
    if claim.verdict is Verdict.REFUTED:
        lines += _witness(claim, report)
    else:
        lines.append(
            "neither proved nor refuted, so this is no guarantee: the search ended by "
            f'"{report.outcome.stopped_by}" after {report.outcome.seconds:.1f} s; '
            + _advice(report)
        )
    margin = "\n" + " " * MARGIN
    return f"{claim.verdict.value:<{MARGIN}}{margin.join(line for line in lines if line)}"


def _witness(claim: Claim, report: Report) -> list[str]:
    known = report.known
    if claim.label == "within":
        found = interval(known.sup[0], known.sup[1])
        return [f"witness: {place(known.witness)}, where the error is at least the lower end "
                f"of {found}"]  # fmt: skip
    return [] if claim.witness is None else [f"witness: {claim.witness!r}"]


def _advice(report: Report) -> str:
    budget = report.options.limits.budget
    return {
        "budget": f"give it more than budget={budget:g}, or claim less",
        "memory": f"give it more than {report.options.limits.memory:g} MiB, or claim less",
        "resolution": "rounding in float64 leaves no more to gain by splitting; claim less",
    }.get(report.outcome.stopped_by, "claim less, or ask for a smaller gap (gap=...)")
