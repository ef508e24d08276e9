"""Models of several outputs whose values are known from the textbook, at any precision."""

from __future__ import annotations

import mpmath
import torch
from torch import nn

import certify


class Tanh(nn.Module):
    """Three hidden tanh, two outputs."""

    def __init__(self, inputs: int = 1) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(inputs, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))

    def exact(self, x: list) -> list:
        """Both outputs as mpmath numbers, at the current precision."""
        hidden = [mpmath.tanh(h) for h in _linear(self.first, x)]
        return _linear(self.last, hidden)


class Turn(nn.Module):
    """(x1 + x2, x1 - x2): on a square of side s its 2-norm varies by 2 s, its entries by 2 s."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :1] + x[:, 1:], x[:, :1] - x[:, 1:]], 1)


class Readout(nn.Module):
    """A LayerNorm over two features, its gains and offsets, and nothing behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.norm = nn.Linear(2, 2), nn.LayerNorm(2)
        with torch.no_grad():
            self.norm.weight.copy_(torch.tensor([0.5, -2.0]))
            self.norm.bias.copy_(torch.tensor([0.25, 1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(torch.tanh(self.mix(x)))


def _linear(layer: nn.Linear, x: list) -> list:
    rows, bias = layer.weight.detach().tolist(), layer.bias.detach().tolist()
    return [
        sum((mpmath.mpf(w) * v for w, v in zip(row, x, strict=True)), mpmath.mpf(b))
        for row, b in zip(rows, bias, strict=True)
    ]


def saved(module: nn.Module, inputs: int, folder) -> str:
    """The path of the exported module, in float64."""
    path = folder / f"{type(module).__name__}{inputs}.pt"
    certify.export(module.double().eval(), torch.zeros(1, inputs, dtype=torch.float64), path)
    return str(path)
