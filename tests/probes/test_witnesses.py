"""The stored witness is what its builder makes, and does what it is said to do."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from certify.certificate.reading import parse, read
from certify.checker.check import verify
from probes.witnesses.postnorm import CERTIFICATE, WITHIN, PostNorm, certificate


def test_the_stored_certificate_is_made_again():
    """Built, exported, checked and verified here; equal but for versions and engine rounding."""
    stored, made = read(CERTIFICATE), parse(certificate(PostNorm(math.exp), "exp(x)", WITHIN))
    assert made.network == stored.network and made.target == stored.target
    assert replace(made, header={}).claims == stored.claims
    for one in (stored, made):
        result = verify(one, jobs=1)
        assert result.accepted and result.checked == result.leaves, result.reason


def test_it_is_one_post_norm_layer():
    module = PostNorm(math.exp)
    layers = [m for m in module.modules() if isinstance(m, torch.nn.TransformerEncoderLayer)]
    assert len(layers) == 1 and not layers[0].norm_first
    x = torch.linspace(-1, 1, 501, dtype=torch.float64).reshape(-1, 1)
    with torch.no_grad():
        error = (module.eval()(x) - x.exp()).abs().max()
    assert error < WITHIN


def test_another_function():
    module = PostNorm(lambda t: math.sin(3 * t), knots=129).eval()
    x = torch.linspace(-1, 1, 501, dtype=torch.float64).reshape(-1, 1)
    with torch.no_grad():
        assert (module(x) - (3 * x).sin()).abs().max() < 1e-3
