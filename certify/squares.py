"""The square of the error's 2-norm over all outputs, as a search's problem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from certify.domains.kinks import Crossings
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Apply, Gather, Graph
from certify.search import Problem
from theory.functions import FUNCTIONS

SQUARE = Apply(FUNCTIONS["square"])
NOTHING = Gather(np.array([-1]))
SHARE = 64  # part of the square's root to which an error has to be known


@dataclass(frozen=True, eq=False)
class SquaredError(Problem):
    """The sum of the squares of all errors against 0.

    Each error is enclosed as if it were asked about alone, which its backward pass and its blocks
    sharpen; the squares are summed as polynomials, so what the errors have in common is kept.

    Attributes:
        parts: for every output the graph with model, target and difference; `graph` is that of
            the sum, for plain samples.
    """

    parts: tuple[Graph, ...] = ()

    def enclosed(
        self,
        domain: Taylor,
        box: Tensor,
        enough: float,
        crossings: Crossings | None = None,
        deep: float | None = None,
    ) -> dict[str, TaylorModel]:
        """The sum as `model` and as `difference`, and 0 as `target`."""
        total = None
        near, far = self._share(enough), None if deep is None else self._share(deep)
        how = self.order, self.back, self.margin, self.floor, self.room
        for graph in self.parts:
            one = Problem(graph, self.cells, *how)
            error = one.enclosed(domain, box, near, crossings, far)["difference"]
            square = domain.apply(SQUARE, error)
            total = square if total is None else domain.add(total, square)
        zero = domain.gather(NOTHING, total)
        return {"model": total, "target": zero, "difference": total}

    def _share(self, enough: float) -> float:
        """How well one error has to be known, for the sum of the squares to be known so well.

        A guide: an error of size E known to r has a square known to about 2 E r. What is enough
        for the sum is some hundredth of its own size.
        """
        return math.sqrt(enough) / (SHARE * len(self.parts))
