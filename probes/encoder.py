"""A small transformer encoder that maps one number to one number."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from theory.errors import BadRequest


def _gelu_tanh(values: Tensor) -> Tensor:
    return functional.gelu(values, approximate="tanh")


ACTIVATIONS = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "gelu_tanh": _gelu_tanh,
}
NORMS = ("post", "pre")


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an `Encoder`.

    Attributes:
        layers: encoder layers, each attention and a feed-forward block.
        width: features per token, a multiple of `heads`.
        heads: attention heads.
        ffn: hidden features of the feed-forward block; None means 2 * width.
        tokens: tokens the input is spread over.
        activation: a name from `ACTIVATIONS`.
        norm: "post" (LayerNorm after each residual) or "pre" (before each block, and once
            more in front of the head).

    Raises:
        BadRequest: a size is not positive, the encoder would take gigabytes to train, `width`
            is not a multiple of `heads`, or a name is unknown.
    """

    layers: int = 2
    width: int = 16
    heads: int = 2
    ffn: int | None = None
    tokens: int = 4
    activation: str = "gelu"
    norm: str = "post"

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "ffn", "tokens"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise BadRequest(f"{name} must be at least 1, not {size}")
        attention = self.heads * self.tokens**2
        weights = 2 * self.layers * self.width * (2 * self.width + (self.ffn or 2 * self.width))
        if attention > 2**18 or weights + 3 * self.tokens * self.width > 2**24:
            raise BadRequest(
                "this trainer is for small encoders: at most 2**24 parameters and "
                f"heads * tokens**2 <= 2**18, not about {weights} and {attention}"
            )
        if self.width % self.heads:
            raise BadRequest(
                f"width {self.width} is not a multiple of heads {self.heads}: "
                "every head takes an equal share of the features"
            )
        for name, known in (("activation", ACTIVATIONS), ("norm", NORMS)):
            if getattr(self, name) not in known:
                raise BadRequest(
                    f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(known)}"
                )


class Encoder(nn.Module):
    """Linear embedding into tokens, `nn.TransformerEncoder`, mean over tokens, linear head.

    Input:
        x: shape (batch, 1).

    Output:
        shape (batch, 1), in the dtype of the weights.

    There is no dropout, so training and evaluation compute the same function.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.shape = (config.tokens, config.width)
        self.embedding = nn.Linear(1, config.tokens * config.width)
        self.positions = nn.Parameter(0.5 * torch.randn(self.shape))
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            dim_feedforward=config.ffn or 2 * config.width,
            dropout=0.0,
            activation=ACTIVATIONS[config.activation],
            batch_first=True,
            norm_first=config.norm == "pre",
        )
        # A pre-norm stack ends in a bare residual sum, whose scale grows with depth.
        final = nn.LayerNorm(config.width) if config.norm == "pre" else None
        self.encoder = nn.TransformerEncoder(
            layer, config.layers, norm=final, enable_nested_tensor=False
        )
        # TransformerEncoder copies one layer, so all layers would start with equal weights.
        for part in self.encoder.layers:
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
        self.head = nn.Linear(config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embedding(x).view(-1, *self.shape) + self.positions
        return self.head(self.encoder(tokens).mean(dim=1))

    def rescaled(self, domain: tuple[float, float], heights: tuple[float, float]) -> Encoder:
        """The encoder on `domain` and `heights` that this one is on [-1, 1] and [-1, 1].

        Args:
            domain: (lo, hi), lo < hi.
            heights: (low, high), low < high.

        Returns:
            x -> mid(heights) + radius(heights) * self((x - mid(domain)) / radius(domain)), an
            encoder of the same shape: both affine maps are folded into the embedding and the
            head in float64, and the sums rounded once to the dtype of the weights.
        """
        other = copy.deepcopy(self)
        lo, hi = domain
        low, high = heights
        with torch.no_grad():
            weight, bias = self.embedding.weight.double(), self.embedding.bias.double()
            other.embedding.weight.copy_(weight / ((hi - lo) / 2))
            other.embedding.bias.copy_(bias - weight[:, 0] * ((lo + hi) / (hi - lo)))
            weight, bias = self.head.weight.double(), self.head.bias.double()
            other.head.weight.copy_(weight * ((high - low) / 2))
            other.head.bias.copy_(bias * ((high - low) / 2) + (low + high) / 2)
        return other


def parameter_count(module: nn.Module) -> int:
    """The number of trained numbers in `module`."""
    return sum(parameter.numel() for parameter in module.parameters())
