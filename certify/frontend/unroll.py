"""Autoregressive generation as one module of one tensor, so that it can be exported whole."""

from __future__ import annotations

import torch
from torch import nn


class Unrolled(nn.Module):
    """k steps of an encoder-decoder that is fed its own output.

    Step by step `model(x, y)` is asked with all tokens so far, and the last token of its answer
    is appended: y = start, then y = cat(y, model(x, y)[:, -1:]). Tokens are vectors, as in
    regression; nothing is sampled or rounded, so the whole is one continuous function of x.
    """

    def __init__(self, model: nn.Module, start: torch.Tensor, steps: int) -> None:
        """What to unroll.

        Args:
            model: takes the source, shape (batch, ...), and the tokens so far, shape
                (batch, tokens, width); returns one token for each of those.
            start: the first tokens, shape (1, tokens, width); a parameter stays one.
            steps: how many tokens to generate, at least 1.

        Raises:
            ValueError: `start` has another form, or there is no step.
        """
        super().__init__()
        if start.dim() != 3 or start.shape[0] != 1 or steps < 1:
            raise ValueError("start has the shape (1, tokens, width), and steps is at least 1")
        self.model, self.steps = model, steps
        if isinstance(start, nn.Parameter):
            self.start = start
        else:
            self.register_buffer("start", start)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The generated tokens, shape (batch, steps, width)."""
        y = self.start.expand(x.shape[0], -1, -1)
        for _ in range(self.steps):
            y = torch.cat([y, self.model(x, y)[:, -1:]], dim=1)
        return y[:, self.start.shape[1] :]
