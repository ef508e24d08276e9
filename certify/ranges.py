"""The range of a model's outputs, or of their derivatives, on a box: from inside and outside."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from certify.checking import check_graph
from certify.errors import BadRequest
from certify.frontend import Model, load
from certify.goal import Brackets
from certify.options import Options
from certify.report.data import guaranteed, versions
from certify.report.numbers import interval
from certify.run import Progress


@dataclass(frozen=True, eq=False)
class Ranges:
    """Brackets of the chosen outputs over one box, by output number."""

    model: Model
    options: Options
    outputs: dict[int, Brackets]
    closed: bool
    derivative: int = 0


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
            "Go along a line through them: certify check --segment A.json B.json --slopes"
        )
    count = math.prod(model.outputs)
    chosen = range(count) if output is None else [output]
    found, closed = {}, True
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
    return Ranges(model, options, found, closed, derivative)


def render(found: Ranges) -> str:
    """One line an output."""
    lo, hi = found.options.domain
    lines = []
    for number, known in found.outputs.items():
        (low,), (high,) = known.range.tolist()
        (most,), (least,) = known.inner.tolist()
        head = "model" + "'" * found.derivative
        head = head if len(found.outputs) == 1 else f"{head}[{number}]"
        lines.append(
            f"{head} on [{lo!r}, {hi!r}] stays in {interval(low, high, 8)}\n"
            f"{'':<{len(head)}} and reaches down to {most:.17g} or less and up to {least:.17g} "
            "or more"
        )
    return "\n".join(lines)


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
        "box": [list(found.options.domain)],
        "derivative": found.derivative,
        "semantics": "real",
        "guaranteed": True,
        "outputs": outputs,
        "closed": found.closed,
    }
