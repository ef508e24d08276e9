"""Plateaus by change points: where values or slopes change their level, and what lies between.

Change points by PELT (Killick, Fearnhead, Eckley, Optimal detection of changepoints with a linear
computational cost, JASA 107, 2012), as ruptures computes them: the sum of squares about the mean
of each segment, plus a penalty for each change. The penalty is the usual 2 s^2 log n, with s not
a noise but what the accuracy leaves open: the largest error found for values, and twice that over
the width of a cell for slopes. A segment is then a level that cannot be told from a constant at
that accuracy; whether it is a plateau the samples of the target say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from certify.goal import Brackets
from certify.search import MODEL, TARGET, Problem, assess
from probes.differences import proof
from probes.optional import need
from probes.samples import Samples
from probes.sandwich import Held, violation
from theory.windows import FLAT, Pair

SPLIT = 64  # boxes that a window is enclosed in
SAYS = "plateaus found by change points are no longer than the longest is proved to be"


@dataclass(frozen=True)
class Segment:
    """Neighboring samples between two change points, but for the first and the last.

    A step that is not quite over leaves one sample between two levels; where there are fewer than
    four samples all are kept.

    Attributes:
        lo, hi: first and last of their places.
        model, target: how much each varies on the samples.
        plateau: the target varies by `FLAT` of its total or more, the model by tau of that at
            most; of samples, so not proved.
    """

    lo: float
    hi: float
    model: float
    target: float
    plateau: bool

    @property
    def width(self) -> float:
        """hi - lo."""
        return self.hi - self.lo


@dataclass(frozen=True, eq=False)
class Changes:
    """Segments of values and of slopes.

    Attributes:
        values, slopes: from the lower end of the domain to the upper one.
        scales: the two s in the penalty; None where there was nothing to cut.
    """

    values: tuple[Segment, ...]
    slopes: tuple[Segment, ...]
    scales: tuple[float | None, float | None]

    @property
    def plateaus(self) -> list[Segment]:
        """The sampled plateaus of both, the longest first."""
        found = {s for s in (*self.values, *self.slopes) if s.plateau}
        return sorted(found, key=lambda s: (-s.width, s.lo))


def changes(samples: Samples, accuracy: float, tau: float) -> Changes:
    """Cut values and slopes at their change points.

    Args:
        samples: the grid.
        accuracy: the model's largest error, sampled.
        tau: plateau ratio.

    Raises:
        Missing: ruptures is not installed.
    """
    cell = float(samples.x[samples.cells[0, -1]] - samples.x[samples.cells[0, 0]])
    scales = accuracy, 2 * accuracy / cell
    parts = [segments(samples, signal.numpy(), scale, tau) for signal, scale in
             zip((samples.model, samples.slope), scales, strict=True)]  # fmt: skip
    shown = [s if 0 < s < math.inf else None for s in scales]
    return Changes(tuple(parts[0]), tuple(parts[1]), (shown[0], shown[1]))


def segments(samples: Samples, signal: np.ndarray, scale: float, tau: float) -> list[Segment]:
    """The segments of one signal, (N,); one segment where the scale is no positive number."""
    ends = [len(signal)]
    if 0 < scale < math.inf and np.isfinite(signal).all() and np.ptp(signal) > 0:
        ruptures = need("ruptures", "change points")
        search = ruptures.KernelCPD(kernel="linear", min_size=2)
        # In units of the scale, so that neither squares overflow nor the penalty underflows.
        unit = (signal - signal.mean())[:, None] / scale
        ends = search.fit(unit).predict(pen=2 * math.log(len(signal)))
    model, target, x = (t.numpy() for t in (samples.model, samples.target, samples.x))
    total, out = np.ptp(target), []
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        if end - first >= 4:
            first, end = first + (first > 0), end - (end < len(x))
        ours, theirs = np.ptp(model[first:end]), np.ptp(target[first:end])
        flat = bool(theirs >= FLAT * total and theirs > 0 and ours <= tau * theirs)
        out.append(Segment(float(x[first]), float(x[end - 1]), float(ours), float(theirs), flat))
    return out


def against_longest(
    problem: Problem, found: list[Segment], longest: Pair, tau: float, known: Brackets
) -> Held:
    """Every sampled plateau wider than the proved upper end must not be a plateau.

    Samples alone prove no plateau, so a wide one is enclosed; only one that is proved to be a
    plateau contradicts.

    Args:
        problem: model, target and difference.
        found: sampled plateaus.
        longest: the proved bracket of the longest tau-plateau's width.
        tau: its ratio.
        known: for the target's total variation.

    Raises:
        InternalError: a proved plateau is wider than the longest is proved to be.
    """
    bound = Fraction(longest[1]) if math.isfinite(longest[1]) else longest[1]
    wide = [s for s in found if Fraction(s.hi) - Fraction(s.lo) > bound]
    for one in wide:
        if is_plateau(problem, one, tau, known):
            bounds = torch.tensor(longest, dtype=torch.float64)
            raise violation(SAYS, (one.lo, one.hi), (one.width, one.width), bounds)
    method = f"enclosed in {SPLIT} boxes where it is wider" if wide else "by their widths"
    return Held(SAYS, method, len(found), rounding=len(wide))


def is_plateau(problem: Problem, window: Segment, tau: float, known: Brackets) -> bool:
    """Whether a window is proved to be a deciding tau-plateau."""
    edges = torch.linspace(window.lo, window.hi, SPLIT + 1, dtype=torch.float64)
    edges = edges.clamp(window.lo, window.hi)
    edges[0], edges[-1] = window.lo, window.hi
    boxes = torch.stack([edges[:-1], edges[1:]], 1)
    leaves = assess(problem, boxes, torch.zeros(SPLIT, dtype=torch.long))
    lo, hi = leaves.bounds[MODEL]
    least, most = proof(problem, TARGET)(edges)
    ends = float(hi.max()), float(lo.min()), float(least.max()), float(most.min())
    total = float(known.target_total[1])
    if not all(math.isfinite(v) for v in (*ends, total)):
        return False
    model, target = Fraction(ends[0]) - Fraction(ends[1]), Fraction(ends[2]) - Fraction(ends[3])
    varies = target > 0 and target >= Fraction(FLAT) * Fraction(total)
    return varies and model <= Fraction(tau) * target
