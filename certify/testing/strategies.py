"""Strategies for hypothesis: boxes, points in boxes, and random small encoders."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import nn

Box = tuple[float, float]


@st.composite
def boxes(draw: st.DrawFn, lo: float = -1.0, hi: float = 1.0) -> Box:
    """Closed intervals (a, b) with lo <= a <= b <= hi: wide, thin, of a few ulps, and points.

    Args:
        draw: hypothesis' own.
        lo, hi: finite, lo <= hi.
    """
    if not -math.inf < lo <= hi < math.inf:
        raise ValueError(f"boxes need two finite ends in order, not [{lo!r}, {hi!r}]")
    a = draw(st.floats(lo, hi))
    kind = draw(st.sampled_from(["any", "thin", "ulps", "point"]))
    if kind == "any":
        a, b = sorted((a, draw(st.floats(lo, hi))))
        return a, b
    b = a
    if kind == "thin":
        b = a + 2.0 ** draw(st.integers(-60, -1)) * (hi - lo)
    if kind == "ulps":
        for _ in range(draw(st.integers(1, 4))):
            b = math.nextafter(b, math.inf)
    return a, min(b, hi)


def points(box: Box) -> st.SearchStrategy[float]:
    """Floats of a box, its ends and its middle among them more often than chance would have it."""
    lo, hi = box
    middle = min(max(lo / 2 + hi / 2, lo), hi)
    return st.one_of(st.sampled_from([lo, hi, middle]), st.floats(lo, hi))


class Encoder(nn.Module):
    """One number in, one out: a linear map to tokens, layers, and a mean with a linear head."""

    def __init__(self, tokens: int, width: int, layers: nn.Module) -> None:
        super().__init__()
        self.tokens, self.width = tokens, width
        self.start = nn.Linear(1, tokens * width)
        self.layers, self.head = layers, nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x of shape (batch, 1), values of shape (batch, 1)."""
        h = self.start(x).reshape(-1, self.tokens, self.width)
        return self.head(self.layers(h).mean(1))


@st.composite
def encoders(
    draw: st.DrawFn,
    *,
    layers: tuple[int, int] = (1, 2),
    widths: tuple[int, ...] = (2, 4),
    scale: float | None = None,
) -> Encoder:
    """Random encoders of `torch.nn`, in float64 and eval mode, ready to be exported.

    Pre- and post-norm, GELU and ReLU, 1 to 3 tokens, 1 or 2 heads. Weights are torch's own
    initial ones times a scale: small ones make LayerNorm see hardly any variance, large ones
    saturate softmax.

    Args:
        draw: hypothesis' own.
        layers: least and greatest number of layers.
        widths: of the residual stream, even.
        scale: of all weights; drawn from 1e-3 to 1e2 by default.
    """
    width, tokens = draw(st.sampled_from(widths)), draw(st.integers(1, 3))
    factor = draw(st.sampled_from([1e-3, 0.1, 1.0, 3.0, 100.0])) if scale is None else scale
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
        layer = nn.TransformerEncoderLayer(
            width,
            draw(st.sampled_from([1, 2])),
            2 * width,
            dropout=0.0,
            activation=draw(st.sampled_from(["gelu", "relu"])),
            batch_first=True,
            norm_first=draw(st.booleans()),
        )
        stack = nn.TransformerEncoder(layer, draw(st.integers(*layers)), enable_nested_tensor=False)
        module = Encoder(tokens, width, stack).double().eval()
        with torch.no_grad():
            for name, weight in module.named_parameters():
                # nn.TransformerEncoder copies one layer: every weight is drawn anew.
                if weight.ndim > 1:
                    weight.normal_(0.0, factor / math.sqrt(weight.shape[1]))
                elif "norm" not in name:
                    weight.normal_(0.0, 0.1)
    return module
