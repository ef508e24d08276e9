"""Verdicts: PROVED, REFUTED or UNDECIDED, each with its numbers and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from certify.goal import Brackets
from theory.claims import CellVerdict, Facts, Verdict, cell_verdicts, some_plateau

__all__ = ["Claim", "Plateaus", "Verdict", "facts", "plateaus"]


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it.

    Attributes:
        label: the option that asks for it, a name of `theory.claims.CLAIMS`.
        numbers: of the claim, by name.
        says: the claim in words.
        verdict: what is known.
        reason: the numbers that decide it.
        witness: what shows it: an input, a cell by its number, a window, or pairs of inputs.
        theorem: the statement of the theory that links numbers and verdict, if any.
    """

    label: str
    numbers: dict[str, float]
    says: str
    verdict: Verdict
    reason: str
    witness: float | int | tuple | list | None = None
    theorem: str | None = None


def facts(known: Brackets) -> Facts:
    """The brackets as facts that claims may speak of."""

    def pairs(bracket: Tensor) -> list[tuple[float, float]]:
        return [(lo, hi) for lo, hi in bracket.T.tolist()]

    lo, hi = known.target_total.tolist()
    return Facts(known.sup, (lo, hi), pairs(known.variation), pairs(known.target_variation))


@dataclass(frozen=True, eq=False)
class Plateaus:
    """Theorem D3 on every cell: is the model's variation at most tau times the target's?"""

    cells: tuple[CellVerdict, ...]

    @cached_property
    def deciding(self) -> Tensor:
        """(C,), the target provably varies there, and by FLAT of its total or more."""
        return torch.tensor([cell.deciding for cell in self.cells])

    @cached_property
    def possible(self) -> Tensor:
        """(C,), it is not proven that the cell is flat."""
        return torch.tensor([cell.possible for cell in self.cells])

    @cached_property
    def proved(self) -> Tensor:
        """(C,), the cell is a plateau."""
        return torch.tensor([cell.verdict is Verdict.PROVED for cell in self.cells])

    @cached_property
    def refuted(self) -> Tensor:
        """(C,), the cell is none."""
        return torch.tensor([cell.verdict is Verdict.REFUTED for cell in self.cells])

    def telling(self, known: Brackets) -> int:
        """The cell that says most: the plateau on which the target varies most, or else the
        deciding cell on which the model varies least beside the target."""
        if bool(self.proved.any()):
            return int((self.proved.double() * known.target_variation[0]).argmax())
        ratio = known.variation[0] / known.target_variation[1]
        return int(ratio.masked_fill(~self.deciding, float("inf")).argmin())

    def overall(self) -> Verdict:
        """D3: PROVED if some deciding cell is a plateau, REFUTED if every one is none."""
        return some_plateau(self.cells)


def plateaus(known: Brackets, tau: float) -> Plateaus:
    """Compare variations, exactly."""
    return Plateaus(tuple(cell_verdicts(facts(known), tau)))
