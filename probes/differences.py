"""Finite differences with steps from the rounding error, against autograd and proved slopes.

By the mean value theorem the difference quotient of the real function between two points of
[x - h, x + h] lies in the range of its derivative there, with the slopes on both sides of a kink
counted. The quotient of proved values is a bracket of that real quotient; it must meet the proved
enclosure of the derivative, with no tolerance. What a float64 difference is off by has two parts:
rounding, which is bounded by the proved values, and truncation, which is only estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import torch
from torch import Tensor

from certify.frontend import Model
from certify.search import MODEL, Problem, assess, measure
from certify.slopes import Slopes, covering
from probes.samples import archive_slopes, values, values_and_slopes
from probes.sandwich import BATCH, Claim, Held, Prove, hold, violation

ULP = 2.0**-52
WIDENED = 8  # steps up to this many times h look for the order of the error
CLEAR = 10.0  # an effect is seen if it is this many times what rounding may do
QUOTIENT = "proved difference quotients lie in the proved slopes around them"
TANGENT = "autograd's slopes lie in the proved slopes around them"


@dataclass(frozen=True, eq=False)
class Differences:
    """One probe in every cell. All tensors float64, shape (n,), unless said otherwise.

    Attributes:
        x, step: where, and h.
        central: (2, n), (f(x + s) - f(x - s)) / 2s in float64 for s = h and s = h / 2.
        richardson: (4 D(h/2) - D(h)) / 3.
        truncation: |richardson - D(h/2)|, an estimate of what D(h/2) is off by.
        rounding: proved bound on what rounding did to `richardson`.
        order: what steps of 2h, 4h, 8h show: "second" (errors fall by a factor of 3 to 5 when
            a step is halved), "hidden" (too small to be seen above rounding) or "rough".
        autograd: slopes by the archive's own operators.
        certified: (2, n), proved hull of the slopes on [x - h, x + h].
        quotients: (2, n), hull of the proved difference quotients there.
        held: the comparisons.
    """

    x: Tensor
    step: Tensor
    central: Tensor
    richardson: Tensor
    truncation: Tensor
    rounding: Tensor
    order: tuple[str, ...]
    autograd: Tensor
    certified: Tensor
    quotients: Tensor
    held: tuple[Held, ...]

    @property
    def inside(self) -> Tensor:
        """(n,), whether the central difference of step h/2 lies in the proved slopes as it is."""
        return (self.central[1] >= self.certified[0]) & (self.central[1] <= self.certified[1])

    @property
    def meets(self) -> Tensor:
        """(n,), whether the extrapolated slope, give or take its error, meets the proved ones."""
        off = self.truncation + self.rounding
        low, high = self.richardson - off, self.richardson + off
        return (high >= self.certified[0]) & (low <= self.certified[1])

    @property
    def agrees(self) -> Tensor:
        """(n,), whether autograd is within the estimate's error, estimated part included."""
        return (self.autograd - self.richardson).abs() <= self.truncation + self.rounding


def differences(
    model: Model, problem: Problem, slopes: Slopes, derived: Problem, output: int
) -> Differences:
    """Probe the slope once in every cell.

    Args:
        model: of one input variable.
        problem: model, target and difference, and the cells.
        slopes: what the search proved of the derivative.
        derived: the derivative of model - 0, as a problem.
        output: number of the output, flattened.

    Raises:
        InternalError: a quotient or a slope is proved to lie outside what is proved.
    """
    lo, hi = problem.cells[:, 0].T
    share = torch.rand(len(lo), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = lo + (hi - lo) * (0.05 + 0.9 * share)
    step = steps(problem, x)
    offsets = torch.tensor([-1.0, -0.5, 0.5, 1.0], dtype=torch.float64)
    places = x + offsets[:, None] * step
    proved, plain = proved_values(problem, places.reshape(-1))
    proved, plain = proved.reshape(2, 4, -1), plain.reshape(4, -1)
    off = torch.maximum(proved[1] - plain, plain - proved[0]) * (1 + 4 * ULP)
    wide, near = (_central(plain, places, a, b) for a, b in ((0, 3), (1, 2)))
    best = (4 * near - wide) / 3
    errors = (4 * (off[1] + off[2]) / (places[2] - places[1])
              + (off[0] + off[3]) / (places[3] - places[0])) / 3  # fmt: skip
    errors += 8 * ULP * (near.abs() + wide.abs())
    certified = enclosures(derived, slopes, places[0], places[3])
    quotients = _hold_quotients(proved, places, certified)
    tangents, way = _tangents(model, problem, x, output)
    claim = Claim(TANGENT, f"autograd in float64 through {way}, {len(x)} points")
    tangent = hold(claim, x, tangents, certified, proof(derived))
    how = "proved values at x - h, x - h/2, x + h/2, x + h; exact quotients; enclosures on the box"
    vacuous = int((~certified.isfinite().all(0)).sum())
    held = Held(QUOTIENT, how, 6 * len(x), idle=6 * vacuous), tangent
    orders = _orders(problem, x, step, errors)
    central = torch.stack([wide, near])
    return Differences(x, step, central, best, (best - near).abs(), errors, orders, tangents,
                       certified, quotients, held)  # fmt: skip


def steps(problem: Problem, x: Tensor) -> Tensor:
    """h, (n,), a power of two: where rounding e / h and truncation |f'''| h^2 / 6 balance.

    e is the largest proved error of a float64 value at some of the points, and f''' is taken
    from a third difference. h is at most what keeps x - 8h and x + 8h in the domain, and 8h at
    most the cell.

    Source:
        (3 e / |f'''|)^(1/3): Nocedal, Wright, Numerical Optimization, 2nd ed., 2006, section 8.1.
    """
    lo, hi = problem.cells[:, 0].T
    few = x[:: max(1, len(x) // 8)]
    proved, plain = proved_values(problem, few)
    noise = float(torch.maximum(proved[1] - plain, plain - proved[0]).max())
    room = torch.minimum(torch.minimum(x - lo[0], hi[-1] - x), hi - lo) / WIDENED
    shifts = torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64)[:, None]
    f = values(problem.graph, (x + shifts * room).reshape(-1)).reshape(4, -1)
    third = ((f[3] - f[0] - 2 * (f[2] - f[1])) / (2 * room**3)).abs()
    wish = (3 * noise / third.clamp(min=1e-300)) ** (1 / 3)
    least = room * 2.0**-20
    wish = torch.where(wish.isfinite(), wish, room).clamp(min=least).minimum(room)
    return torch.exp2(torch.floor(torch.log2(wish)))


def proved_values(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """(2, n) proved brackets and (n,) float64 values of the model at x (n,)."""
    return proof(problem)(x), values(problem.graph, x)


def proof(problem: Problem, which: int = MODEL) -> Prove:
    """A `probes.sandwich.Prove` for one output of a problem."""

    def prove(x: Tensor) -> Tensor:
        places, back = torch.unique(x, return_inverse=True)  # cells share their ends
        cell = torch.zeros(len(places), dtype=torch.long)
        parts = zip(places.split(BATCH), cell.split(BATCH), strict=True)
        proved = torch.cat(
            [measure(problem, a, b, deep=math.inf).bounds[which] for a, b in parts], -1
        )
        return proved[:, back]

    return prove


def enclosures(derived: Problem, slopes: Slopes, lo: Tensor, hi: Tensor) -> Tensor:
    """(2, n), proved hulls of the slopes on the boxes [lo, hi], (n,) each.

    Each is the better of the box by itself and of the search's leaves that it meets.
    """
    boxes, cell = torch.stack([lo, hi], 1), torch.zeros(len(lo), dtype=torch.long)
    parts = zip(boxes.split(BATCH), cell.split(BATCH), strict=True)
    own = torch.cat([assess(derived, a, b).bounds[MODEL] for a, b in parts], -1)
    leaves = [covering(slopes, *box) for box in boxes.tolist()]
    both = torch.tensor(leaves, dtype=torch.float64).T
    return torch.stack([torch.maximum(own[0], both[0]), torch.minimum(own[1], both[1])])


def _tangents(model: Model, problem: Problem, x: Tensor, output: int) -> tuple[Tensor, str]:
    """Slopes by autograd, and through what: the archive, or the graph where torch cannot."""
    try:
        return archive_slopes(model, x, output), "the archive's operators"
    except (RuntimeError, NotImplementedError):  # an operator without a forward-mode rule
        return values_and_slopes(problem.graph, x)[2], "the graph"


def _central(f: Tensor, places: Tensor, a: int, b: int) -> Tensor:
    return (f[b] - f[a]) / (places[b] - places[a])


def _hold_quotients(proved: Tensor, places: Tensor, certified: Tensor) -> Tensor:
    """Hull (2, n) of all quotients, exactly computed; each must meet its enclosure.

    Raises:
        InternalError: one does not.
    """
    hulls = []
    for i in range(places.shape[1]):
        lo, hi = certified[:, i].tolist()
        least, most = math.inf, -math.inf
        for a, b in combinations(range(len(places)), 2):
            ends = float(places[a, i]), float(places[b, i])
            q = quotient(ends, proved[:, a, i].tolist(), proved[:, b, i].tolist())
            if not (q[0] <= hi and q[1] >= lo):
                raise violation(QUOTIENT, ends, (float(q[0]), float(q[1])), certified[:, i])
            least, most = min(least, q[0]), max(most, q[1])
        hulls.append((float(least), float(most)))
    return torch.tensor(hulls, dtype=torch.float64).T


def quotient(
    ends: tuple[float, float], first: list[float], second: list[float]
) -> tuple[Fraction | float, Fraction | float]:
    """Bracket of (f(b) - f(a)) / (b - a), exact where it is finite.

    Args:
        ends: a < b.
        first, second: brackets of f(a) and f(b).
    """
    width = Fraction(ends[1]) - Fraction(ends[0])

    def over(top: float, minus: float, otherwise: float) -> Fraction | float:
        if not (math.isfinite(top) and math.isfinite(minus)):
            return otherwise
        return (Fraction(top) - Fraction(minus)) / width

    return over(second[0], first[1], -math.inf), over(second[1], first[0], math.inf)


def _orders(problem: Problem, x: Tensor, step: Tensor, errors: Tensor) -> tuple[str, ...]:
    """See `Differences.order`; h, and so what rounding does, is smaller than any step here."""
    widths = torch.tensor([8.0, 4.0, 2.0], dtype=torch.float64)[:, None] * step
    left, right = x - widths, x + widths
    f = values(problem.graph, torch.stack([left, right]).reshape(-1)).reshape(2, 3, -1)
    found = (f[1] - f[0]) / (right - left)
    first, second = found[0] - found[1], found[1] - found[2]
    words = []
    for a, b, error in zip(first.tolist(), second.tolist(), errors.tolist(), strict=True):
        # An error of second order makes the first change four times the second.
        if abs(b) <= CLEAR * error and abs(a) <= 5 * CLEAR * error:
            words.append("hidden")
        else:
            words.append("second" if b and 3 <= a / b <= 5 else "rough")
    return tuple(words)
