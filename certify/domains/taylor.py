"""Taylor models: a polynomial in the box's variable t in [-1, 1], plus a remainder, plus a range.

For every entry v of a value and every x = mid + rad t of the box:

    |v(x) - sum_j coef[j] t**j| <= rem    and    lo <= v(x) <= hi,

and the 2-norm of those errors along the last axis is <= norm (see norms.py).

The range keeps what polynomials forget (a variance is >= 0, a softmax lies in [0, 1]); where it
is tighter than the polynomial with its remainder it takes their place. All boxes travel
together as the second axis of `coef`.

Taylor models with rounding in the remainder: Revol, Makino, Berz, Taylor models and
floating-point arithmetic, J. Logic Algebr. Program. 64, 2005.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.domains import norms, series
from certify.domains.expansions import Kinked, rule
from certify.graph import Affine, Apply, Gather, Shape
from certify.rounding import U, above, below, gamma, no_nan, outward, up


@dataclass(frozen=True, eq=False)
class TaylorModel:
    """coef (K + 1, boxes, *shape); rem, lo, hi (boxes, *shape); norm (boxes, *shape[:-1])."""

    coef: Tensor
    rem: Tensor
    lo: Tensor
    hi: Tensor
    norm: Tensor


def _settled(coef: Tensor, rem: Tensor, lo: Tensor, hi: Tensor, norm: Tensor) -> TaylorModel:
    """Replace what overflowed by "nothing is known", then by the range where that is known."""
    lo, hi = no_nan(lo, hi)
    rem, norm = norms.tighten(rem, norm)
    if not torch.isfinite(rem.sum() + coef.sum()):
        lost = ~(torch.isfinite(rem) & torch.isfinite(coef).all(0))
        known = lost & torch.isfinite(hi - lo)
        mid = torch.where(known, lo / 2 + hi / 2, 0.0)
        radius = above(torch.maximum(above(hi - mid), above(mid - lo)))
        coef = coef.masked_fill(lost, 0.0)
        coef[0] = torch.where(known, mid, coef[0])
        rem = torch.where(lost, torch.where(known, radius, math.inf), rem)
        norm = torch.where(_any(lost), norms.rows(rem), norm)
    return TaylorModel(coef, rem, lo, hi, norm)


def _any(mask: Tensor) -> Tensor:
    """Whether any entry of a row is set, shaped like a norm."""
    return mask.any(-1) if mask.ndim > 1 else mask


def _most(x: Tensor) -> Tensor:
    """The largest entry of each row, shaped like a norm."""
    return x.amax(-1) if x.ndim > 1 else x


def _centered(x: TaylorModel) -> tuple[Tensor, Tensor]:
    """The range as mid +- radius, radius rounded up; (0, inf) where it is not finite."""
    mid = x.lo / 2 + x.hi / 2
    radius = above(torch.maximum(above(x.hi - mid), above(mid - x.lo)))
    bad = ~torch.isfinite(radius)
    return mid.masked_fill(bad, 0.0), radius.masked_fill(bad, math.inf)


@dataclass(frozen=True)
class Taylor:
    """Taylor models of a given order in one variable.

    order: degree K of the polynomials; 0 gives intervals as mid +- radius.
    """

    order: int = 8

    def lift(self, boxes: Tensor, shape: Shape) -> TaylorModel:
        """The input over boxes [lo, hi], shape (boxes, 2).

        mid and rad are rounded so that [mid - rad, mid + rad] contains [lo, hi]; the range keeps
        the exact ends.
        """
        if math.prod(shape) != 1:
            raise ValueError(f"one input variable is expected, the model has {math.prod(shape)}")
        lo, hi = boxes[:, 0], boxes[:, 1]
        mid = lo / 2 + hi / 2
        rad = torch.maximum(hi - mid, mid - lo)
        rad = torch.where((hi - mid == rad) & (mid - lo == rad), rad, above(rad))
        coef = torch.zeros((self.order + 1, len(boxes)), dtype=boxes.dtype, device=boxes.device)
        coef[0] = mid
        rem = torch.zeros_like(mid)
        if self.order:
            coef[1] = rad
        else:
            rem = rad
        shaped = (len(boxes), *shape)
        rem = rem.reshape(shaped)
        ends = lo.reshape(shaped), hi.reshape(shaped)
        return TaylorModel(coef.reshape(-1, *shaped), rem, *ends, norms.rows(rem))

    def gather(self, node: Gather, x: TaylorModel) -> TaylorModel:
        """Exact."""
        index = torch.from_numpy(node.index).to(x.rem.device)
        shape, flat = index.shape, index.reshape(-1)
        size = x.rem[0].numel()
        reshaped = flat.numel() == size and bool((flat == torch.arange(size).to(flat)).all())
        zero, pick = flat < 0, flat.clamp(min=0)
        any_zero = bool(zero.any())

        def move(t: Tensor, lead: int) -> Tensor:
            if not reshaped:
                t = t.reshape(*t.shape[:lead], size).index_select(lead, pick)
                t = t.masked_fill(zero, 0.0) if any_zero else t
            return t.reshape(*t.shape[:lead], *shape)

        rem = move(x.rem, 1)
        norm = norms.gathered(node, tuple(x.rem.shape[1:]), rem, x.norm)
        return TaylorModel(move(x.coef, 2), rem, move(x.lo, 1), move(x.hi, 1), norm)

    def affine(self, node: Affine, x: TaylorModel) -> TaylorModel:
        """Each coefficient is an exact linear image, computed with n products a row.

        Rounding: gamma(n + 2) |W| |c_j| for the sums, the scale and the divisor, and one more
        rounding where the bias is added; all of it joins the remainder before |W| is applied.
        """
        coef, rem, norm = x.coef, x.rem, x.norm
        mag, width = x.coef.abs().sum(0), torch.maximum(x.lo.abs(), x.hi.abs())
        mid, radius = _centered(x)
        n = 0
        if node.weight is not None:
            w = _tensor(node.weight, rem)
            n = int((w != 0).sum(1).max()) if w.numel() else 0
            coef, mid = coef @ w.T, mid @ w.T
            rem, mag, radius, width = torch.stack([rem, mag, radius, width]) @ w.abs().T
            stretch, row_norms = norms.spectral(node)
            # Cauchy-Schwarz: entry i of W e is at most ||W_i|| ||e||.
            rem = torch.fmin(rem, norm.unsqueeze(-1) * row_norms.to(rem.device))
            norm = norm * stretch
        if node.scale is not None:
            s = _tensor(node.scale, rem)
            coef, mid = coef * s, mid * s
            rem, mag, radius, width = torch.stack([rem, mag, radius, width]) * s.abs()
            norm = norm * _most(s.abs().expand(rem.shape))
        if node.divisor != 1:
            coef, mid, d = coef / node.divisor, mid / node.divisor, abs(node.divisor)
            rem, mag, radius, width, norm = rem / d, mag / d, radius / d, width / d, norm / d
        if node.bias is not None:
            b = _tensor(node.bias, rem)
            if coef is x.coef:
                coef = coef.clone()
            coef[0] += b
            mid = mid + b
            mag, width = mag + b.abs(), width + b.abs()
        ops = 2 * n + 2 * x.coef.shape[0] + 12
        rounding = up(gamma(n + 4) * mag, ops)
        norm = up(norm + norms.rows(rounding), ops)
        lo, hi = outward(mid, mid, up(radius + gamma(n + 6) * width, ops))
        return _settled(coef, up(rem + rounding, ops), lo, hi, norm)

    def add(self, x: TaylorModel, y: TaylorModel) -> TaylorModel:
        """One rounding in each coefficient."""
        coef = x.coef + y.coef
        rounding = up(U * coef.abs().sum(0), coef.shape[0] + 2)
        rem = up(x.rem + y.rem + rounding, 4)
        norm = up(x.norm + y.norm + norms.rows(rounding), 4)
        return _settled(coef, rem, below(x.lo + y.lo), above(x.hi + y.hi), norm)

    def matmul(self, x: TaylorModel, y: TaylorModel) -> TaylorModel:
        """(p + r)(q + s) = pq + p s + r q + r s; pq is cut at degree K.

        Coefficient k is one inner product over (k + 1) n terms, so rounding errs by
        gamma((K + 1) n) times the product of the magnitudes.
        """
        orders, n = x.coef.shape[0], x.coef.shape[-1]
        mx, my = series.size(x.coef), series.size(y.coef)
        if x.coef.shape[-2] == n == y.coef.shape[-1] == 1:
            coef, dropped = series.product(x.coef, y.coef)
            times = torch.mul
        else:
            # All coefficients side by side: a_0 b_k + ... + a_k b_0 is one product.
            left = torch.cat(x.coef.unbind(), dim=-1)
            right = torch.cat(y.coef.flip(0).unbind(), dim=-2)
            skip = [(orders - 1 - k) * n for k in range(orders)]
            coef = torch.stack(
                [left[..., : (k + 1) * n] @ right[..., skip[k] :, :] for k in range(orders)]
            )
            tails = series.tails(y.coef.abs())[1:orders]
            dropped = 0.0
            if orders > 1:
                cut = torch.cat(tails.flip(0).unbind(), dim=-2)
                dropped = left[..., n:].abs() @ cut
            dropped = dropped + gamma(orders * n + 1) * (mx @ my)
            times = torch.matmul
        ops = 2 * orders * n + 2 * orders + 8
        rem = up(dropped + times(mx, y.rem) + times(x.rem, my + y.rem), 2 * ops)
        # Row i of the error: sum_k p_ik s_k + r_ik (q_k + s_k), rows s_k and q_k of y.
        lengths = norms.rows(my) + y.norm
        norm = (mx @ y.norm.unsqueeze(-1) + x.rem @ lengths.unsqueeze(-1)).squeeze(-1)
        norm = up(norm + norms.rows(up(dropped, ops)), 2 * ops)
        (a, r), (b, s) = _centered(x), _centered(y)
        mid, a, b = times(a, b), a.abs(), b.abs()
        error = up(times(a, s) + times(r, b + s) + gamma(n + 2) * times(a, b), 2 * ops)
        return _settled(coef, rem, *outward(mid, mid, error), norm)

    def apply(self, node: Apply, x: TaylorModel) -> TaylorModel:
        """f(p + r): see `smooth` and `kinked`."""
        lo, hi = self.range(x)
        how = rule(node.function)
        if isinstance(how, Kinked):
            return _kinked(how, x, lo, hi)
        return self._smooth(how, x, lo, hi)

    def _smooth(self, how, x: TaylorModel, lo: Tensor, hi: Tensor) -> TaylorModel:
        """Taylor's theorem around c = p(0), with h = p - c and the true argument p + d, |d| <= rem.

        f(p + d) = sum_k a_k h**k + a_(K+1)(xi) h**(K+1) + f'(eta) d, where xi lies between c and
        p, eta between p and p + d. The span [plo, phi] of p + d for *all* |d| <= rem contains
        them all, whether or not the true argument reaches its ends.
        """
        c = x.coef[0]
        down, top = series.span(x.coef)
        reach = torch.maximum(down, top)
        plo, phi = below(below(c - down) - x.rem), above(above(c + top) + x.rem)
        e = how.expand(self.order, c, reach, plo, phi)
        coef, error = series.compose(e.taylor, x.coef, reach)
        power = reach
        for _ in range(self.order):
            power = power * reach
        local = up(error + e.error + e.last * power, 2 * self.order + 10)
        rem = up(local + e.slope * x.rem, 4).nan_to_num(math.inf)
        norm = up(_most(e.slope) * x.norm + norms.rows(local), 4)
        flo, fhi = no_nan(*how.range(lo, hi))
        # The constant (flo + fhi) / 2 is the better model wherever its error is no larger.
        mid = flo / 2 + fhi / 2
        radius = above(torch.maximum(above(fhi - mid), above(mid - flo)))
        constant = ~(rem < radius) & torch.isfinite(radius)
        if bool(constant.any()):
            coef = coef.masked_fill(constant, 0.0)
            coef[0] = torch.where(constant, mid, coef[0])
            rem = torch.where(constant, radius, rem)
            norm = torch.where(_any(constant), norms.rows(rem), norm)
        return self._tightened(_settled(coef, rem, flo, fhi, norm))

    def _tightened(self, x: TaylorModel) -> TaylorModel:
        """The same model with its range cut to what polynomial and remainder allow."""
        lo, hi = self.range(x)
        return TaylorModel(x.coef, x.rem, lo, hi, x.norm)

    def range(self, x: TaylorModel) -> tuple[Tensor, Tensor]:
        """Enclose every entry over its box: the polynomial's span, cut by the kept range."""
        down, top = series.span(x.coef)
        lo = below(below(x.coef[0] - down) - x.rem)
        hi = above(above(x.coef[0] + top) + x.rem)
        lo, hi = no_nan(lo, hi)
        return torch.maximum(lo, x.lo), torch.minimum(hi, x.hi)


def _kinked(how: Kinked, x: TaylorModel, lo: Tensor, hi: Tensor) -> TaylorModel:
    """f(v) is within e of s v + m; s p + m is the new polynomial, |s| rem + e its remainder."""
    s, m, e = how.chord(lo, hi)
    coef = x.coef * s
    coef[0] += m
    mag = coef.abs().sum(0) + 2 * m.abs()
    local = up(e + gamma(3) * mag, coef.shape[0] + 6)
    rem = up(s.abs() * x.rem + local, 4)
    norm = up(_most(s.abs()) * x.norm + norms.rows(local), 4)
    ends = torch.stack([torch.where(v < 0, how.left * v, how.right * v) for v in (lo, hi)])
    low, high = ends.amin(0), ends.amax(0)
    across = (lo < 0) & (hi > 0)
    low = torch.where(across, low.clamp(max=0), low)
    high = torch.where(across, high.clamp(min=0), high)
    return _settled(coef, rem, below(low), above(high), norm)


def _tensor(array, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like.device)
