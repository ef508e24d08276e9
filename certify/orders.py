"""The order of the polynomials, chosen by what it gains for its time.

Every trial is real work: some open leaves are split with one order, some with the next, and the
order that took most bits off the remainders per second does the rest. A search that ends before
there is enough to try on never leaves the first order, which measurement favors
(docs/performance.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from certify.search import Leaves

CANDIDATES = (8, 5, 11)
TRIAL = 16  # leaves split in one trial
WORTH = 6 * TRIAL  # open leaves from which on a choice pays


@dataclass(frozen=True)
class Orders:
    """Gains measured so far, in bits per second, by order."""

    gains: dict[int, float] = field(default_factory=dict)

    def next(self, open_leaves: int) -> tuple[int, bool]:
        """The order for the next batch, and whether it is a trial."""
        untried = [order for order in CANDIDATES if order not in self.gains]
        if untried and open_leaves >= WORTH:
            return untried[0], True
        if not self.gains:
            return CANDIDATES[0], False
        return max(self.gains, key=self.gains.__getitem__), False

    def measured(self, order: int, parents: Leaves, new: Leaves, seconds: float) -> Orders:
        """The gains with one trial added: bits taken off the sum of the remainders."""
        before, after = (float(leaves.rem.clamp(max=2.0**200).sum()) for leaves in (parents, new))
        each = before / len(parents), after / len(new)
        bits = torch.log2(torch.tensor(each, dtype=torch.float64).clamp(min=2.0**-200))
        gain = float(bits[0] - bits[1]) * len(parents) / seconds
        return Orders({**self.gains, order: gain})
