"""The largest error by multistart: local maxima of a grid refined, and proved at their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from certify.goal import Brackets
from certify.search import Problem, measure
from probes.optional import need
from probes.samples import Samples, values
from probes.sandwich import Held, below_all
from probes.values import refined
from theory.targets import Target

PARTS = 400  # the target moves by at most this part of its range in a step
STARTS = 16
ITERATIONS = 40
SAYS = "the errors proved at refined maxima are at most the proved sup error of their cells"


@dataclass(frozen=True, eq=False)
class Extremes:
    """What multistart refinement found.

    Attributes:
        x: (n,), the refined places, largest error first.
        plain: (n,), |error| there in float64.
        proved: (n,), proved lower bounds on |error| there.
        held: the comparison with what is certified.
    """

    x: Tensor
    plain: Tensor
    proved: Tensor
    held: Held


def extremes(problem: Problem, target: Target, known: Brackets, samples: Samples) -> Extremes:
    """Refine the largest local maxima of |error| and hold them against the proved bounds.

    Args:
        problem: model, target and difference.
        target: finer steps are taken where it is steep.
        known: what is certified.
        samples: the grid to begin with.

    Raises:
        InternalError: a proved error exceeds a proved bound.
        Missing: scipy is not installed.
    """
    grid = torch.from_numpy(refined(target, samples.x.numpy(), PARTS))
    size, old = torch.empty_like(grid), torch.isin(grid, samples.x)
    size[old] = samples.error.abs()
    size[~old] = values(problem.graph, grid[~old], "difference").abs()
    x = maxima(problem, grid, size.nan_to_num(nan=-1.0))
    plain = values(problem.graph, x, "difference").abs()
    order = torch.argsort(plain, descending=True)
    x, plain = x[order], plain[order]
    edges = problem.cells[:, 0, 0].contiguous()
    cell = (torch.searchsorted(edges, x, right=True) - 1).clamp(min=0)
    points = measure(problem, x, cell)
    how = f"Chandrupatla's method from the {STARTS} largest of {len(grid)} grid points"
    held = below_all(SAYS, how, x, points.error(), known.cell_sup[1, cell])
    return Extremes(x, plain, points.error(), held)


def maxima(problem: Problem, grid: Tensor, size: Tensor) -> Tensor:
    """(n,), places of local maxima of |error|, from its sizes (m,) on an ascending grid (m,).

    Source:
        Chandrupatla, An efficient quadratic fit-sectioning algorithm for minimization without
        derivatives, Computer Methods in Applied Mechanics and Engineering 152, 1998.
    """
    elementwise = need("scipy.optimize.elementwise", "refinement")
    padded = torch.cat([size.new_tensor([-1.0]), size, size.new_tensor([-1.0])])
    peaks = ((size >= padded[:-2]) & (size >= padded[2:])).nonzero().squeeze(1)
    peaks = peaks[torch.argsort(size[peaks], descending=True)][:STARTS]
    inner = peaks[(peaks > 0) & (peaks < len(size) - 1)]
    kept = grid[peaks]
    if not len(inner):
        return kept

    def objective(x: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(np.ascontiguousarray(x)).reshape(-1)
        return -values(problem.graph, flat, "difference").abs().numpy().reshape(x.shape)

    bracket = tuple(grid[inner + k].numpy() for k in (-1, 0, 1))
    found = elementwise.find_minimum(objective, bracket, maxiter=ITERATIONS)
    places = torch.from_numpy(np.asarray(found.x))
    lo, hi = grid[inner - 1], grid[inner + 1]
    good = places.isfinite() & (places >= lo) & (places <= hi)
    return torch.unique(torch.cat([kept, places[good]]))
