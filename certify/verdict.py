"""Verdicts: PROVED, REFUTED or UNDECIDED, each with its numbers and its reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.goal import Brackets, Goal, deciding


class Verdict(enum.Enum):
    """What is known of a claim."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it.

    Attributes:
        label: the option that asks for it.
        says: the claim in words.
        verdict: what is known.
        reason: the numbers that decide it.
        witness: an input, or the number of a cell, that shows it; None without one.
        theorem: the statement of the theory that links numbers and verdict, if any.
    """

    label: str
    says: str
    verdict: Verdict
    reason: str
    witness: float | int | None = None
    theorem: str | None = None


def decide(lo: float, hi: float, bound: float) -> Verdict:
    """Is a number in [lo, hi] at most `bound`? The two tests are not each other's negation."""
    if hi <= bound:
        return Verdict.PROVED
    if lo > bound:
        return Verdict.REFUTED
    return Verdict.UNDECIDED


@dataclass(frozen=True, eq=False)
class Plateaus:
    """Theorem D3 on every cell: is the model's variation at most tau times the target's?

    Attributes:
        deciding: (C,), the target provably varies there, and by FLAT of its total or more.
        possible: (C,), it is not proven that the cell is flat.
        proved, refuted: (C,), the verdict on such cells; neither is UNDECIDED.
    """

    deciding: Tensor
    possible: Tensor
    proved: Tensor
    refuted: Tensor

    def verdict(self, cell: int) -> Verdict:
        """The verdict on one cell; a cell that decides nothing is UNDECIDED."""
        if bool(self.proved[cell]):
            return Verdict.PROVED
        return Verdict.REFUTED if bool(self.refuted[cell]) else Verdict.UNDECIDED

    def overall(self) -> Verdict:
        """D3: PROVED if some deciding cell is a plateau, REFUTED if every one is none.

        A cell that may decide, for all that is known, counts against REFUTED until it is refuted.
        """
        if bool(self.proved.any()):
            return Verdict.PROVED
        if bool(self.deciding.any()) and bool(self.refuted[self.possible].all()):
            return Verdict.REFUTED
        return Verdict.UNDECIDED


def plateaus(known: Brackets, goal: Goal) -> Plateaus:
    """Compare variations; tau D- is rounded down and tau D+ up, so that both verdicts hold."""
    low, high = known.variation
    target_low, target_high = known.target_variation
    certain, possible = deciding(known)
    floor = torch.nextafter(goal.tau * target_low, torch.zeros_like(low))
    ceiling = torch.nextafter(goal.tau * target_high, torch.full_like(low, torch.inf))
    return Plateaus(certain, possible, certain & (high <= floor), possible & (low > ceiling))
