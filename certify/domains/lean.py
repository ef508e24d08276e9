"""What the backward pass runs on: polynomials of low order with a remainder, and nothing else.

For every entry g of a value and every t in [-1, 1]^n, |g(t) - sum_j coef[j] t**j| <= rem, and the
2-norm of those errors along the last axis is <= norm (norms.py). Sensitivities are factors of error
bounds: a percent more does no harm, so no range is carried beside the polynomial, and no product
is computed to more than working accuracy. A bound that is inf or nan means "nothing is known".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.domains import norms, series
from certify.domains.basis import Basis
from certify.domains.ends import as_tensor
from certify.domains.expansions import Kinked, Smooth, repeated
from certify.domains.model import TaylorModel, most_of_row
from certify.domains.moving import mover
from certify.graph import Affine, Gather
from certify.rounding import TINY, U, above, gamma, unknown, up


@dataclass(frozen=True, eq=False)
class Slope:
    """coef (monomials, boxes, *shape); rem (boxes, *shape); norm (boxes, *shape[:-1])."""

    coef: Tensor
    rem: Tensor
    norm: Tensor

    def size(self) -> Tensor:
        """(boxes, *shape), at least |g(t)| for all t and all errors."""
        return up(self.coef.abs().sum(0) + self.rem, len(self.coef) + 1)

    def masked(self, lost: Tensor) -> Slope:
        """The same, exactly 0 where `lost` is set."""
        rem = self.rem.masked_fill(lost, 0.0)
        return Slope(self.coef.masked_fill(lost, 0.0), rem, torch.fmin(self.norm, norms.rows(rem)))


def settled(coef: Tensor, rem: Tensor, norm: Tensor) -> Slope:
    """Of both bounds the better one, where one follows from the other."""
    return Slope(coef, *norms.tighten(rem, norm))


def swapped(x: TaylorModel) -> Slope:
    """The transpose of the last two axes of a Taylor model."""
    rem = x.rem.mT
    return Slope(x.coef.mT, rem, norms.rows(rem))


@dataclass(frozen=True)
class Lean:
    """The primitives of a backward pass over polynomials of one basis."""

    basis: Basis

    def gather(self, node: Gather, x: Slope) -> Slope:
        """Exact."""
        move = mover(node, x.rem[0].numel())
        rem = move(x.rem, 1)
        return Slope(
            move(x.coef, 2), rem, norms.gathered(node, tuple(x.rem.shape[1:]), rem, x.norm)
        )

    def affine(self, node: Affine, x: Slope) -> Slope:
        """A linear map: coefficients err by gamma(n) |W| |c_j|, scale and divisor once each."""
        coef, rem, norm, n = x.coef, x.rem, x.norm, 0
        made = torch.zeros((), dtype=rem.dtype, device=rem.device)
        if node.weight is not None:
            w = as_tensor(node.weight, rem)
            n = w.shape[1]
            rem, size = torch.stack([rem, coef.abs().sum(0)]) @ w.abs().T
            # What underflows here is stretched by a large scale: TINY joins before.
            coef, made = coef @ w.T, gamma(n + 1) * size + TINY
            stretch, row_norms = norms.spectral(node)
            # Cauchy-Schwarz: entry i of W e is at most ||W_i|| ||e||.
            rem = torch.fmin(rem, norm.unsqueeze(-1) * row_norms.to(rem.device))
            norm = norm * stretch
        if node.scale is not None:
            s = as_tensor(node.scale, rem)
            coef, rem, made = coef * s, rem * s.abs(), made * s.abs()
            norm = norm * most_of_row(s.abs().expand(rem.shape))
        if node.divisor != 1:
            d = abs(node.divisor)
            # What underflowed above is stretched by a small divisor: TINY joins before.
            coef, rem, made, norm = (
                coef / node.divisor,
                *((bound + TINY) / d for bound in (rem, made, norm)),
            )
        if node.scale is not None or node.divisor != 1:
            made = made + gamma(3) * coef.abs().sum(0)
        ops = 2 * n + 2 * len(coef) + 16
        made = up(made, ops)
        return settled(coef, up(rem + made, ops), up(norm + norms.rows(made), ops))

    def add(self, x: Slope, y: Slope) -> Slope:
        """One rounding in each coefficient."""
        coef = x.coef + y.coef
        made = up(U * coef.abs().sum(0), len(coef) + 2)
        norm = up(x.norm + y.norm + norms.rows(made), 4)
        return settled(coef, up(x.rem + y.rem + made, 4), norm)

    def matmul(self, x: Slope, y: Slope) -> Slope:
        """(p + r)(q + s) = p q + p s + r (q + s), p q cut at the basis's order."""
        n = x.coef.shape[-1]
        coef, made = series.matmul(x.coef, y.coef, self.basis)
        mx, my = series.size(x.coef), series.size(y.coef)
        ops = 2 * (self.basis.terms + self.basis.order + 1) * n + 2 * self.basis.count() + 8
        made = up(made, ops)
        rem = up(made + mx @ y.rem + x.rem @ (my + y.rem), 2 * ops)
        lengths = norms.rows(my) + y.norm
        norm = (mx @ y.norm.unsqueeze(-1) + x.rem @ lengths.unsqueeze(-1)).squeeze(-1)
        return settled(coef, rem, up(norm + norms.rows(made), 2 * ops))

    def times(self, x: Slope, y: Slope) -> Slope:
        """The product entry by entry."""
        mx, my = series.size(x.coef), series.size(y.coef)
        coef, made = series.product(x.coef, y.coef, self.basis)
        other = up(x.rem * (my + y.rem), 4)
        rem = up(made + mx * y.rem + other, 6)
        norm = up(most_of_row(mx) * y.norm + norms.rows(up(made + other, 2)), 6)
        return settled(coef, rem, norm)

    def slope(self, how: Smooth, tube: TaylorModel) -> Slope:
        """f' over a tube: at every y = P + d in [lo, hi], P the tube's polynomial and |d| <= rem.

        P itself lies in [lo, hi] too, which was made of a longer polynomial (`Trace.tube`). With
        h = P - c and f = sum_k a_k (y - c)**k + ... of order m + 1, m the basis's order, f'(P) is
        sum_(k<=m) (k + 1) a_(k+1) h**k with a rest of (m + 2) last |h|**(m+1); and f'(y) is off
        that by at most sup |f''| |d|. All arguments lie within R of c, so by the same expansion

            |f''| <= sum_(k>=2) k (k - 1) |a_k| R**(k-2) + (m + 2) (m + 1) last R**m.

        An error budget sum err_k r**k <= e of the a_k at some r >= R makes one of (m + 1) e / r in
        f' and of (m + 1) m e / r**2 in f''; r is not taken tiny. Where that is more than sup |f'|,
        the slope is 0 with that remainder.
        """
        m, c = self.basis.order, tube.coef[0]
        down, top = series.span(tube.coef, self.basis)
        reach, far = torch.maximum(down, top), torch.maximum(above(tube.hi - c), above(c - tube.lo))
        far = far.clamp(min=2.0**-64)  # its powers do not underflow
        wide = far.clamp(min=2.0**-6)
        e = how.expand(m + 1, c, wide, tube.lo, tube.hi)
        a = torch.stack([k * e.taylor[k] for k in range(1, len(e.taylor))])
        coef, error = series.compose(a, tube.coef, reach, self.basis)
        size, curve = a[-1].abs(), (m + 2) * (m + 1) * e.last * _power(far, m)
        for k in range(2, len(e.taylor)):
            curve = curve + k * (k - 1) * e.taylor[k].abs() * _power(far, k - 2)
        curve = up(curve + (m + 1) * m * (e.error / wide) / wide, 4 * m + 10)
        for k in range(len(a) - 2, -1, -1):
            size = size * reach + a[k].abs()
        power = repeated(reach, m + 1)
        # Where the power underflows and is not made up for by TINY, nothing is known.
        rest = ((m + 2) * e.last * power).masked_fill((power < 2.0**-1000) & (e.last > 1), math.inf)
        rest = rest.masked_fill(reach == 0, 0.0)
        rem = (m + 1) * e.error / wide + U * size + error + rest + curve * tube.rem
        rem = unknown(up(rem, 4 * m + 16))
        lost = ~(rem < e.slope)
        coef, rem = coef.masked_fill(lost, 0.0), torch.where(lost, unknown(e.slope), rem)
        return Slope(coef, rem, norms.rows(rem))

    def side(self, how: Kinked, tube: TaylorModel) -> Slope:
        """The slope of one side, or of either, over a tube."""
        coef = torch.zeros_like(tube.coef)
        coef[0], rem = how.slopes(tube.lo, tube.hi)
        return Slope(coef, rem, norms.rows(rem))


def _power(x: Tensor, n: int) -> Tensor | float:
    return repeated(x, n) if n else 1.0
