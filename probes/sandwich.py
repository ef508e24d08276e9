"""Sampled values against proved bounds: what is sampled must lie inside, with no tolerance.

A plain float64 value carries a rounding error, so one that sticks out of a bound decides nothing
yet. It is then proved at its point (`certify.search.measure`): a bracket that holds for the real
value. Only a bracket that lies outside as a whole contradicts the bound; and a float64 value that
is farther from its own bracket than rounding explains contradicts the sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.frontend.agree import TOLERANCE, InternalError

BATCH = 128

#: Proved brackets of one quantity at points: (n,) float64 -> (2, n).
Prove = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Held:
    """One comparison that held everywhere.

    Attributes:
        says: the inequality in words.
        method: where both sides come from.
        count: how many numbers were compared.
        rounding: how many stuck out by their rounding error alone, and were proved not to.
        idle: how many had no finite bound to be held against.
    """

    says: str
    method: str
    count: int
    rounding: int = 0
    idle: int = 0


@dataclass(frozen=True)
class Claim:
    """What is compared.

    Attributes:
        says, method: see `Held`.
        jumps: whether the real quantity may jump, as slopes do at kinks; float64 may then be on
            the other side of one, by rounding, and so far from its proof.
    """

    says: str
    method: str
    jumps: bool = False


def hold(claim: Claim, x: Tensor, plain: Tensor, bounds: Tensor, prove: Prove) -> Held:
    """Hold sampled values against bounds.

    Args:
        claim: what is compared.
        x: float64, shape (n,), where they were taken.
        plain: float64, shape (n,), ordinary float64 values.
        bounds: float64, shape (2, n), proved for the real values.
        prove: brackets of the real values at points.

    Raises:
        InternalError: a real value is proved to lie outside, or a sample is farther from its own
            proof than rounding explains, or no number where the bounds are finite; the witness
            is named.
    """
    says, (lo, hi) = claim.says, bounds
    if bool(bounds.isnan().any()):
        raise InternalError(f"{says}: a bound is not a number; please report this model")
    finite = lo.isfinite() | hi.isfinite()
    # A sample that is no number says nothing where the value may be infinite.
    known = finite & ~(plain.isnan() & ~(lo.isfinite() & hi.isfinite()))
    odd = (known & ~((plain >= lo) & (plain <= hi))).nonzero().squeeze(1)
    for part in odd.split(BATCH) if len(odd) else ():
        least, most = prove(x[part])
        wrong = ~((least <= hi[part]) & (most >= lo[part]))
        if bool(wrong.any()):
            k = int(wrong.nonzero()[0])
            i = int(part[k])
            raise violation(says, float(x[i]), (float(least[k]), float(most[k])), bounds[:, i])
        if not claim.jumps or bool(plain[part].isnan().any()):
            _explained(says, x[part], plain[part], torch.stack([least, most]))
    return Held(says, claim.method, len(x), len(odd), int((~finite).sum()))


def _explained(says: str, x: Tensor, plain: Tensor, proved: Tensor) -> None:
    """Float64 values (n,) are no farther from their proved brackets (2, n) than rounding explains.

    Raises:
        InternalError: one is; what is sampled is then not what is proved.
    """
    off = torch.maximum(proved[0] - plain, plain - proved[1])
    wrong = ~(off <= TOLERANCE * proved.abs().amax(0).clamp(min=1.0))
    if bool(wrong.any()):
        i = int(wrong.nonzero()[0])
        raise InternalError(
            f"{says}: at x = {float(x[i])!r} float64 gives {float(plain[i])!r}, which is farther "
            f"from the proved {proved[:, i].tolist()} than rounding explains; please report this "
            "model"
        )


def violation(
    says: str, x: float | tuple[float, float], found: tuple[float, float], bounds: Tensor
) -> InternalError:
    """The error that names the witness."""
    lo, hi = bounds.tolist()
    where = f"x = {x!r}" if isinstance(x, float) else f"x in [{x[0]!r}, {x[1]!r}]"
    return InternalError(
        f"sandwich violated: {says} does not hold at {where}: the value there lies in "
        f"[{found[0]!r}, {found[1]!r}], outside the proved [{lo!r}, {hi!r}]; please report this "
        "model"
    )


def below_all(says: str, method: str, x: Tensor, lower: Tensor, upper: Tensor) -> Held:
    """Proved lower ends, each of a value attained near x, against proved upper ends.

    Args:
        x, lower, upper: float64, shape (n,).

    Raises:
        InternalError: a lower end exceeds its upper end; the witness is named.
    """
    wrong = ~(lower <= upper)
    if bool(wrong.any()):
        i = int(wrong.nonzero()[0])
        bounds = torch.stack([torch.full_like(upper[i], -math.inf), upper[i]])
        raise violation(says, float(x[i]), (float(lower[i]), math.inf), bounds)
    return Held(says, method, len(x), idle=int(upper.isinf().sum()))
