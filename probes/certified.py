"""What is proved of a trained model along a data curve, held against samples."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probes.curves import DataCurve
from probes.metrics import Contradiction

if TYPE_CHECKING:
    from certify.checking import Report

#: The number, along the flattened answer, that is certified; and the cells and ratio of D3.
OUTPUT, CELLS, TAU = 0, 32, 0.1
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
        sampled: largest error at `SAMPLES` points, in float64.
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
    options = Options(
        output=OUTPUT, cells=CELLS, tau=TAU, limits=Limits(budget=budget), resolution=True
    )
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
    """Sampled <= certified, but for what two float64 evaluations may differ by.

    Args:
        sampled: an error.
        proved: upper end of its bracket.
        size: of the numbers that were subtracted.
        where: model, point and curve, for the message.

    Raises:
        Contradiction: it is above, or not a number.
    """
    from certify.frontend.agree import TOLERANCE

    if not sampled <= proved + TOLERANCE * size:
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
