"""Networks that do have plateaus, of known extent: what a verifier of plateaus must find."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stairs(nn.Module):
    """exp on [-1, 1] by eight steps of width 1/4, each of them a steep tanh."""

    def __init__(self, steep: float = 2000.0):
        super().__init__()
        edges = torch.linspace(-1, 1, 9)
        middles = torch.exp((edges[:-1] + edges[1:]) / 2)
        self.first, self.second = nn.Linear(1, 7), nn.Linear(7, 1)
        with torch.no_grad():
            self.first.weight.fill_(steep)
            self.first.bias.copy_(-steep * edges[1:-1])
            self.second.weight.copy_(middles.diff()[None] / 2)
            self.second.bias.fill_((middles[0] + middles[-1]) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


class TwoValues(nn.Module):
    """A post-norm encoder layer without head, of width 2 by default: nearly two-valued (C0)."""

    def __init__(self, features: int = 2):
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Linear(1, features)
        self.layer = nn.TransformerEncoderLayer(features, 1, 8, 0.0, "gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.embed(x).unsqueeze(1)).squeeze(1)[:, :1]


def longest_sampled(module: nn.Module, tau: float, places: int = 2001) -> float:
    """Length of the longest window of [-1, 1], on a grid, where a module varies by at most tau
    times what exp does; right to two steps of the grid."""
    x = torch.linspace(-1, 1, places, dtype=torch.float64)
    with torch.no_grad():
        g = module(x.unsqueeze(1)).reshape(-1)
    best, f = 0.0, torch.exp(x)
    for i in range(places):
        spread = g[i:].cummax(0).values - g[i:].cummin(0).values
        good = torch.nonzero(spread <= tau * (f[i:] - f[i]))
        best = max(best, float(x[i + int(good[-1])] - x[i])) if len(good) else best
    return best
