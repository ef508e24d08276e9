"""The spectrum of a known error."""

import math

import pytest
import torch

from probes.samples import Samples
from probes.spectrum import spectrum

pytest.importorskip("scipy")


def of(error):
    x = torch.linspace(-1, 1, 1025, dtype=torch.float64)
    values = error(x)
    return spectrum(Samples(x, values, torch.zeros_like(x), values, torch.arange(1025)[None]))


@pytest.mark.parametrize("periods", [3, 40])
def test_a_sine_is_found_at_its_frequency(periods):
    found = of(lambda x: 5 + 0.1 * torch.sin(2 * math.pi * periods * x))
    assert found.dominant == periods
    assert found.share > 0.999
    assert found.band == pytest.approx(periods, abs=0.6)
    assert found.nyquist == 256
    # a sine of amplitude a has mean square a^2 / 2, in one unit of x or another
    assert found.power.max() == pytest.approx(0.005, rel=0.01)


def test_two_sines_share_the_power():
    found = of(lambda x: torch.sin(20 * math.pi * x) + 0.5 * torch.sin(200 * math.pi * x))
    assert (found.dominant, round(found.share, 3)) == (10, 0.8)
    assert found.band == pytest.approx(100, abs=0.6)


def test_an_error_that_does_not_vary_has_none():
    assert math.isnan(of(lambda x: torch.full_like(x, 0.25)).dominant)
