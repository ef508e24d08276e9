"""Encoders without LayerNorm that are exact: the identity, and the sum of two tokens.

Both are residual blocks in the sense of Yun et al.: h + attention(h), then h + feed-forward(h).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """One residual encoder block: single-head attention with linear maps, ReLU, no LayerNorm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.double()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()

    def forward(self, h: Tensor) -> Tensor:
        scores = self.query(h) @ self.key(h).transpose(-1, -2)
        h = h + self.out(torch.softmax(scores, -1) @ self.value(h))
        return h + self.down(torch.relu(self.up(h)))


def identity(width: int = 1) -> Block:
    """All weights 0: every input is its own output, exactly. Input (..., tokens, width)."""
    return Block(width, 2 * width)


def token_sum(d: int) -> Block:
    """Tokens (x1, 0), (x2, 0) of width 2 d become (0, x1 + x2) each, exactly (W4).

    The value map doubles x into the second half, uniform attention takes its mean, and the
    feed-forward layer takes x away from the first half: -x = relu(-x) - relu(x).
    """
    block = Block(2 * d, 2 * d)
    eye = torch.eye(d, dtype=torch.float64)
    with torch.no_grad():
        block.value.weight[d:, :d] = 2 * eye
        block.out.weight[d:, d:] = eye
        block.up.weight[:d, :d], block.up.weight[d:, :d] = eye, -eye
        block.down.weight[:d, :d], block.down.weight[:d, d:] = -eye, eye
    return block
