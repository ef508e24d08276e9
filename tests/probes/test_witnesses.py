"""The stored witness is what its builder makes, and does what it is said to do."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import pytest
import torch

import certify
from certify.certificate.reading import parse, read
from certify.checker.check import verify
from certify.checking import check
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from probes.witnesses.postnorm import CERTIFICATE, WITHIN, PostNorm, certificate
from probes.witnesses.residual import identity, token_sum


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


def test_the_identity_is_exact(tmp_path):
    """Proved: the sup error on [-1, 1] is below 1e-12; in real arithmetic it is 0."""
    certify.export(identity().eval(), torch.zeros(1, 1, 1).double(), tmp_path / "m.pt")
    report = check(str(tmp_path / "m.pt"), "identity", Options(within=1e-12, abs_gap=1e-12))
    assert report.known.sup[0] == 0.0 and report.exit_code == 0
    result = verify(as_certificate(report), jobs=1)
    assert result.accepted, result.reason


@pytest.mark.parametrize("d", [1, 4])
def test_the_sum_of_two_tokens(d):
    x = torch.randn(100, 2, d, dtype=torch.float64)
    tokens = torch.cat([x, torch.zeros_like(x)], -1)
    with torch.no_grad():
        out = token_sum(d)(tokens)
    expected = x.sum(1, keepdim=True).expand(-1, 2, -1)
    assert torch.allclose(out[..., d:], expected, rtol=0, atol=1e-14)
    assert torch.allclose(out[..., :d], torch.zeros_like(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("expression", "function", "knots", "within"),
    [
        ("sin(4*pi*x)", lambda t: math.sin(4 * math.pi * t), 257, 1.3e-3),
        ("x+cbrt(x)", lambda t: t + math.copysign(abs(t) ** (1 / 3), t), 4097, 7e-2),
    ],
)
def test_other_targets_are_certified_too(tmp_path, expression, function, knots, within):
    """Sampled sup errors are near these; on a part of the domain they are proved."""
    module = PostNorm(function, knots).eval()
    x = torch.linspace(-1, 1, 20_001, dtype=torch.float64).reshape(-1, 1)
    with torch.no_grad():
        errors = module(x).reshape(-1) - torch.tensor([function(t) for t in x[:, 0].tolist()])
    assert errors.abs().max() < within
    if knots < 1000:
        certify.export(module, torch.zeros(1, 1).double(), tmp_path / "m.pt")
        options = Options(domain=(0.0, 0.125), cells=2, within=within, limits=Limits(30))
        assert check(str(tmp_path / "m.pt"), expression, options).exit_code == 0


def test_an_installed_copy_has_the_certificate():
    """Package data names it; without it `theory prove` calls P1 open."""
    root = CERTIFICATE.parents[2]
    data = tomllib.loads((root / "pyproject.toml").read_text())
    patterns = data["tool"]["setuptools"]["package-data"]["probes"]
    inside = CERTIFICATE.relative_to(root / "probes")
    assert any(inside.match(pattern) for pattern in patterns)
