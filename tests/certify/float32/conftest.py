"""Operands as ranges of one number each, and the comparison with what torch computes."""

from __future__ import annotations

import pytest
import torch

import certify
from certify.float32.model import Range


def point(t: torch.Tensor) -> Range:
    value = t.double().unsqueeze(0)
    return Range(value, value)


def holds(bound: torch.Tensor, exact: torch.Tensor, *results: torch.Tensor) -> float:
    """Every result is within the bound, entry by entry and without tolerance; the largest part of
    the bound that was used up comes back."""
    used = 0.0
    for result in results:
        assert result.dtype == torch.float32
        error = (result.double() - exact).abs()
        assert bool((error <= bound.reshape(error.shape)).all())
        used = max(used, float((error / bound.reshape(error.shape)).max()))
    return used


@pytest.fixture
def at():
    return point


@pytest.fixture
def within():
    return holds


@pytest.fixture
def seeded():
    return torch.Generator().manual_seed(0)


class Encoder(torch.nn.Module):
    """Two tokens, attention, layer norm, gelu and relu: small, and with every kind of rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(1, 8)
        self.layer = torch.nn.TransformerEncoderLayer(
            4, 2, 6, dropout=0.0, activation="gelu", batch_first=True
        )
        self.bend, self.head = torch.nn.Linear(4, 5), torch.nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.layer(self.embed(x).view(1, 2, 4))
        return self.head(torch.relu(self.bend(tokens.mean(1))))


@pytest.fixture(scope="session")
def exported_path(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("float32") / "encoder.pt"
    certify.export(Encoder().eval(), torch.zeros(1, 1), path)
    return str(path)


@pytest.fixture(scope="session")
def exported(exported_path):
    return certify.load(exported_path)
