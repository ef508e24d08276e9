"""Interval tests: what model, target, error and slopes do on every cell, sampled and proved."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
import torch
from torch import Tensor

from certify.frontend.target import target_node
from certify.goal import Brackets
from certify.graph import Apply, Builder, Graph
from certify.rounding import below
from certify.search import DIFFERENCE, Problem
from probes.differences import proof
from probes.samples import Samples
from probes.sandwich import Claim, Held, Prove, below_all, hold

SLOPES = "the model's sampled slopes lie in the proved slopes of the cell"


@dataclass(frozen=True, eq=False)
class Intervals:
    """Cell by cell, (C,) each.

    Attributes:
        model, target: sampled oscillation, largest minus least of the samples.
        least: proved lower bounds on the model's oscillation, from its proved values at the
            samples where it is least and greatest.
        least_target: the same of the target.
        error: largest sampled |model - target|.
        slope: largest sampled |slope|.
        held: the comparisons.
    """

    model: Tensor
    target: Tensor
    least: Tensor
    least_target: Tensor
    error: Tensor
    slope: Tensor
    held: tuple[Held, ...]


def intervals(
    problem: Problem,
    expression: sp.Expr,
    samples: Samples,
    known: Brackets,
    slopes: tuple[Problem, Tensor],
) -> Intervals:
    """Hold everything sampled against everything proved, on every cell.

    Args:
        problem: model, target and difference.
        expression: the target.
        samples: on the problem's cells.
        known: the brackets of the search.
        slopes: the model's derivative as a problem, and its proved hull (2, C).

    Raises:
        InternalError: something sampled is outside what is proved; the witness is named.
    """
    alone = target_problem(expression, problem)
    model, low = _oscillation(problem, samples, samples.model, known.variation[1], "model")
    target, low_target = _oscillation(
        alone, samples, samples.target, known.target_variation[1], "target"
    )
    every = samples.cells
    x = samples.x[every]
    per_cell = f"{every.shape[1]} points in each of {len(every)} cells, float64"

    def within(says: str, values: Tensor, bounds: Tensor, prove: Prove) -> Held:
        spread = bounds[:, :, None].expand(2, *every.shape).reshape(2, -1)
        plain = values[every].reshape(-1)
        claim = Claim(says, per_cell, jumps=says == SLOPES and kinked)
        return hold(claim, x.reshape(-1), plain, spread, prove)

    error, kinked = known.cell_sup[1], has_kinks(problem.graph)
    derived, hull = slopes
    held = (
        model,
        target,
        within("the model's samples lie in its proved range", samples.model, known.range,
               proof(problem)),
        within("sampled errors are at most the proved sup error of the cell", samples.error,
               torch.stack([-error, error]), proof(problem, DIFFERENCE)),
        within(SLOPES, samples.slope,
               hull, proof(derived)),
    )  # fmt: skip
    return Intervals(
        samples.oscillation(samples.model),
        samples.oscillation(samples.target),
        low,
        low_target,
        samples.error[every].abs().amax(1),
        samples.slope[every].abs().amax(1),
        held,
    )


def has_kinks(graph: Graph) -> bool:
    """Whether a function that the model applies has slopes on two sides."""
    stack, seen = [graph.outputs["model"]], set()
    while stack:
        value = stack.pop()
        if not value or value in seen:
            continue
        seen.add(value)
        node = graph.nodes[value - 1]
        if isinstance(node.primitive, Apply) and node.primitive.function.kinks:
            return True
        stack.extend(node.inputs)
    return False


def target_problem(expression: sp.Expr, like: Problem) -> Problem:
    """The target in place of the model too, so that its values are proved without the model."""
    builder = Builder(like.graph.input_shape)
    value = target_node(builder, expression, builder.reshape(0, (1,)))
    nothing = builder.subtract(value, value)
    graph = builder.graph(model=value, target=value, difference=nothing)
    return Problem(graph, like.cells)


def _oscillation(
    problem: Problem, samples: Samples, values: Tensor, most: Tensor, name: str
) -> tuple[Held, Tensor]:
    """Proved lower bounds (C,) on what `name` varies by on every cell, held against `most`."""
    part = values[samples.cells]
    places = [samples.x.take(samples.cells.gather(1, side.unsqueeze(1)).squeeze(1))
              for side in (part.argmin(1), part.argmax(1))]  # fmt: skip
    proved = proof(problem)(torch.cat(places)).reshape(2, 2, -1)
    # Greatest value's lower end minus least value's upper end, rounded down.
    low = below(proved[0, 1] - proved[1, 0]).clamp(min=0)
    says = f"the {name}'s sampled oscillation is at most its proved variation on every cell"
    method = "proved values at the samples where it is least and greatest"
    return below_all(says, method, places[1], low, most), low


def ratios(found: Intervals) -> Tensor:
    """(C,), the model's sampled oscillation in parts of the target's; nan where that is 0."""
    return found.model / torch.where(found.target > 0, found.target, torch.nan)


def compared(known: Brackets, found: Intervals) -> Tensor:
    """(C,), the share of the proved upper bound on the variation that samples already show."""
    exact = [
        float(Fraction(low) / Fraction(high)) if 0 < high < float("inf") else 1.0
        for low, high in zip(found.least.tolist(), known.variation[1].tolist(), strict=True)
    ]
    return torch.tensor(exact, dtype=torch.float64)
