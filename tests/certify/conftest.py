"""The reference interpreter, one thread, and small graphs, for all tests of the engine."""

from __future__ import annotations

import mpmath
import pytest
import textbook
import torch
from torch import nn

from certify.frontend.export import export

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ref():
    """What graphs mean, from the textbook, at 400 bits."""
    with mpmath.workprec(400):
        yield textbook


class Tiny(nn.Module):
    """One hidden layer of tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


class Constant(Tiny):
    """0 times the input, plus a quarter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.0 + 0.25


class Unsupported(Tiny):
    """Uses an operator without a lowering."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(self.first(x)).sum(-1, keepdim=True)


@pytest.fixture(scope="session")
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return Tiny().double().eval()


@pytest.fixture(scope="session")
def tiny_weights(tiny):
    """((w1, b1), (w2, b2)) as floats."""
    w1, b1, w2, b2 = (p.detach().reshape(-1).tolist() for p in tiny.parameters())
    return (w1, b1), (w2, b2[0])


def _written(module, folder):
    path = folder / "model.pt"
    export(module, torch.zeros(1, 1, dtype=next(module.parameters()).dtype), path)
    return path


@pytest.fixture(scope="session")
def tiny_file(tiny, tmp_path_factory):
    return _written(tiny, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def constant_file(tmp_path_factory):
    return _written(Constant().eval(), tmp_path_factory.mktemp("constant"))


@pytest.fixture(scope="session")
def unsupported_file(tmp_path_factory):
    return _written(Unsupported().eval(), tmp_path_factory.mktemp("unsupported"))
