"""What can be said of a model, as formulas over numbers that are known by their bounds.

A claim is decided by entailment: Z3 proves that the bounds leave no room for its opposite, or
none for itself. Every double is an exact rational number here; nothing is rounded.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

from theory.windows import FLAT, Pair, Windows

UNKNOWN: Pair = (-math.inf, math.inf)


class Verdict(enum.Enum):
    """What is known of a claim."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Facts:
    """Proven bounds, lower and upper, of the numbers that claims speak of.

    Attributes:
        sup_error: of sup |model - target| over the domain.
        total: of the target's variation over the domain.
        variation, target_variation: of max - min over each cell.
        slopes: of the least and of the greatest slope of the model: all its difference quotients
            lie between the two, and come near both.
        windows: what is known of windows of any place and width.
    """

    sup_error: Pair
    total: Pair
    variation: Sequence[Pair]
    target_variation: Sequence[Pair]
    slopes: tuple[Pair, Pair] = (UNKNOWN, UNKNOWN)
    windows: Windows | None = None


@dataclass(frozen=True)
class CellVerdict:
    """Theorem D3 on one cell.

    Attributes:
        deciding: the target provably varies there, and by FLAT of its total or more.
        possible: it is not proven that the cell is flat.
        verdict: is it a plateau? UNDECIDED on a cell that decides nothing.
    """

    deciding: bool
    possible: bool
    verdict: Verdict


def cell_verdicts(facts: Facts, tau: float) -> list[CellVerdict]:
    """Theorem D3 on every cell.

    Args:
        facts: bounds of the total and of the variations.
        tau: plateau ratio, 0 <= tau < 1.

    Raises:
        ValueError: the facts contradict each other.
    """
    out = []
    for ours, theirs in zip(facts.variation, facts.target_variation, strict=True):
        known = Known()
        total, variation = known.number("total", facts.total), known.number("variation", ours)
        target = known.number("target_variation", theirs)
        decides = z3.And(target > 0, target >= real(FLAT) * total)
        plateau = z3.And(decides, variation <= real(tau) * target)
        if known.excludes(decides):
            out.append(CellVerdict(False, False, Verdict.UNDECIDED))
            continue
        verdict = known.decide(plateau)
        deciding = verdict is Verdict.PROVED or known.excludes(z3.Not(decides))
        out.append(CellVerdict(deciding, True, verdict))
    return out


def some_plateau(cells: Sequence[CellVerdict]) -> Verdict:
    """D3: PROVED if some deciding cell is a plateau, REFUTED if there are such and none is one.

    A cell that may decide, for all that is known, counts against REFUTED until it is refuted.
    """
    if any(cell.verdict is Verdict.PROVED for cell in cells):
        return Verdict.PROVED
    if any(cell.deciding for cell in cells) and all(
        cell.verdict is Verdict.REFUTED for cell in cells if cell.possible
    ):
        return Verdict.REFUTED
    return Verdict.UNDECIDED


@dataclass(frozen=True)
class Kind:
    """A kind of claim: the names of its numbers, and what facts say of it."""

    parameters: tuple[str, ...]
    judge: Callable[..., Verdict]


def _within(facts: Facts, bound: float) -> Verdict:
    known = Known()
    return known.decide(known.number("sup_error", facts.sup_error) <= real(bound))


def _constant_up_to(facts: Facts, bound: float) -> Verdict:
    known = Known()
    cells = [known.number(f"variation{i}", pair) for i, pair in enumerate(facts.variation)]
    return known.decide(z3.And([variation <= real(bound) for variation in cells]))


def _no_plateau(facts: Facts, tau: float) -> Verdict:
    return OPPOSITE[some_plateau(cell_verdicts(facts, tau))]


def _no_plateau_window(facts: Facts, tau: float, width: float) -> Verdict:
    found, none = facts.windows.sliding(tau, width) if facts.windows else (None, False)
    return Verdict.REFUTED if found else Verdict.PROVED if none else Verdict.UNDECIDED


def _longest_plateau(facts: Facts, tau: float, least: float, most: float) -> Verdict:
    """The bounds are a result of the same computation: they hold or are not shown to."""
    lo, hi, _ = facts.windows.longest(tau) if facts.windows else (0.0, math.inf, None)
    return Verdict.PROVED if least <= lo and hi <= most else Verdict.UNDECIDED


def _monotone(facts: Facts) -> Verdict:
    known = Known()
    least, greatest = (known.number(f"slope{i}", pair) for i, pair in enumerate(facts.slopes))
    return known.decide(z3.Or(least >= 0, greatest <= 0))


def _lipschitz(facts: Facts, bound: float) -> Verdict:
    known = Known()
    least, greatest = (known.number(f"slope{i}", pair) for i, pair in enumerate(facts.slopes))
    return known.decide(z3.And(least >= -real(bound), greatest <= real(bound)))


OPPOSITE = {
    Verdict.PROVED: Verdict.REFUTED,
    Verdict.REFUTED: Verdict.PROVED,
    Verdict.UNDECIDED: Verdict.UNDECIDED,
}
CLAIMS = {
    "within": Kind(("bound",), _within),
    "constant-up-to": Kind(("bound",), _constant_up_to),
    "no-plateau": Kind(("tau",), _no_plateau),
    "no-plateau-window": Kind(("tau", "width"), _no_plateau_window),
    "longest-plateau": Kind(("tau", "least", "most"), _longest_plateau),
    "monotone": Kind((), _monotone),
    "lipschitz": Kind(("bound",), _lipschitz),
}


def decide(label: str, numbers: dict[str, float], facts: Facts) -> Verdict:
    """What the facts say of a claim.

    Args:
        label: a name of `CLAIMS`.
        numbers: exactly its parameters, finite.
        facts: proven bounds.

    Raises:
        ValueError: there is no such claim, its numbers are others, or the facts contradict
            each other.
    """
    kind = CLAIMS.get(label)
    if kind is None or set(numbers) != set(kind.parameters):
        raise ValueError(f"{ascii(label)} with {ascii(sorted(numbers))} is no claim")
    return kind.judge(facts, **numbers)


class Known:
    """Numbers known by their bounds, and what follows from those."""

    def __init__(self) -> None:
        self.solver = z3.SimpleSolver()

    def number(self, name: str, pair: Pair) -> Any:
        """A symbol for a number with these bounds; a bound that is infinite or nan says nothing.

        Raises:
            ValueError: no number has these bounds.
        """
        lo, hi = pair
        if lo > hi:
            raise ValueError(f"the bounds of {name} contradict each other: {lo!r} > {hi!r}")
        symbol = z3.Real(name)
        self.solver.add([symbol >= real(lo)] if math.isfinite(lo) else [])
        self.solver.add([symbol <= real(hi)] if math.isfinite(hi) else [])
        return symbol

    def excludes(self, formula: Any) -> bool:
        """Whether the formula cannot hold; a solver that gives up has shown nothing."""
        self.solver.push()
        self.solver.add(formula)
        answer = self.solver.check()
        self.solver.pop()
        return answer == z3.unsat

    def decide(self, formula: Any) -> Verdict:
        """PROVED if its opposite is excluded, REFUTED if it is itself."""
        if self.excludes(z3.Not(formula)):
            return Verdict.PROVED
        return Verdict.REFUTED if self.excludes(formula) else Verdict.UNDECIDED


def real(x: float | Fraction) -> Any:
    """A finite number as an exact constant of Z3."""
    return z3.RealVal(str(Fraction(x)))
