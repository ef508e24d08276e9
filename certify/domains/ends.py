"""Ranges of affine maps by their ends, where a midpoint and a radius would not do."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from certify.graph import Affine
from certify.rounding import TINY, above, below, gamma, no_nan, outward, up


def affine(node: Affine, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """The range of an affine map, each end by itself: where some ends are infinite, and where
    a sum of what is >= 0 must not lose its sign to the rounding of a midpoint.

    A weight 0 meets an infinite end with 0; other products keep their infinity. With n products
    and three more operations rounding errs by gamma(n + 4) times the sum of magnitudes.
    """

    def end(near: Tensor, far: Tensor) -> Tensor:
        """A lower bound of W v where near <= v <= far."""
        w, n = None, 1
        if node.weight is not None:
            w, n = as_tensor(node.weight, near), node.weight.shape[1]
        parts = []
        for bound, sign in ((near, 1.0), (far, -1.0)):
            infinite = bound.isinf()
            finite = bound.masked_fill(infinite, 0.0)
            if w is None:
                parts.append((finite, finite.abs(), infinite) if sign > 0 else (0.0, 0.0, False))
                continue
            half = (sign * w).clamp(min=0) * sign
            hit = infinite.double() @ (half != 0).double().T > 0
            parts.append((finite @ half.T, finite.abs() @ half.abs().T, hit))
        value, size = parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
        low = below(value - up(gamma(n + 2) * size, 2 * n + 4))
        return low.masked_fill(parts[0][2] | parts[1][2], -math.inf)

    low, high = end(lo, hi), -end(-hi, -lo)
    if node.scale is not None:
        s = as_tensor(node.scale, lo)
        zero = s == 0
        ends = torch.stack([(low * s).masked_fill(zero, 0.0), (high * s).masked_fill(zero, 0.0)])
        low, high = below(ends.amin(0)), above(ends.amax(0))
    if node.divisor != 1:
        ends = torch.stack([low / node.divisor, high / node.divisor])
        low, high = below(ends.amin(0)), above(ends.amax(0))
    if node.bias is not None:
        b = as_tensor(node.bias, lo)
        low, high = below(low + b), above(high + b)
    return no_nan(low, high)


def centered(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """[lo, hi] as mid +- radius, radius rounded up; (0, inf) where it is not finite."""
    mid = lo / 2 + hi / 2
    radius = above(torch.maximum(above(hi - mid), above(mid - lo)))
    bad = ~torch.isfinite(radius)
    return mid.masked_fill(bad, 0.0), radius.masked_fill(bad, math.inf)


def middle(node: Affine, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """The range of an affine map by the image of a midpoint and of a radius.

    With n products and at most three more operations, the image of the midpoint errs by gamma(n +
    6) times the image of the magnitudes.
    """
    width = torch.maximum(lo.abs(), hi.abs())
    mid, radius = centered(lo, hi)
    n = 0
    if node.weight is not None:
        w = as_tensor(node.weight, lo)
        n = w.shape[1]
        mid = mid @ w.T
        radius, width = torch.stack([radius, width]) @ w.abs().T
        radius = radius + TINY  # what underflowed above is stretched by a large scale
    if node.scale is not None:
        s = as_tensor(node.scale, lo)
        mid, radius, width = mid * s, radius * s.abs(), width * s.abs()
    if node.divisor != 1:
        # What underflowed above is stretched by a small divisor: TINY joins before.
        mid, d = mid / node.divisor, abs(node.divisor)
        radius, width = (radius + TINY) / d, (width + TINY) / d
    if node.bias is not None:
        b = as_tensor(node.bias, lo)
        mid, width = mid + b, width + b.abs()
    return outward(mid, mid, up(radius + gamma(n + 6) * width, 2 * n + 34))


@functools.lru_cache(maxsize=4096)
def positive(node: Affine) -> bool:
    """Whether a weight has no negative entry, as in sums and means."""
    return node.weight is not None and bool((node.weight >= 0).all())


def as_tensor(array, like: Tensor) -> Tensor:
    """A constant of the graph on the device of `like`."""
    return torch.from_numpy(array).to(like.device)
