"""The paper's failure rate against the size of the test set, the error being the same."""

from __future__ import annotations

import math
from typing import Any

import torch

from probes.metrics import failed
from probes.schemes import find_scheme, stream

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
DIMENSIONS = (4, 8, 32)
ERRORS = (0.1, 0.3, 1.0)
#: Answers that every rate is a mean of, so its standard error is below 0.012.
ANSWERS = 2000


def settings(d: int, relative: float) -> dict[str, Any]:
    """What a curve depends on, for `Store`."""
    return {
        "kind": "failure rate against test points",
        "scheme": "scheme-one",
        "d": d,
        "relative_rmse": relative,
        "sizes": list(SIZES),
        "answers": ANSWERS,
        "seed": 0,
        "revision": 1,
    }


def curve(d: int, relative: float) -> dict[str, Any]:
    """The failure rate of answers with an isotropic normal error.

    Args:
        d: dimension of the labels.
        relative: standard deviation of the error, divided by that of the labels.

    Returns:
        "sizes" N, "rates" measured, and "predicted_size": the N at which half should fail,
        (1 + relative^-2)^(d/2).
    """
    rates = [_rate(size, d, relative) for size in SIZES]
    return {
        "sizes": list(SIZES),
        "rates": rates,
        "predicted_size": (1 + relative**-2) ** (d / 2),
    }


def crossing(found: dict[str, Any]) -> float | None:
    """The N at which a measured curve reaches one half, by its logarithm; None if it does not."""
    points = list(zip(found["sizes"], found["rates"], strict=True))
    for (n1, p1), (n2, p2) in zip(points, points[1:], strict=False):
        if p1 < 0.5 <= p2:
            share = (0.5 - p1) / (p2 - p1)
            return math.exp(math.log(n1) + share * (math.log(n2) - math.log(n1)))
    return None


def _rate(size: int, d: int, relative: float) -> float:
    scheme = find_scheme("scheme-one")
    answers = min(size, ANSWERS)
    rates = []
    for turn in range(math.ceil(ANSWERS / answers)):
        seed = stream(0, "failure", size, d, relative, turn)
        _, labels = scheme.sample(size, d, seed)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(answers, 1, d, generator=generator, dtype=torch.float64)
        found = labels[:answers] + relative * labels.std() * noise
        rates.append(float(failed(found, labels).double().mean()))
    return sum(rates) / len(rates)
