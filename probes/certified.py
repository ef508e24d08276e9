"""What is proved of the trained models along data curves, kept like every other result."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from certify.errors import UnreadableFile, Unsupported
from probes.curves import DataCurve, data_curve
from probes.metrics import Contradiction

if TYPE_CHECKING:
    from certify.checking import Report
    from probes.paper import Outcome
    from probes.recipes import Setting
    from probes.store import Store

#: Raised when equal settings would give other numbers.
REVISION = 1
#: The number, along the flattened answer, that is certified; and the cells and ratio of D3.
OUTPUT, CELLS, TAU = 0, 32, 0.1
#: Larger tasks are not tried: within seconds their brackets do not close.
LARGEST_D = 16
#: Points of the curve at which the sampled error is taken, both ends among them.
SAMPLES = 129


@dataclass(frozen=True)
class Certified:
    """What is proved of one model along one curve, or why nothing is.

    Attributes:
        curve: its number; see `probes.curves.data_curve`.
        verdict: "PROVED" (some of the cells is a plateau), "REFUTED" (none) or "UNDECIDED".
        reason: why it is undecided, else "".
        sup: (lo, hi), bracket of the largest |model - target| of output 0 along the curve; hi
            is inf where no bound was found. None where the model was not certified at all.
        target: (lo, hi), bracket of the target's range, largest minus smallest value.
        longest: (lo, hi), bracket of the width in t of the longest plateau of any place.
        deciding: cells on which the target varies enough to decide.
        sampled: largest error at `SAMPLES` points, which is not proved.
        readout: a sentence on a LayerNorm readout without head, else "".
    """

    curve: int
    verdict: str
    reason: str = ""
    sup: tuple[float, float] | None = None
    target: tuple[float, float] | None = None
    longest: tuple[float, float] | None = None
    deciding: int | None = None
    sampled: float | None = None
    readout: str = ""


#: Called as progress(curves done, curves in all, words on the model in work).
Progress = Callable[[int, int, str], None]


def certify_all(
    outcomes: list[Outcome],
    store: Store,
    *,
    budget: float,
    curves: int = 1,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Certify every regression model that was trained, along the first data curves.

    Args:
        outcomes: of `probes.paper.run`.
        store: opened; what it holds already is read, and the rest kept there one by one.
        budget: seconds for one curve.
        curves: how many.
        progress: told before every curve.

    Returns:
        The outcomes, in the same order, with `certified` filled in.

    Raises:
        Contradiction: see `certify_curve`.
        InternalError: the certifier contradicts itself.
        KeyboardInterrupt: Ctrl-C; what was finished is kept.
        BadRequest: a file of the store is damaged or cannot be written.
    """
    work = [k for k, o in enumerate(outcomes) if o.result and not o.setting.model.classes]
    found = list(outcomes)
    for done, k in enumerate(work):
        parts = []
        for number in range(curves):
            if progress:
                progress(done * curves + number, len(work) * curves, outcomes[k].setting.words)
            parts.append(_kept(outcomes[k], store, number, budget))
        found[k] = replace(outcomes[k], certified=tuple(parts))
    return found


def _kept(outcome: Outcome, store: Store, number: int, budget: float) -> Certified:
    """From the store, or measured and put there; reasons alone are not kept."""
    one = outcome.setting
    if one.model.d > LARGEST_D:
        return Certified(number, "UNDECIDED", f"not tried for d > {LARGEST_D}")
    if outcome.result["model"] is None:
        return Certified(number, "UNDECIDED", "no model file: too large to be written")
    file = store.model(one.key)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return Certified(number, "UNDECIDED", f"no model file: {error.strerror}")
    path = data_curve(one.scheme, one.model.d, number)
    content = _content(one, digest, path, number, budget)
    found = store.get(content)
    if found is None:
        try:
            found = as_json(certify_curve(file, path, number, budget))
        except (UnreadableFile, Unsupported) as problem:
            return Certified(number, "UNDECIDED", str(problem))
        store.put(content, found)
    return from_json(found)


def _content(
    one: Setting, digest: str, path: DataCurve, number: int, budget: float
) -> dict[str, Any]:
    """Everything that a certification depends on."""
    return {"experiment": "certified along a curve", "revision": REVISION, "setting": one.key,
            "sha256": digest, "curve": list(path.texts), "number": number, "output": OUTPUT,
            "cells": CELLS, "tau": TAU, "budget": budget, "samples": SAMPLES}  # fmt: skip


def certify_curve(file: Path, path: DataCurve, number: int, budget: float) -> Certified:
    """Certify output 0 of a model file along a curve, and hold samples against the proof.

    Args:
        file: an exported model that takes the scheme's tokens, shape (1, m, d).
        path: the curve.
        number: the curve's.
        budget: seconds.

    Raises:
        Contradiction: the error sampled at a point is above the proved largest one.
        InternalError: the certifier contradicts itself.
        UnreadableFile: the file is damaged.
        Unsupported: the model uses something that cannot be certified.
        KeyboardInterrupt: Ctrl-C during the search, whose bracket is then not what the budget
            would have given.
    """
    import certify
    from certify.checking import check
    from certify.frontend.curve import along, curve
    from certify.options import Options
    from certify.run import Limits
    from theory.curves import target_along

    model = certify.load(file)
    line = curve(",".join(path.texts))
    options = Options(output=OUTPUT, cells=CELLS, tau=TAU, limits=Limits(budget=budget))
    target = target_along(path.scheme, line.texts, OUTPUT)
    report = check(along(model, line), target, options)
    if report.outcome.stopped_by == "interrupt":
        raise KeyboardInterrupt
    sampled, place, size = sampled_error(model, path)
    not_above(sampled, report.known.sup[1], size, f"{file} at t = {place!r} of curve {number}")
    return _certified(report, number, sampled, budget)


def sampled_error(model: Any, path: DataCurve) -> tuple[float, float, float]:
    """Largest |model - target| of output 0 at points of the curve, by the file's own operators.

    Returns:
        The error, the t where it is, and the largest size of a value there.
    """
    from certify.frontend.agree import interpret

    t = np.linspace(-1.0, 1.0, SAMPLES)
    inputs, wanted = path.points(t)
    rows = (x.reshape(model.inputs) for x in inputs)
    found = torch.stack([interpret(model.program, x).reshape(-1)[OUTPUT] for x in rows])
    label = wanted.flatten(1)[:, OUTPUT]
    error = (found - label).abs()
    worst = int(error.argmax())
    size = float(torch.maximum(found.abs(), label.abs()).max())
    return float(error[worst]), float(t[worst]), size


def not_above(sampled: float, proved: float, size: float, where: str) -> None:
    """Sampled <= certified, but for the rounding of float64 samples.

    Args:
        sampled: an error.
        proved: upper end of its bracket.
        size: of the numbers that were subtracted.
        where: model, point and curve, for the message.

    Raises:
        Contradiction: it is above, or not a number.
    """
    if not sampled <= proved + 1e-9 * size:
        raise Contradiction(
            f"{where}: the error there is {sampled!r}, above the proved largest one, {proved!r}; "
            "please report this model"
        )


def _certified(report: Report, number: int, sampled: float, budget: float) -> Certified:
    verdict, stopped = report.plateaus.overall().name, report.outcome.stopped_by
    reasons = {"budget": f"the budget of {budget:g} s is spent", "memory": "no memory is left",
               "resolution": "float64 does not resolve more"}  # fmt: skip
    lo, hi = report.known.target_total.tolist()
    return Certified(
        curve=number,
        verdict=verdict,
        reason=reasons.get(stopped, "no cell decides") if verdict == "UNDECIDED" else "",
        sup=tuple(report.known.sup),
        target=(lo, hi),
        longest=report.longest[:2],
        deciding=int(report.plateaus.deciding.sum()),
        sampled=sampled,
        readout=_readout(report),
    )


def _readout(report: Report) -> str:
    """What a LayerNorm without head forces, in words; "" where there is none."""
    from certify.report.numbers import interval, rounded
    from certify.report.words import layer_norm_floor

    readout = report.structure.readout
    if readout is None or readout.range is None:
        return ""
    floor = layer_norm_floor(report, readout)
    forced = f"; so its error is at least {rounded(floor, 4, up=False)} (A1')" if floor > 0 else ""
    return (
        f"LayerNorm over {readout.features} features without head: whatever the weights before, "
        f"the output stays in {interval(*readout.range)} (C1){forced}"
    )


def as_json(found: Certified) -> dict[str, Any]:
    """As JSON holds it: no bound is null, since JSON has no infinity."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [end if math.isfinite(end) else None for end in value]
        return value

    return {name: plain(value) for name, value in asdict(found).items()}


def from_json(data: dict[str, Any]) -> Certified:
    """The inverse of `as_json`."""

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(math.inf if end is None else end for end in value)
        return value

    return Certified(**{name: whole(value) for name, value in data.items()})
