"""The claims that were asked for, each decided by the judge that the checker uses too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import torch

from certify.options import Options
from certify.report.numbers import box, floor, interval, rounded
from certify.search import MODEL, Problem, measure
from certify.slopes import Slopes
from certify.verdict import Claim, Plateaus, Verdict, facts
from theory.claims import OPPOSITE, UNKNOWN, Facts, decide
from theory.targets import Target
from theory.windows import Windows

if TYPE_CHECKING:
    from certify.checking import Checked

STEPS = [2.0**-k for k in range(4, 24, 2)]  # of the domain: distances of a witness pair


def claims_of(
    options: Options,
    target: Target,
    outcome: Checked,
    found: Plateaus,
    sliding: Claim | None,
    slopes: Slopes | None,
) -> Iterator[Claim]:
    """The claims asked for, in the order of their options; `sliding` is the one about windows."""
    proven = facts(outcome.known)
    if slopes is not None:
        proven = replace(proven, slopes=(slopes.least, slopes.greatest))
    if options.within is not None:
        yield _within(options, target, outcome, proven)
    if options.constant_up_to is not None:
        yield _constant(options, outcome, proven)
    if options.no_plateau:
        yield sliding or _cells(options, target, outcome, found)
    if options.monotone:
        yield _monotone(outcome.problem, slopes, proven)
    if options.lipschitz is not None:
        yield _lipschitz(options, outcome.problem, slopes, proven)


def _within(options: Options, target: Target, outcome: Checked, proven: Facts) -> Claim:
    known, numbers = outcome.known, {"bound": options.within}
    verdict = decide("within", numbers, proven)
    return Claim(
        "within",
        numbers,
        f"{options.size(f'model - {target.term}')} <= {options.within!r}",
        verdict,
        f"sup error in {interval(*known.sup)}",
        _input(known.witness) if verdict is Verdict.REFUTED else None,
    )


def _input(x: tuple[float, ...]) -> float | tuple[float, ...]:
    """One number for one variable."""
    return x[0] if len(x) == 1 else x


def _constant(options: Options, outcome: Checked, proven: Facts) -> Claim:
    (low, high), cells = outcome.known.variation, outcome.cells
    numbers = {"bound": options.constant_up_to}
    verdict = decide("constant-up-to", numbers, proven)
    shown = int(low.argmax() if verdict is Verdict.REFUTED else high.argmax())
    return Claim(
        "constant-up-to",
        numbers,
        f"{options.subject} by at most {options.constant_up_to!r} on each of {len(cells)} cells",
        verdict,
        f"most on cell {shown}, {box(cells[shown].tolist())}: "
        f"variation in {interval(float(low[shown]), float(high[shown]), most=7)}",
        shown if verdict is Verdict.REFUTED else None,
    )


def _cells(options: Options, target: Target, outcome: Checked, found: Plateaus) -> Claim:
    overall, count = found.overall(), int(found.deciding.sum())
    plateaus, none = (
        int((which & found.deciding).sum()) for which in (found.proved, found.refuted)
    )
    cell = found.telling(outcome.known)
    where = f"cell {cell}, {box(outcome.cells[cell].tolist())}"
    (low, high), theirs = (
        bracket[:, cell].tolist()
        for bracket in (outcome.known.variation, outcome.known.target_variation)
    )
    if overall is Verdict.PROVED:
        also = f"{plateaus} plateaus, e.g." if plateaus > 1 else "plateau"
        reason = f"{also} on {where}: {_flat(high, theirs[0], target.noun)}"
        rest = count - plateaus
        if rest:
            every = "" if none == rest else f"{none} of "
            reason += f"; none on {every}the other {rest} deciding cell{'s' if rest > 1 else ''}"
    elif count:
        reason = (
            f"plateau on 0, none on {none} of {count} deciding cells; least on {where}: varies by "
            f"at least {rounded(low, 3, up=False)} where {target.noun} varies by at most "
            f"{rounded(theirs[1], 3, up=True)}"
        )
    else:
        reason = "no cell decides"
    return Claim(
        "no-plateau",
        {"tau": options.tau},
        f"no deciding cell is a {options.tau!r}-plateau",
        OPPOSITE[overall],
        reason,
        cell if overall is Verdict.PROVED else None,
        "D3",
    )


def _flat(ours: float, theirs: float, name: str) -> str:
    """How flat the model is, and that the target is not: what a plateau is."""
    most, least = rounded(ours, 3, up=True), rounded(theirs, 3, up=False)
    return f"varies by at most {most} where {name} varies by at least {least}"


def no_plateau_window(options: Options, target: Target, windows: Windows) -> Claim:
    """Whether some window of the width `options.windows`, of any place, is a plateau."""
    numbers = {"tau": options.tau, "width": options.windows}
    proven = Facts(UNKNOWN, UNKNOWN, (), (), windows=windows)
    verdict = decide("no-plateau-window", numbers, proven)
    window, _ = windows.sliding(options.tau, options.windows)
    if verdict is Verdict.REFUTED:
        flat = _flat(*windows.variations(window), target.noun)
        reason = f"[{window[0]!r}, {window[1]!r}] is one: {flat}"
    elif verdict is Verdict.PROVED:
        reason = "each of them is proved to be none, or to decide nothing"
    else:
        reason = "none of them is proved to be one, and not all are excluded"
    return Claim(
        "no-plateau-window",
        numbers,
        f"no deciding window of width {options.windows!r} is a {options.tau!r}-plateau",
        verdict,
        reason,
        window,
        "D5",
    )


def _monotone(problem: Problem, slopes: Slopes, proven: Facts) -> Claim:
    verdict, witness = decide("monotone", {}, proven), None
    (least, greatest), reason = (slopes.least, slopes.greatest), ""
    if verdict is Verdict.PROVED:
        reason = "non-decreasing: " if least[0] >= 0 else "non-increasing: "
    if verdict is Verdict.REFUTED:
        falls, rises = (_pair(problem, slopes, side) for side in (0, 1))
        if falls and rises:
            witness = [falls[:2], rises[:2]]
            reason = f"it falls {_change(*falls)}; it rises {_change(*rises)}; "
    reason += f"least slope in {interval(*least)}, greatest in {interval(*greatest)}"
    return Claim("monotone", {}, "the model is monotone", verdict, reason, witness, "D4")


def _lipschitz(options: Options, problem: Problem, slopes: Slopes, proven: Facts) -> Claim:
    bound, witness = options.lipschitz, None
    verdict = decide("lipschitz", {"bound": bound}, proven)
    reason = f"the least Lipschitz constant lies in {interval(*slopes.lipschitz)}"
    if verdict is Verdict.REFUTED:
        side = 1 if slopes.greatest[0] > bound else 0
        found = _pair(problem, slopes, side, bound)
        if found:
            a, b, change = found
            witness, steep = (a, b), floor(change / (Fraction(b) - Fraction(a)))
            word = "rises" if side else "falls"
            reason += (
                f"; it {word} {_change(*found)}: {rounded(steep, 4, up=False)} times their distance"
            )
    says = f"|model(x) - model(y)| <= {bound!r} |x - y|"
    return Claim("lipschitz", {"bound": bound}, says, verdict, reason, witness, "D4")


def _change(a: float, b: float, change: Fraction) -> str:
    return f"by {rounded(floor(change), 4, up=False)} or more from x = {a:.17g} to {b:.17g}"


def _pair(
    problem: Problem, slopes: Slopes, side: int, than: float = 0.0
) -> tuple[float, float, Fraction] | None:
    """Two inputs between which the model is proved to fall (side 0) or rise by more than `than`
    times their distance, around the point of the steepest proven slope, and by how much at least;
    None if none is found."""
    points = slopes.outcome.state.points
    low, high = points.bounds[MODEL]
    best = int((-high if side == 0 else low).argmax())
    lo, hi = float(problem.cells.min()), float(problem.cells.max())
    at = float(points.x[best])
    tries = [(max(lo, at - (hi - lo) * h), min(hi, at + (hi - lo) * h)) for h in STEPS]
    x = torch.tensor(tries, dtype=torch.float64).reshape(-1, 1)
    values = measure(problem, x, torch.zeros(len(x), dtype=torch.long)).bounds[MODEL].T
    for (a, b), ((left_lo, left_hi), (right_lo, right_hi)) in zip(
        tries, values.reshape(-1, 2, 2).tolist(), strict=True
    ):
        ends = (left_hi, right_lo) if side else (right_hi, left_lo)
        if a < b and all(map(math.isfinite, ends)):
            change = Fraction(ends[1]) - Fraction(ends[0])
            if change > Fraction(than) * (Fraction(b) - Fraction(a)):
                return a, b, change
    return None
