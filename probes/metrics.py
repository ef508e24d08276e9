"""What is measured of a model of the paper's tasks. Everything here is a sample, not a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy as sp
import torch
from torch import Tensor

from theory.errors import BadRequest
from theory.floors import VARIANCES, layernorm_floor

#: Distances held at once by the search for nearest labels.
DISTANCES = 2**22
#: Test-set sizes at which the failure rate is reported, besides the whole set.
SIZES = (100, 1000)


class Contradiction(Exception):
    """A measurement that a theorem excludes: a mistake in this program."""

    exit_code = 5


@dataclass(frozen=True)
class Regression:
    """How well outputs (N, n, d) are met.

    Attributes:
        rmse: root mean square error over all numbers.
        sd: standard deviation of the labels, each token and coordinate about its own mean.
        relative_rmse: rmse / sd; the best constant answer has 1.
        sup_error: largest absolute error of any coordinate on the test set.
        constant_sup_error: the same for the best constant answer, the middle of the range.
        failure_rate: share of answers whose nearest test label is not their own.
        failures: (N, failure rate among the first N test points), ascending in N.
        constant_failure_rate: of any constant answer, 1 - 1/N.
        threshold: relative_rmse at which isotropic errors fail half the time, for this N and d.
        floor: relative RMSE that theorem C3 allows no model of this shape to go below; None
            where it says nothing.
    """

    rmse: float
    sd: float
    relative_rmse: float
    sup_error: float
    constant_sup_error: float
    failure_rate: float
    failures: tuple[tuple[int, float], ...]
    constant_failure_rate: float
    threshold: float
    floor: float | None


@dataclass(frozen=True)
class Classification:
    """How often the class is right.

    Attributes:
        accuracy: share of right answers.
        constant_accuracy: the same for the best constant answer, the most frequent class.
    """

    accuracy: float
    constant_accuracy: float


def regression(found: Tensor, wanted: Tensor, *, obstructed: bool) -> Regression:
    """Measure answers against labels.

    Args:
        found, wanted: float64, shape (N, n, d).
        obstructed: whether theorem C3 holds of the model: LayerNorm last, D = d.

    Raises:
        Contradiction: an obstructed model is better than C3 allows on these very points.
    """
    count, _, d = wanted.shape
    error = found - wanted
    rmse = math.sqrt(float(error.square().mean()))
    sd = math.sqrt(float((wanted - wanted.mean(dim=0)).square().mean()))
    least = sample_floor(wanted)
    # Both sides are float64 sums of the same numbers; 1e-9 is far above their rounding.
    if obstructed and rmse < least * (1 - 1e-9):
        raise Contradiction(
            f"a LayerNorm readout has RMSE {rmse!r}, and theorem C3 allows no less than {least!r}"
        )
    failures = failed(found, wanted)
    low, high = wanted.amin(dim=0), wanted.amax(dim=0)
    sizes = [size for size in SIZES if size < count]
    return Regression(
        rmse=rmse,
        sd=sd,
        relative_rmse=rmse / sd,
        sup_error=float(error.abs().max()),
        constant_sup_error=float((high - low).max() / 2),
        failure_rate=float(failures.double().mean()),
        failures=(
            *((n, float(failed(found[:n], wanted[:n]).double().mean())) for n in sizes),
            (count, float(failures.double().mean())),
        ),
        constant_failure_rate=1 - 1 / count,
        threshold=threshold(count, d),
        floor=relative_floor(d) if obstructed else None,
    )


def classification(scores: Tensor, classes: Tensor) -> Classification:
    """Measure class scores.

    Args:
        scores: shape (N, n, K).
        classes: int64, shape (N, n).
    """
    right = scores.argmax(dim=-1) == classes
    most = torch.bincount(classes.flatten()).max()
    return Classification(float(right.double().mean()), int(most) / classes.numel())


def failed(found: Tensor, wanted: Tensor) -> Tensor:
    """The paper's failures, for every token by itself.

    Args:
        found: float64, shape (q, n, d): answers to the first q points.
        wanted: float64, shape (N, n, d), N >= q.

    Returns:
        bool, shape (q, n): whether another label of the same token is strictly nearer (in the
        Euclidean norm) than the own one.
    """
    columns = [_failed(found[:, k], wanted[:, k]) for k in range(wanted.shape[1])]
    return torch.stack(columns, dim=1)


def _failed(found: Tensor, labels: Tensor) -> Tensor:
    """`failed` for one token: (q, d), (N, d) -> (q,). Exact in float64: no neighbor is missed.

    Squared distances by |p|^2 - 2 p.y + |y|^2 run at the speed of a matrix product, and are
    wrong by at most about 2 (d + 4) ulp of |p|^2 + |y|^2. Where twice that could matter, the
    differences themselves decide.
    """
    count, d = labels.shape
    squares = labels.square().sum(dim=1)
    own = (found - labels[: len(found)]).square().sum(dim=1)
    result = torch.zeros(len(found), dtype=torch.bool)
    rows = max(1, DISTANCES // count)
    for first in range(0, len(found), rows):
        part = found[first : first + rows]
        lengths = part.square().sum(dim=1)
        distances = torch.addmm(squares + lengths[:, None], part, labels.T, alpha=-2)
        here = torch.arange(len(part))
        distances[here, first + here] = math.inf
        excess = own[first : first + rows] - distances.amin(dim=1)
        slack = 4 * (d + 4) * torch.finfo(torch.float64).eps * (lengths + squares.max())
        result[first : first + rows] = excess > slack
        for row in (excess.abs() <= slack).nonzero()[:, 0].tolist():
            exact = (part[row] - labels).square().sum(dim=1)
            result[first + row] = bool((exact < own[first + row]).any())
    return result


def sample_floor(wanted: Tensor) -> float:
    """RMSE that no LayerNorm readout of width d goes below on these very labels.

    Args:
        wanted: float64, shape (N, n, d).

    Source:
        Theorem C3 for the empirical law of each token: the mean of |found - wanted|^2 is at
        least the smallest eigenvalue of the labels' covariance.
    """
    centered = (wanted - wanted.mean(dim=0)).transpose(0, 1)
    covariance = centered.transpose(1, 2) @ centered / wanted.shape[0]
    least = torch.linalg.eigvalsh(covariance)[:, 0].clamp_min(0)
    return math.sqrt(float(least.mean()) / wanted.shape[2])


def threshold(count: int, d: int) -> float:
    """Relative error s/sigma at which isotropic errors make half of N answers fail.

    Args:
        count: N, test points, at least 2.
        d: dimension of the labels.

    Returns:
        (N^(2/d) - 1)^(-1/2). Labels are code words and errors are noise: N normal labels in d
        dimensions are told apart if ln N < (d/2) ln(1 + sigma^2/s^2), the capacity of the
        Gaussian channel. Sharp as d grows; at small d and for other laws, approximate.

    Raises:
        BadRequest: N or d is too small.

    Source:
        Shannon, Communication in the Presence of Noise, 1949, theorem 2.
    """
    if count < 2 or d < 1:
        raise BadRequest(f"a threshold needs N >= 2 and d >= 1, not {count} and {d}")
    return (count ** (2 / d) - 1) ** -0.5


def relative_floor(d: int) -> float:
    """Relative RMSE that no LayerNorm readout of width d goes below: 1/sqrt(d).

    Source:
        Theorem C3. The coordinates are independent with equal variances in both schemes, so
        the target's own variance cancels; x + cbrt(x) stands for any.
    """
    name = "x+cbrt(x)"
    return float(layernorm_floor(name, d) / sp.sqrt(VARIANCES[name]))
