"""Convolutions in one and two dimensions: windows as the last axis, then an affine map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, bounded
from certify.ops.elementwise import add
from certify.ops.linear import linear
from certify.ops.structure import join
from certify.ops.table import lowering
from certify.ops.write import constant_pad


@lowering("aten.convolution.default")
def convolution(
    context: Context,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Tensor:
    """Convolution of (batch, channels, ...) with weights (out, channels / groups, ...)."""
    if transposed:
        raise CannotLower("a transposed convolution")
    count = len(weight.shape) - 2
    steps, gaps, ends = (_each(v, count) for v in (stride, dilation, padding))
    padded = constant_pad(context, input, [w for n in ends[::-1] for w in (n, n)])
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], gaps, strict=True)]
    shape = [(n - s) // t + 1 for n, s, t in zip(padded.shape[2:], spans, steps, strict=True)]
    if min(shape) < 1:
        raise ValueError("the kernel is larger than the input")
    kernel = weight.shape[2:]
    bounded((math.prod(shape), math.prod(weight.shape[1:]) * groups))
    # position of each tap in each window, axis by axis
    taps = [
        np.arange(n)[:, None] * t + np.arange(k) * d
        for n, t, k, d in zip(shape, steps, kernel, gaps, strict=True)
    ]
    pieces = []
    for group in range(groups):
        channels = slice(group * weight.shape[1], (group + 1) * weight.shape[1])
        size = weight.shape[0] // groups
        rows = slice(group * size, (group + 1) * size)
        seen = context.rearrange(padded, lambda a, c=channels: _windows(a[:, c], taps))
        filters = context.rearrange(weight, lambda a, r=rows: a[r].reshape(len(a[r]), -1))
        pieces.append(linear(context, seen, filters))
    out = (
        pieces[0]
        if groups == 1
        else join(context, pieces, lambda parts: np.concatenate(parts, axis=-1))
    )
    out = out if bias is None else add(context, out, bias)
    return context.rearrange(out, lambda a: np.moveaxis(a, -1, 1))


def _windows(a: np.ndarray, taps: list[np.ndarray]) -> np.ndarray:
    """(batch, channels, ...) -> (batch, places ..., channels * taps)."""
    for i, index in enumerate(taps):
        a = np.take(a, index, axis=2 + 2 * i)  # this axis becomes (places, taps)
    count = len(taps)
    places, inner = range(2, 2 + 2 * count, 2), range(3, 3 + 2 * count, 2)
    a = a.transpose(0, *places, 1, *inner)
    return a.reshape(*a.shape[: 1 + count], -1)


def _each(value: Any, count: int) -> list[int]:
    value = [value] if isinstance(value, int) else list(value)
    return value * count if len(value) == 1 else value
