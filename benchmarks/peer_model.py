"""The zoo's encoder minus its target, in operations that the peer can bound."""

from __future__ import annotations

import io
import math

import torch
from torch import Tensor, nn

from benchmarks.instances import Instance
from benchmarks.peer_setup import gelu, rsqrt, sine

EPS = 1e-5  # of LayerNorm
TOLERANCE = 1e-12  # agreement with the model file, both in float64


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer in float64."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


class Norm(nn.Module):
    """LayerNorm over the last axis."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).mean(-1, keepdim=True)
        return centred * rsqrt(variance + EPS) * self.weight + self.bias


class Layer(nn.Module):
    """One encoder layer from the weights under `prefix`."""

    def __init__(self, weights: dict[str, Tensor], prefix: str, instance: Instance) -> None:
        super().__init__()

        def part(name: str) -> tuple[Tensor, Tensor]:
            return weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"]

        weight = weights[f"{prefix}self_attn.in_proj_weight"]
        bias = weights[f"{prefix}self_attn.in_proj_bias"]
        width = weight.shape[1]
        self.heads, self.each = instance.heads, width // instance.heads
        self.tokens, self.width = weights["positions"].shape
        self.pre, self.gelu = instance.pre, instance.activation == "gelu"
        scale = 1 / math.sqrt(self.each)
        self.query = linear(weight[:width] * scale, bias[:width] * scale)
        self.key = linear(weight[width : 2 * width], bias[width : 2 * width])
        self.value = linear(weight[2 * width :], bias[2 * width :])
        self.out = linear(*part("self_attn.out_proj"))
        self.up, self.down = linear(*part("linear1")), linear(*part("linear2"))
        self.norm1, self.norm2 = Norm(*part("norm1")), Norm(*part("norm2"))

    def attention(self, x: Tensor) -> Tensor:
        """Softmax by exp, sum and reciprocal: the scores are small enough for that."""
        query, key, value = (
            f(x).view(-1, self.tokens, self.heads, self.each).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        raised = torch.exp(query.matmul(key.transpose(2, 3)))
        shares = raised * torch.reciprocal(raised.sum(-1, keepdim=True))
        mixed = shares.matmul(value).transpose(1, 2)
        return self.out(mixed.reshape(-1, self.tokens, self.width))

    def feed(self, x: Tensor) -> Tensor:
        """The feed-forward block."""
        hidden = self.up(x)
        return self.down(gelu(hidden) if self.gelu else torch.relu(hidden))

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            x = x + self.attention(self.norm1(x))
            return x + self.feed(self.norm2(x))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.feed(x))


class Difference(nn.Module):
    """x -> model(x) - target(x), shape (batch, 1) to (batch, 1)."""

    def __init__(self, weights: dict[str, Tensor], instance: Instance) -> None:
        super().__init__()
        self.shape = weights["positions"].shape
        bias = weights["embedding.bias"] + weights["positions"].reshape(-1)
        self.embedding = linear(weights["embedding.weight"], bias)
        count = sum(name.endswith("linear1.weight") for name in weights)
        self.layers = nn.Sequential(
            *(Layer(weights, f"encoder.layers.{i}.", instance) for i in range(count))
        )
        self.last = (
            Norm(weights["encoder.norm.weight"], weights["encoder.norm.bias"])
            if instance.pre
            else nn.Identity()
        )
        self.head = linear(weights["head.weight"], weights["head.bias"])
        self.target = instance.target

    def model(self, x: Tensor) -> Tensor:
        """The encoder alone."""
        tokens = self.embedding(x).view(-1, *self.shape)
        return self.head(self.last(self.layers(tokens)).mean(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) - (torch.exp(x) if self.target == "exp" else sine(3 * x))


def load(instance: Instance) -> Difference:
    """The instance's function, checked against the model file at a few points.

    Raises:
        AssertionError: the two disagree.
    """
    program = torch.export.load(io.BytesIO(instance.path.read_bytes()))
    weights = {name: t.detach().double() for name, t in program.state_dict.items()}
    result = Difference(weights, instance)
    original = program.module().double()
    for x in torch.linspace(-1, 1, 17):
        there = float(original(x.reshape(1, 1)))
        here = float(result.model(x.reshape(1, 1)))
        assert abs(there - here) < TOLERANCE, (float(x), there, here)
    return result
