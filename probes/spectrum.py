"""The spectrum of the error: a staircase would show its steps as a frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from probes.optional import need
from probes.samples import Samples

SHARE = 0.99


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Hann-windowed periodogram of the sampled error, its mean removed.

    Attributes:
        frequency: (K,), periods in one unit of x.
        power: (K,), of the error at each, in its unit squared.
        dominant: the frequency with most power; nan for an error without variation.
        share: part of all power at that frequency and its two neighbors.
        band: the least frequency that holds 99 % of all power up to it.
        nyquist: the highest frequency that the samples resolve.
    """

    frequency: np.ndarray
    power: np.ndarray
    dominant: float
    share: float
    band: float
    nyquist: float


def spectrum(samples: Samples) -> Spectrum:
    """Of model - target on the uniform grid.

    Raises:
        Missing: scipy is not installed.
    """
    signal = need("scipy.signal", "the spectrum")
    error = samples.error.numpy()[:-1]
    rate = len(error) / float(samples.x[-1] - samples.x[0])
    frequency, power = signal.periodogram(
        np.nan_to_num(error), rate, window="hann", detrend="constant", scaling="spectrum"
    )
    total = power.sum()
    if not total > 0:
        return Spectrum(frequency, power, math.nan, 0.0, 0.0, rate / 2)
    k = int(power.argmax())
    near = power[max(0, k - 1) : k + 2].sum() / total
    band = frequency[int(np.searchsorted(np.cumsum(power), SHARE * total))]
    return Spectrum(
        frequency, power, float(frequency[k]), float(near), float(band), float(rate / 2)
    )
