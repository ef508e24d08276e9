"""The range of a model's outputs, or of their derivatives, on a box: from inside and outside."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from certify.checking import check_graph
from certify.errors import BadRequest
from certify.evaluate import evaluate
from certify.frontend import Model, load
from certify.frontend.agree import InternalError, check_agreement
from certify.frontend.curve import points
from certify.frontend.target import model_graph
from certify.goal import Brackets
from certify.joint import joint
from certify.options import Options
from certify.report.data import guaranteed, versions
from certify.report.numbers import box, interval
from certify.run import Progress

SAMPLES = 17
ROUNDED = 1e-9  # by which a plain float64 sample may be off
#: More outputs than these are searched together, and graphs of more entries from one box on.
FEW, LARGE = 16, 2**17


@dataclass(frozen=True, eq=False)
class Ends:
    """Of one output: `range` and `inner` as in `Brackets`, each (2, 1)."""

    range: Tensor
    inner: Tensor


@dataclass(frozen=True, eq=False)
class Ranges:
    """Brackets of the chosen outputs over one box, by output number."""

    model: Model
    options: Options
    outputs: dict[int, Brackets | Ends]
    closed: bool
    derivative: int = 0
    why: str = ""  # it is not closed


def ranges(
    model: Model | str | os.PathLike[str],
    options: Options,
    output: int | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
    derivative: int = 0,
) -> Ranges:
    """Bracket the range of one output, or of all of them one after the other; or of a derivative.

    Args:
        model: a loaded model or the path of a model file; one input variable for derivatives.
        options: the box as `domain`, the gap and the limits; each output may take the budget.
        output: number of the output; None for all.
        watch: told after every step of a search.
        derivative: 0 for values, 1 or 2 for the derivative of that order.

    Raises:
        UnreadableFile, Unsupported, BadRequest, InternalError: see `certify.checking.check`.
    """
    model = model if isinstance(model, Model) else load(model)
    if derivative and math.prod(model.inputs) != 1:
        raise BadRequest(
            f"--derivative needs one input variable; {model.path} has {math.prod(model.inputs)}. "
            "Go along a line through them: certify enclose --segment A.json B.json"
        )
    count = math.prod(model.outputs)
    entries = sum(math.prod(node.shape) for node in model.graph.nodes)
    if (
        not derivative
        and math.prod(model.inputs) == 1
        and (entries > LARGE or (output is None and count > FEW))
    ):
        return _together(model, options, output)
    chosen = range(count) if output is None else [output]
    found, closed, why = {}, True, ""
    for number in chosen:
        # The target 0 makes the difference the model itself.
        outcome = check_graph(
            model,
            sp.Integer(0),
            replace(options, output=number),
            watch,
            sup=False,
            derivative=derivative,
        )
        found[number] = outcome.known
        closed &= outcome.stopped_by == "closed"
        why = why if outcome.stopped_by == "closed" else outcome.stopped_by
    return Ranges(model, options, found, closed, derivative, why)


def _together(model: Model, options: Options, output: int | None) -> Ranges:
    """All outputs, or one, by one search that begins with the whole box."""
    graph = model_graph(model, output or 0)
    if output is None:
        graph = model.graph
    lo, hi = options.domain
    places = torch.linspace(lo, hi, SAMPLES, dtype=torch.float64).reshape(-1, *model.inputs)
    if model.whole is None:
        check_agreement(model, places)
    else:
        check_agreement(model.whole, points(model, places))
    found = joint(graph, options.domain, options.goal, options.limits)
    seen = evaluate(graph, places)["model"].reshape(SAMPLES, -1)
    low, high = seen.amin(0), seen.amax(0)
    (least, most), (lower, upper) = found.outer, found.inner
    # Nothing proven rests on this: it only finds defects of ours, and plain samples are rounded.
    slack = ROUNDED * (1 + seen.abs().amax(0))
    outside = (low < least - slack) | (high > most + slack)
    if bool((outside | (least > lower) | (upper > most)).any()):
        raise InternalError("a sample lies outside its range; please report this model")
    ends = {
        (output or 0) + i: Ends(found.outer[:, i : i + 1], found.inner[:, i : i + 1])
        for i in range(len(least))
    }
    closed = found.stopped_by == "closed"
    return Ranges(model, options, ends, closed, 0, "" if closed else found.stopped_by)


def render(found: Ranges) -> str:
    """One line an output."""
    place, lines = box(_sides(found)), []
    for number, known in found.outputs.items():
        (low,), (high,) = known.range.tolist()
        (most,), (least,) = known.inner.tolist()
        head = "model" + "'" * found.derivative
        head = head if len(found.outputs) == 1 else f"{head}[{number}]"
        lines.append(
            f"{head} on {place} stays in {interval(low, high, 8)}\n"
            f"{'':<{len(head)}} and reaches down to {most:.17g} or less and up to {least:.17g} "
            "or more"
        )
    if not found.closed:
        share = found.options.goal.gap
        lines.append(
            f"UNDECIDED   not every range is closed to the gap of {share:g}: stopped by "
            f"{found.why}; what is printed holds all the same"
        )
    return "\n".join(lines)


def _sides(found: Ranges) -> list[list[float]]:
    """Both ends of every input."""
    return [list(found.options.domain) for _ in range(math.prod(found.model.inputs))]


def as_data(found: Ranges) -> dict[str, Any]:
    """The same as JSON, schema certify-enclosure/1."""
    outputs = []
    for number, known in found.outputs.items():
        outer, inner = known.range[:, 0].tolist(), known.inner[:, 0].tolist()
        outputs.append({"output": number, **guaranteed(range=outer, reached=inner)})
    return {
        "schema": "certify-enclosure/1",
        "tool": versions(),
        "model": {"path": found.model.path, "sha256": found.model.sha256},
        "box": _sides(found),
        "derivative": found.derivative,
        "semantics": "real",
        "guaranteed": True,
        "outputs": outputs,
        "closed": found.closed,
        "stopped_by": found.why or "closed",
    }
