"""How far an execution in float32 can be from the real function, at the same input.

Let v be the real values and v + e those of an execution: e_v is u_v more than the exact operator
makes of the e of its inputs, |u_v| <= the bound of the operator's rounding (`Rounded`). Each
primitive is split in its linear part *at the real values* and a rest:

    gather, affine, add   e' = L e
    matmul                e' = e_x y + x e_y + e_x e_y
    smooth f              e' = f'(v) e + q,  |q| <= max |f''| / 2 over all v + e, times e**2
    left x | right x      e' = s e + q with s the slope of one side; f(x) - s x is 0 there and has
                          slopes up to |right - left|: |q| <= |right - left| max(0, |e| - |v|)
                          where v is on that side, |right - left| |e| elsewhere

so the output's e is sum_v g_v (u_v + q_v), with g the adjoint of the *real* graph: it is enclosed
over the real values alone (certify/domains/adjoint.py), which the engine knows to ten digits, and
the rests are of second order.

A bound |e_v| <= offset is needed on the way, for the rests and because the operators read what was
computed. It travels forward as remainders do, entry by entry and as 2-norms of rows, which grow
a hundredfold per layer of an encoder. So where it has grown too large, the backward pass bounds it
for every entry of that value.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.domains import norms
from certify.domains.expansions import Kinked, rule
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Apply, Gather, Shape
from certify.rounding import above, below, unknown, up

FLAT = Taylor(0)  # the arithmetic of offsets: models whose polynomial is 0


def offset(like: TaylorModel) -> TaylorModel:
    """A model's remainder, norms and rows alone: |e| <= rem around 0.

    Where the domain replaced an overflowed remainder by the value's range (`cut`), which says
    nothing of e, nothing is known.
    """
    rem = unknown(like.rem)
    if like.cut is not None:
        rem = rem.masked_fill(like.cut, math.inf)
        lost = like.cut.any(-1) if like.cut.ndim > 1 else like.cut
        norm = unknown(like.norm).masked_fill(lost, math.inf)
        like = replace(like, norm=norm, total=None, row=None)
    zero = torch.zeros((1, *rem.shape), dtype=rem.dtype, device=rem.device)
    return replace(like, coef=zero, rem=rem, lo=-rem, hi=rem, made=None, cut=None)


def sized(off: TaylorModel, real: TaylorModel) -> TaylorModel:
    """The offset on a polynomial that is the largest real |v|: what a product's remainder needs."""
    size = torch.maximum(real.lo.abs(), real.hi.abs())
    far = torch.full_like(size, math.inf)
    return replace(off, coef=size.unsqueeze(0), lo=-far, hi=far)


@dataclass(frozen=True, eq=False)
class Pair:
    """A real value's Taylor model and the offset of an execution from it.

    made: u and q of the node that made it, shaped like the value; None for none.
    """

    real: TaylorModel
    off: TaylorModel
    made: Tensor | None = None


@dataclass(frozen=True)
class Deviation:
    """The domain of pairs: see the module's docstring."""

    taylor: Taylor

    def lift(self, boxes: Tensor, shape: Shape) -> Pair:
        """Both executions have the same input."""
        real = self.taylor.lift(boxes, shape)
        zero = torch.zeros_like(real.rem)
        return Pair(real, offset(replace(real, rem=zero, norm=norms.rows(zero))))

    def gather(self, node: Gather, x: Pair) -> Pair:
        """Exact."""
        return Pair(self.taylor.gather(node, x.real), offset(FLAT.gather(node, x.off)))

    def affine(self, node: Affine, x: Pair) -> Pair:
        """The linear part moves the offset."""
        off = FLAT.affine(_linear(node), x.off)
        return Pair(self.taylor.affine(node, x.real), offset(off))

    def add(self, x: Pair, y: Pair) -> Pair:
        """Offsets add up."""
        return Pair(self.taylor.add(x.real, y.real), offset(FLAT.add(x.off, y.off)))

    def matmul(self, x: Pair, y: Pair) -> Pair:
        """|e_x| |y| + |x| |e_y| + |e_x| |e_y|, the last not linear."""
        off = FLAT.matmul(sized(x.off, x.real), sized(y.off, y.real))
        made = up(x.off.rem @ y.off.rem, 2 * x.off.rem.shape[-1] + 4)
        return Pair(self.taylor.matmul(x.real, y.real), offset(off), unknown(made))

    def apply(self, node: Apply, x: Pair) -> Pair:
        """A slope over all v + e, and a rest of second order."""
        lo, hi = self.range(x)
        how = rule(node.function)
        if isinstance(how, Kinked):
            made = bent(how, self.taylor.range(x.real), x.off.rem)[1]
            sides = abs(how.left), abs(how.right)
            slope = torch.full_like(lo, max(sides))
            slope = slope.masked_fill(lo >= 0, sides[1]).masked_fill(hi <= 0, sides[0])
        else:
            mid = torch.minimum(torch.maximum(lo / 2 + hi / 2, lo), hi)
            e = how.expand(1, mid, above(hi - lo), lo, hi)
            slope = e.slope
            made = up(unknown(e.last) * x.off.rem * x.off.rem, 4)
            made = torch.where(x.off.rem == 0, 0.0, unknown(made))
        rem = torch.where(x.off.rem == 0, 0.0, up(slope * x.off.rem, 2))
        top = slope.amax(-1) if slope.ndim > 1 else slope
        norm = torch.fmin(up(top * x.off.norm, 2), norms.rows(rem))
        off = offset(replace(x.off, rem=rem, norm=norm, total=None, row=None))
        return Pair(self.taylor.apply(node, x.real), off, made)

    def widen(self, x: Pair, error: Tensor) -> Pair:
        """The rounding of an operator: the real value stays as it is."""
        error = unknown(error).expand(x.off.rem.shape)
        return Pair(x.real, offset(FLAT.widen(x.off, error)), error)

    def range(self, x: Pair) -> tuple[Tensor, Tensor]:
        """Where every execution's value lies."""
        lo, hi = self.taylor.range(x.real)
        return below(lo - x.off.rem), above(hi + x.off.rem)


def bent(how: Kinked, real: tuple[Tensor, Tensor], off: Tensor) -> tuple[Tensor, Tensor]:
    """The side whose slope is taken (True: right), and the rest q, for real values in a range."""
    least, most = real
    right = least / 2 + most / 2 >= 0
    near = torch.where(right, least, -most).clamp(min=0)
    past = above(off - near).masked_fill(off <= near, 0.0)
    return right, up(abs(how.right - how.left) * past, 4).masked_fill(past == 0, 0.0)


@functools.lru_cache(maxsize=4096)
def _linear(node: Affine) -> Affine:
    """An affine map without its bias."""
    return Affine(node.weight, node.scale, node.divisor, None)
