"""Where a box should be cut: the places at which an argument of relu or abs crosses its kink.

The places are guesses; nothing rests on them but speed. Cut there, each half sees one linear
side, up to an overlap of the size of the guess's error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.domains.expansions import Kinked, rule
from certify.domains.taylor import TaylorModel
from certify.graph import Apply, Node


class Crossings:
    """Collects crossings, as box, t and weight, during one `enclose`: `note` every node."""

    def __init__(self) -> None:
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []

    def note(self, node: Node, x: TaylorModel) -> None:
        """Note the entries of a kinked function's argument that change sign."""
        if not isinstance(node.primitive, Apply) or x.coef.shape[0] < 2:
            return
        how = rule(node.primitive.function)
        if not isinstance(how, Kinked) or how.left == how.right:
            return
        boxes = len(x.rem)
        coef, rem = x.coef.reshape(len(x.coef), boxes, -1), x.rem.reshape(boxes, -1)
        reach = coef[1:].abs().sum(0)
        # Believable only where the polynomial, not the remainder, decides the sign.
        crossing = (coef[0].abs() < reach) & (rem < 0.2 * reach) & torch.isfinite(reach)
        box, entry = torch.nonzero(crossing, as_tuple=True)
        if not len(box):
            return
        c = coef[:, box, entry]
        grid = torch.linspace(-1, 1, 9, dtype=c.dtype, device=c.device)
        powers = grid.unsqueeze(0) ** torch.arange(len(c), device=c.device).unsqueeze(1)
        values = torch.einsum("kp,kg->pg", c, powers)
        change = (values[:, :-1] <= 0) != (values[:, 1:] <= 0)
        point, cell = torch.nonzero(change, as_tuple=True)
        c, box = c[:, point], box[point]
        lo, hi = grid[cell], grid[cell + 1]
        t, low = (lo + hi) / 2, values[point, cell] <= 0
        for _ in range(60):  # bisection, finished by the first Newton step that stays inside
            value = horner(c, t)
            below_zero = (value <= 0) == low
            lo, hi = torch.where(below_zero, t, lo), torch.where(below_zero, hi, t)
            step = t - value / horner(derivative(c), t)
            good = (step > lo) & (step < hi)
            new = torch.where(good, step, (lo + hi) / 2)
            if bool(((new - t).abs() < 1e-15).all()):
                break
            t = new
        self.found.append((box, t, horner(derivative(c), t).abs()))


def horner(c: Tensor, t: Tensor) -> Tensor:
    """sum_k c[k] t**k."""
    out = c[-1]
    for k in range(len(c) - 2, -1, -1):
        out = out * t + c[k]
    return out


def derivative(c: Tensor) -> Tensor:
    """Coefficients of the derivative."""
    weights = torch.arange(1, len(c), dtype=c.dtype, device=c.device)
    return c[1:] * weights.unsqueeze(-1)


def cuts(found: list[tuple[Tensor, Tensor, Tensor]], boxes: int, most: int) -> list[list[float]]:
    """For each box at most `most` distinct t in (-1, 1), the heaviest first, then in order."""
    out: list[list[float]] = [[] for _ in range(boxes)]
    if not found:
        return out
    box, t, weight = (torch.cat(parts) for parts in zip(*found, strict=True))
    for i in torch.argsort(weight, descending=True).tolist():
        places, place = out[int(box[i])], float(t[i])
        if len(places) < most and -1 < place < 1 and all(abs(place - p) > 1e-9 for p in places):
            places.append(place)
    return [sorted(places) for places in out]
