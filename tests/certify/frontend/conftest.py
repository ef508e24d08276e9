"""One small encoder and its model file, shared by the tests of the frontend."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from certify.frontend.export import export


class Encoder(nn.Module):
    """Scalar in, scalar out; two tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(1, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.out = nn.Linear(4, 1)
        self.register_buffer("place", torch.randn(2, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.into(x).unsqueeze(1).expand(-1, 2, -1) + self.place
        return self.out(self.layer(h).mean(1))


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder().eval()


@pytest.fixture(scope="session")
def model_file(encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    export(encoder, torch.zeros(1, 1), path)
    return path
