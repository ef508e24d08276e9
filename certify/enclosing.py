"""How boxes are enclosed: forward, then backward or by blocks where remainders are too large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from certify.domains import norms
from certify.domains.adjoint import Trace, output_error
from certify.domains.defects import sharpened
from certify.domains.kinks import Crossings
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Node, enclose
from certify.normalized import limit

if TYPE_CHECKING:
    from certify.search import Problem

NEGATE = Affine(scale=np.array(-1.0))
ENCLOSURE = ("rem", "lo", "hi", "norm")


def forward(
    problem: Problem,
    domain: Taylor,
    box: Tensor,
    enough: float = 0.0,
    crossings: Crossings | None = None,
) -> dict[str, TaylorModel]:
    """Enclose the outputs, remainders above `enough` sharpened by a backward pass.

    The target is one or two functions of the input: only the model needs it, and the
    difference is formed again from both.
    """
    back = problem.back if problem.variables == 1 else min(problem.back, 1)
    trace = Trace(back, domain)

    tighter = limit(problem.graph, domain)

    def watch(number: int, node: Node, inputs: list, value: TaylorModel) -> TaylorModel:
        value = tighter(number, node, inputs, value)
        trace.note(number, node, inputs, value)
        if crossings is not None:
            crossings.note(node, inputs[0])
        return value

    models = enclose(problem.graph, box, domain=domain, watch=watch)
    output = problem.graph.outputs["model"]
    if output == 0 or bool((models["difference"].rem <= enough).all()):
        return models  # the input itself has nothing to sharpen
    error = output_error(problem.graph, trace, output)
    model = models["model"]
    model = replace(model, rem=torch.fmin(model.rem, error.reshape(model.rem.shape)))
    difference = domain.add(model, domain.affine(NEGATE, models["target"]))
    kept = models["difference"]
    ends = torch.fmax(difference.lo, kept.lo), torch.fmin(difference.hi, kept.hi)
    difference = replace(difference, lo=ends[0], hi=ends[1])
    return models | {"model": model, "difference": difference}


def by_blocks(
    problem: Problem,
    domain: Taylor,
    box: Tensor,
    models: dict[str, TaylorModel],
    enough: float,
) -> dict[str, TaylorModel]:
    """The same, where remainders above `enough` are carried from block to block instead."""
    model, output = models["model"], problem.graph.outputs["model"]
    where = ~(models["difference"].rem.reshape(-1) <= enough)
    if not output or not bool(where.any()):
        return models
    found = sharpened(problem.graph, box[where], domain, output, problem.room)
    if found is None:
        return models
    old = replace(
        model, coef=model.coef[:, where], **{n: getattr(model, n)[where] for n in ENCLOSURE}
    )
    lo, hi = torch.fmax(old.lo, found.lo), torch.fmin(old.hi, found.hi)
    better = found.rem < old.rem
    coef = torch.where(better, found.coef, old.coef)
    rem = torch.where(better, found.rem, old.rem)
    parts = {"coef": model.coef.clone()} | {n: getattr(model, n).clone() for n in ENCLOSURE}
    parts["coef"][:, where] = coef
    for name, value in zip(ENCLOSURE, (rem, lo, hi, norms.rows(rem)), strict=True):
        parts[name][where] = value
    model = TaylorModel(**parts)
    difference = domain.add(model, domain.affine(NEGATE, models["target"]))
    return models | {"model": model, "difference": difference}
