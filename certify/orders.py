"""The order of the polynomials, chosen by what it gains for its time.

Every trial is real work: some open leaves are split with one order, some with the next, and the
order that took most bits off the remainders per second does the rest. A search that ends before
there is enough to try on never leaves the first order, which measurement favors
(docs/performance.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from certify.domains.basis import Basis
from certify.search import Leaves

BY_VARIABLES = ((1, (8, 5, 11)), (2, (6, 4, 8)), (4, (5, 4, 6)), (8, (3, 2, 4)))  # at most so many
OTHERS = (2, 1, 3)
MOST_MONOMIALS = 2**13  # of one polynomial; the order 1 is always possible
TRIAL = 16  # leaves split in one trial
WORTH = 6 * TRIAL  # open leaves from which on a choice pays
AGAIN = 4  # times as many open leaves: what was measured on wider boxes is measured again


def candidates(variables: int) -> tuple[int, ...]:
    """The orders worth a trial, the likeliest first; one of too many monomials is none."""
    found = next((orders for most, orders in BY_VARIABLES if variables <= most), OTHERS)
    return tuple(k for k in found if k == 1 or Basis(variables, k).count() <= MOST_MONOMIALS)


@dataclass(frozen=True)
class Orders:
    """Gains measured so far, in bits per second, by order; candidates in the order of trial."""

    candidates: tuple[int, ...]
    gains: dict[int, float] = field(default_factory=dict)
    worth: int = WORTH

    def next(self, open_leaves: int) -> tuple[int, bool]:
        """The order for the next batch, and whether it is a trial."""
        untried = [order for order in self.candidates if order not in self.gains]
        if open_leaves >= self.worth:
            return (untried or self.candidates)[0], True
        if not self.gains:
            return self.candidates[0], False
        return max(self.gains, key=self.gains.__getitem__), False

    def measured(
        self, order: int, parents: Leaves, new: Leaves, seconds: float, open_leaves: int
    ) -> Orders:
        """The gains with one trial added: bits taken off the sum of the remainders."""
        before, after = (float(leaves.rem.clamp(max=2.0**200).sum()) for leaves in (parents, new))
        each = before / len(parents), after / len(new)
        bits = torch.log2(torch.tensor(each, dtype=torch.float64).clamp(min=2.0**-200))
        gain = float(bits[0] - bits[1]) * len(parents) / seconds
        again = len(self.gains) == len(self.candidates)
        gains = {order: gain} if again else {**self.gains, order: gain}
        complete = len(gains) == len(self.candidates)
        return Orders(self.candidates, gains, AGAIN * open_leaves if complete else self.worth)
