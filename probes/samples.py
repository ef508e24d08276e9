"""The model and its target at the points of a grid, in float64, with slopes by autograd."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from certify.evaluate import evaluate
from certify.frontend import Model
from certify.frontend.agree import interpret
from certify.frontend.curve import points
from certify.graph import Graph

CHUNK = 512


@dataclass(frozen=True, eq=False)
class Samples:
    """A uniform grid of C cells with S + 1 points in each, both ends among them.

    Attributes:
        x: (N,), N = C S + 1, ascending; the grid of all cells together.
        model, target: (N,), values.
        slope: (N,), the model's slope, by forward-mode autograd.
        cells: (C, S + 1), numbers of the points of each cell; neighbors share one.
    """

    x: Tensor
    model: Tensor
    target: Tensor
    slope: Tensor
    cells: Tensor

    @property
    def error(self) -> Tensor:
        """(N,), model - target."""
        return self.model - self.target

    def oscillation(self, values: Tensor) -> Tensor:
        """(C,), largest minus least of some values (N,) on every cell."""
        part = values[self.cells]
        return part.amax(1) - part.amin(1)


def sample(graph: Graph, cells: Tensor, per_cell: int) -> Samples:
    """Take samples on every cell.

    Args:
        graph: outputs model and target, of one input variable.
        cells: (C, 2), ascending, each ending where the next begins.
        per_cell: S, steps in each cell.
    """
    t = torch.arange(per_cell, dtype=torch.float64) / per_cell
    cells = cells.reshape(-1, 2)  # of one variable
    lo, hi = cells[:, :1], cells[:, 1:]
    inner = torch.minimum(lo + (hi - lo) * t, hi)
    x = torch.cat([inner.reshape(-1), cells[-1:, 1]])
    found = [values_and_slopes(graph, part) for part in x.split(CHUNK)]
    model, target, slope = (torch.cat(parts) for parts in zip(*found, strict=True))
    first = torch.arange(len(cells))[:, None] * per_cell
    return Samples(x, model, target, slope, first + torch.arange(per_cell + 1))


def values_and_slopes(graph: Graph, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(n,) values of model and target and slopes of the model, at x (n,), by the graph."""
    shaped = x.reshape(-1, *graph.input_shape)
    with forward_ad.dual_level():
        out = evaluate(graph, forward_ad.make_dual(shaped, torch.ones_like(shaped)))
        model, target = (forward_ad.unpack_dual(out[name]) for name in ("model", "target"))
        slope = torch.zeros_like(model.primal) if model.tangent is None else model.tangent
    return model.primal.reshape(-1), target.primal.reshape(-1), slope.reshape(-1)


def values(graph: Graph, x: Tensor, name: str = "model") -> Tensor:
    """(n,) values of one output at x (n,), by the graph."""
    if not len(x):
        return x.clone()
    shaped = x.reshape(-1, *graph.input_shape)
    return torch.cat([evaluate(graph, part)[name].reshape(-1) for part in shaped.split(CHUNK)])


def archive_slopes(model: Model, x: Tensor, output: int) -> Tensor:
    """(n,) slopes at x (n,): autograd through the archive's own operators, not the graph.

    Args:
        model: of one input variable, or along a curve.
        x: float64.
        output: number of the output, flattened.
    """
    whole, found = model.whole or model, []
    with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
        for one in x.reshape(-1, *model.inputs):
            dual = forward_ad.make_dual(one, torch.ones_like(one))
            if model.whole is not None:
                dual = points(model, dual[None])[0]
            out = forward_ad.unpack_dual(interpret(whole.program, dual))
            tangent = torch.zeros_like(out.primal) if out.tangent is None else out.tangent
            found.append(tangent.reshape(-1)[output])
    return torch.stack(found) if found else torch.full((0,), math.nan, dtype=torch.float64)
