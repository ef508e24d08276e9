"""Taylor models: a polynomial in the box's variables t in [-1, 1]^n, a remainder, and a range.

For every entry v of a value and every x = mid + rad t of the box:

    |v(x) - sum_j coef[j] t**j| <= rem    and    lo <= v(x) <= hi,

where t**j is monomial number j of the domain's basis (basis.py),

and the 2-norm of those errors along the last axis is <= norm (see norms.py).

The range keeps what polynomials forget (a variance is >= 0, a softmax lies in [0, 1]); where it
is tighter than the polynomial with its remainder it takes their place. All boxes travel
together as the second axis of `coef`.

Taylor models with rounding in the remainder: Revol, Makino, Berz, Taylor models and
floating-point arithmetic, J. Logic Algebr. Program. 64, 2005.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.domains import ends, norms, series
from certify.domains.basis import Basis
from certify.domains.ends import as_tensor
from certify.domains.expansions import Kinked, Smooth, rule
from certify.domains.model import TaylorModel, any_of_row, centered, most_of_row, settled, spread
from certify.domains.moving import mover, places
from certify.graph import Affine, Apply, Gather, Shape
from certify.rounding import (
    TINY,
    U,
    above,
    accurate_product,
    below,
    gamma,
    no_nan,
    outward,
    unknown,
    up,
)


@dataclass(frozen=True)
class Taylor:
    """Taylor models of a given order in one or more variables.

    order: total degree K of the polynomials; 0 gives intervals as mid +- radius.
    """

    order: int = 8
    variables: int = 1

    @property
    def basis(self) -> Basis:
        """The monomials of the polynomials."""
        return Basis(self.variables, self.order)

    def lift(self, boxes: Tensor, shape: Shape) -> TaylorModel:
        """The input over boxes [lo, hi], shape (boxes, variables, 2), or (boxes, 2) for one.

        mid and rad are rounded so that [mid - rad, mid + rad] contains [lo, hi]; the range keeps
        the exact ends.
        """
        if math.prod(shape) != self.variables:
            raise ValueError(f"{self.variables} variables, but the input has {math.prod(shape)}")
        lo, hi = boxes.reshape(len(boxes), -1, 2).unbind(-1)
        mid = lo / 2 + hi / 2
        rad = above(torch.maximum(hi - mid, mid - lo)).masked_fill((lo == mid) & (hi == mid), 0.0)
        coef = torch.zeros((self.basis.count(), *mid.shape), dtype=mid.dtype, device=mid.device)
        coef[0] = mid
        rem = torch.zeros_like(mid)
        if self.order:
            coef[self.basis.degrees(1)] = torch.diag_embed(rad).movedim(1, 0)
        else:
            rem = rad
        shaped = (len(boxes), *shape)
        rem = rem.reshape(shaped)
        box = lo.reshape(shaped), hi.reshape(shaped)
        return TaylorModel(coef.reshape(-1, *shaped), rem, *box, norms.rows(rem), own=True)

    def gather(self, node: Gather, x: TaylorModel) -> TaylorModel:
        """Exact."""
        size, shape = x.rem[0].numel(), node.index.shape
        move = mover(node, size)
        rem, before = move(x.rem, 1), tuple(x.rem.shape[1:])
        norm, total = norms.gathered(node, before, rem, x.norm), None
        if x.row is not None:  # entries of a product become rows again
            norm = torch.fmin(norm, norms.gathered(node, before[:-2], rem, x.row[0]))
            same = places(node, size)[0] is None and x.row[1] is not None and shape == before[:-2]
            total = x.row[1] if same else None
        row, rows = None, _rows(node)
        if rows is not None:
            row = norms.gathered(rows, before, rem.flatten(-3), x.norm), None
        parts = move(x.coef, 2), rem, move(x.lo, 1), move(x.hi, 1), norm
        return TaylorModel(*parts, total=total, row=row, own=x.own)

    def affine(self, node: Affine, x: TaylorModel) -> TaylorModel:
        """Each coefficient is an exact linear image, computed with n products a row.

        Rounding: the constant coefficient, the largest, goes through `accurate_product`; the
        others err by gamma(n) |W| |c_j|. Scale, divisor and bias round once more each.
        """
        coef, rem, norm = x.coef, x.rem, x.norm
        n, made = 0, torch.zeros((), dtype=rem.dtype, device=rem.device)
        if node.weight is not None:
            w = as_tensor(node.weight, rem)
            n = _terms(node)
            first, made = accurate_product(coef[0], w)
            rem, slopes = torch.stack([rem, coef[1:].abs().sum(0)]) @ w.abs().T
            coef = coef @ w.T
            coef[0] = first
            made = made + gamma(n + 1) * slopes
            stretch, row_norms = norms.spectral(node)
            # Cauchy-Schwarz: entry i of W e is at most ||W_i|| ||e||; Hoelder: max |W_i| ||e||_1.
            rem = torch.fmin(rem, norm.unsqueeze(-1) * row_norms.to(rem.device))
            if x.total is not None and w.numel():
                rem = torch.fmin(rem, x.total.unsqueeze(-1) * w.abs().amax(1))
            norm = norm * stretch
        if node.scale is not None:
            s = as_tensor(node.scale, rem)
            coef, rem, made = coef * s, rem * s.abs(), made * s.abs()
            norm = norm * most_of_row(s.abs().expand(rem.shape))
        if node.divisor != 1:
            coef, d = coef / node.divisor, abs(node.divisor)
            # What underflowed above is stretched by a small divisor: TINY joins before.
            rem, made, norm = ((bound + TINY) / d for bound in (rem, made, norm))
        size, first = coef[1:].abs().sum(0), coef[0]
        made = made + gamma(3) * (size + first.abs())
        if node.bias is not None:
            b = as_tensor(node.bias, rem)
            if coef is x.coef:
                coef = coef.clone()
            coef[0] += b
            made = made + U * coef[0].abs()
        ops = 2 * n + 2 * x.coef.shape[0] + 16
        made = up(made, ops)
        norm, rem = up(norm + norms.rows(made), ops), up(rem + made, ops)
        lo, hi, own = self._image(node, x, coef, size, rem)
        return settled(coef, rem, lo, hi, norm, made, own=own)

    def _image(
        self, node: Affine, x: TaylorModel, coef: Tensor, size: Tensor, rem: Tensor
    ) -> tuple[Tensor, Tensor, bool]:
        """The range of an affine map: of its polynomial, where the input's is no better either.

        A polynomial's own range keeps correlation: sum_j |W c_j| <= |W| sum_j |c_j|.
        """
        if x.own:
            lo, hi = outward(coef[0], coef[0], up(size + rem, coef.shape[0]))
        else:
            lo, hi = ends.middle(node, x.lo, x.hi)
        if ends.positive(node) or not torch.isfinite((hi - lo).sum()):
            low, high = ends.affine(node, x.lo, x.hi)
            return torch.fmax(lo, low), torch.fmin(hi, high), False
        return lo, hi, x.own

    def add(self, x: TaylorModel, y: TaylorModel) -> TaylorModel:
        """One rounding in each coefficient."""
        coef = x.coef + y.coef
        rounding = up(U * coef.abs().sum(0), coef.shape[0] + 2)
        rem = up(x.rem + y.rem + rounding, 4)
        norm = up(x.norm + y.norm + norms.rows(rounding), 4)
        bounds = below(x.lo + y.lo), above(x.hi + y.hi)
        return settled(coef, rem, *bounds, norm, rounding, own=x.own and y.own)

    def matmul(self, x: TaylorModel, y: TaylorModel) -> TaylorModel:
        """(p + r)(q + s) = pq + p s + r q + r s; pq is cut at degree K."""
        basis, n = self.basis, x.coef.shape[-1]
        mx, my = series.size(x.coef), series.size(y.coef)
        if x.coef.shape[-2] == n == y.coef.shape[-1] == 1:
            coef, dropped = series.product(x.coef, y.coef, basis)
            times = torch.mul
        else:
            coef, dropped = series.matmul(x.coef, y.coef, basis)
            times = torch.matmul
        ops = 2 * (basis.terms + basis.order + 1) * n + 2 * basis.count() + 8
        rem = up(dropped + times(mx, y.rem) + times(x.rem, my + y.rem), 2 * ops)
        # Row i of the error: sum_k p_ik s_k + r_ik (q_k + s_k), rows s_k and q_k of y.
        lengths = norms.rows(my) + y.norm
        norm = (mx @ y.norm.unsqueeze(-1) + x.rem @ lengths.unsqueeze(-1)).squeeze(-1)
        made = up(dropped, ops)
        norm = up(norm + norms.rows(made), 2 * ops)
        if x.own and y.own:
            bounds = spread(coef, rem)
        else:
            (a, r), (b, s) = centered(x), centered(y)
            mid, a, b = times(a, b), a.abs(), b.abs()
            error = up(times(a, s) + times(r, b + s) + gamma(n + 2) * times(a, b), 2 * ops)
            bounds = outward(mid, mid, error)
        out = settled(coef, rem, *bounds, norm, made, own=x.own and y.own)
        if x.row is None or y.row is None or times is not torch.mul:
            return out
        # Errors p s + r (q + s) and made, along a row: || p s || <= max |p| || s ||, and their sum
        # is at most || p || || s ||.
        p, q, d = (part.flatten(-3) for part in (mx, my + y.rem, dropped))
        (r, _), (s, _), count = x.row, y.row, 2 * p.shape[-1] + ops
        norm = up(most_of_row(p) * s + most_of_row(up(q, 2)) * r + norms.rows(d), 2 * ops)
        total = up(norms.rows(p) * s + norms.rows(up(q, 2)) * r + d.sum(-1), 2 * count)
        if out.cut is not None:  # another polynomial took the place of some product
            lost = any_of_row(out.cut.flatten(-3))
            norm, total = norm.masked_fill(lost, math.inf), total.masked_fill(lost, math.inf)
        return replace(out, row=(norm, total))

    def times(self, x: TaylorModel, y: TaylorModel) -> TaylorModel:
        """The product entry by entry: p q + p s + r (q + s), cut at degree K."""
        mx, my = series.size(x.coef), series.size(y.coef)
        coef, made = series.product(x.coef, y.coef, self.basis)
        other = up(x.rem * (my + y.rem), 4)
        rem = up(made + mx * y.rem + other, 6)
        norm = up(most_of_row(mx) * y.norm + norms.rows(up(made + other, 2)), 6)
        corners = torch.stack([x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi])
        lo, hi = below(corners.amin(0)), above(corners.amax(0))
        return settled(coef, rem, lo, hi, norm, made)

    def apply(self, node: Apply, x: TaylorModel) -> TaylorModel:
        """f(p + r): see `smooth` and `kinked`."""
        how = rule(node.function)
        return self.kinked(how, x) if isinstance(how, Kinked) else self.smooth(how, x)

    def smooth(self, how: Smooth, x: TaylorModel) -> TaylorModel:
        """Taylor's theorem around c = p(0), with h = p - c and the true argument p + d, |d| <= rem.

        f(p + d) = sum_k a_k h**k + a_(K+1)(xi) h**(K+1) + f'(eta) d, where xi lies between c and
        p, eta between p and p + d. The span [plo, phi] of p + d for *all* |d| <= rem contains
        them all, whether or not the true argument reaches its ends.
        """
        c = x.coef[0]
        down, top = series.span(x.coef, self.basis)
        reach = torch.maximum(down, top)
        plo, phi = below(below(c - down) - x.rem), above(above(c + top) + x.rem)
        e = how.expand(self.order, c, reach, plo, phi)
        coef, error = series.compose(e.taylor, x.coef, reach, self.basis)
        power = reach
        for _ in range(self.order):
            power = power * reach
        # Where reach**(K+1) underflows and is not made up for by TINY, nothing is known.
        rest = (e.last * power).masked_fill((power < 2.0**-1000) & (e.last > 1), math.inf)
        rest = rest.masked_fill(reach == 0, 0.0)
        made = unknown(up(error + e.error + rest, 2 * self.order + 10))
        rem = unknown(up(made + e.slope * x.rem, 4))
        norm = up(most_of_row(e.slope) * x.norm + norms.rows(made), 4)
        total = None
        if rem.ndim > 1:
            total = up(norms.rows(e.slope) * x.norm + made.sum(-1), made.shape[-1] + 4)
        image = e.range if x.own else None
        if image is None:
            image = how.range(torch.maximum(plo, x.lo), torch.minimum(phi, x.hi))
        flo, fhi = no_nan(*image)
        # The range bounds the error too: |v - p| <= max(fhi - min p, max p - flo), and p its.
        sink, rise = series.span(coef, self.basis)
        low, high = below(coef[0] - sink), above(coef[0] + rise)
        rem = torch.fmin(rem, above(torch.maximum(fhi - low, high - flo)))
        low, high = below(low - rem), above(high + rem)
        flo, fhi = torch.fmax(flo, low), torch.fmin(fhi, high)
        own = bool((high - low <= 2 * (fhi - flo)).all())
        # Where the polynomial is of no use, the constant (flo + fhi) / 2 takes its place.
        mid = flo / 2 + fhi / 2
        radius = above(torch.maximum(above(fhi - mid), above(mid - flo)))
        cut = ~(rem < 2 * radius) & torch.isfinite(radius)
        if bool(cut.any()):
            coef = coef.masked_fill(cut, 0.0)
            coef[0] = torch.where(cut, mid, coef[0])
            rem, made = torch.where(cut, radius, rem), torch.where(cut, radius, made)
            norm = torch.where(any_of_row(cut), norms.rows(rem), norm)
            total = None
        return replace(settled(coef, rem, flo, fhi, norm, made, cut, own=own), total=total)

    def kinked(self, how: Kinked, x: TaylorModel) -> TaylorModel:
        """f(v) is within e of s v + m; s p + m is the new polynomial, |s| rem + e its remainder.

        The chord is taken over p + d for all |d| <= rem, so that s p + m is also within e of
        f(p): that is what `made` promises.
        """
        down, top = series.span(x.coef, self.basis)
        plo, phi = below(below(x.coef[0] - down) - x.rem), above(above(x.coef[0] + top) + x.rem)
        s, m, e = how.chord(plo, phi)
        coef = x.coef * s
        coef[0] += m
        mag = coef.abs().sum(0) + 2 * m.abs()
        made = up(e + gamma(3) * mag, coef.shape[0] + 6)
        rem = up(s.abs() * x.rem + made, 4)
        norm = up(most_of_row(s.abs()) * x.norm + norms.rows(made), 4)
        lo, hi = torch.maximum(plo, x.lo), torch.minimum(phi, x.hi)
        images = torch.stack([torch.where(v < 0, how.left * v, how.right * v) for v in (lo, hi)])
        low, high = images.amin(0), images.amax(0)
        across = (lo < 0) & (hi > 0)
        low = torch.where(across, low.clamp(max=0), low)
        high = torch.where(across, high.clamp(min=0), high)
        if {how.left, how.right} - {-1.0, 0.0, 1.0}:  # other slopes round
            low, high = below(low), above(high)
        return settled(coef, rem, low, high, norm, made, own=x.own and not bool(across.any()))

    def within(self, x: TaylorModel, bound: float, length: float) -> TaylorModel:
        """x, of which it is known from elsewhere that no entry exceeds `bound` in size, and no
        row `length` in 2-norm.

        An error is at most the distance of the polynomial's farthest value from the range's
        ends. Where the polynomial is of no use the middle of the range takes its place. The errors
        v - p of a row have at most the length of v and that of p together.
        """
        if bool(((x.lo >= -bound) & (x.hi <= bound)).all() & (x.norm <= length).all()):
            return x  # nothing new
        lo, hi = x.lo.clamp(min=-bound), x.hi.clamp(max=bound)
        sink, rise = series.span(x.coef, self.basis)
        low, high = below(x.coef[0] - sink), above(x.coef[0] + rise)
        rem = torch.fmin(x.rem, above(torch.maximum(hi - low, high - lo)))
        mid = lo / 2 + hi / 2
        radius = above(torch.maximum(above(hi - mid), above(mid - lo)))
        cut = ~(rem < 2 * radius)
        if not bool(cut.any()):
            whole = up(norms.rows(series.size(x.coef)) + length, 4)
            norm = torch.fmin(torch.fmin(x.norm, norms.rows(rem)), whole)
            return replace(x, rem=rem, lo=lo, hi=hi, norm=norm, own=False)
        coef = x.coef.masked_fill(cut, 0.0)
        coef[0] = torch.where(cut, mid, coef[0])
        rem = torch.where(cut, radius, rem)
        made = rem if x.made is None else torch.where(cut, radius, x.made)
        whole = up(norms.rows(series.size(coef)) + length, 4)
        norm = torch.fmin(torch.where(any_of_row(cut), norms.rows(rem), x.norm), whole)
        cut = cut if x.cut is None else cut | x.cut
        return settled(coef, rem, lo, hi, norm, made, cut)

    def widen(self, x: TaylorModel, error: Tensor) -> TaylorModel:
        """x + u for every u with |u| <= error, shape (boxes, *shape)."""
        error = unknown(error).expand(x.rem.shape)
        norm = up(x.norm + norms.rows(error), 2)
        lo, hi = below(x.lo - error), above(x.hi + error)
        total = None
        if x.total is not None:
            total = up(x.total + error.sum(-1), error.shape[-1] + 2)
        out = settled(x.coef, up(x.rem + error, 2), lo, hi, norm, error)
        return replace(out, total=total if out.cut is None else None)

    def range(self, x: TaylorModel) -> tuple[Tensor, Tensor]:
        """Enclose every entry over its box: the polynomial's span, cut by the kept range."""
        down, top = series.span(x.coef, self.basis)
        lo = below(below(x.coef[0] - down) - x.rem)
        hi = above(above(x.coef[0] + top) + x.rem)
        lo, hi = no_nan(lo, hi)
        return torch.maximum(lo, x.lo), torch.minimum(hi, x.hi)


@functools.lru_cache(maxsize=4096)
def _terms(node: Affine) -> int:
    """The most weights in a row that are not 0."""
    return int((node.weight != 0).sum(1).max()) if node.weight.size else 0


@functools.lru_cache(maxsize=4096)
def _rows(node: Gather) -> Gather | None:
    """A gather to shape (..., n, 1, 1), without the last two axes; None for other shapes."""
    shape = node.index.shape
    if len(shape) < 3 or shape[-2:] != (1, 1):
        return None
    return Gather(node.index.reshape(shape[:-2]))
