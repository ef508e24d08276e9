"""Truncated polynomials over [-1, 1]^n, many at once, with the error of truncating them.

The coefficients of a polynomial are a float64 tensor of shape (basis.count(), ...), numbered as
`basis.py` numbers monomials. Every function returns what it computed and a bound on
|computed - exact| for all |t_i| <= 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from certify.domains.basis import Basis, add_product, plan
from certify.rounding import TINY, gamma, up


def size(coef: Tensor) -> Tensor:
    """Upper bound on |p(t)|, |t_i| <= 1: the sum of |c_j|."""
    return up(coef.abs().sum(0), coef.shape[0])


def tails(magnitude: Tensor) -> Tensor:
    """S[m] = sum of magnitude[j] over j >= m, for m = 0 ... K + 1 (S[K + 1] = 0).

    Magnitudes are summed by degree before.
    """
    return up(_tails(magnitude), magnitude.shape[0])


def _tails(magnitude: Tensor) -> Tensor:
    """The same, not rounded up. Row by row: cumsum takes three times as long."""
    count, shape = magnitude.shape[0], magnitude.shape[1:]
    sums = torch.empty((count + 1, *shape), dtype=magnitude.dtype, device=magnitude.device)
    sums[count] = 0.0
    for m in range(count - 1, -1, -1):
        torch.add(sums[m + 1], magnitude[m], out=sums[m])
    return sums


def span(coef: Tensor, basis: Basis) -> tuple[Tensor, Tensor]:
    """Enclose p(t) - c_0: even monomials lie in [0, 1], others in [-1, 1].

    Returns (down, top) with -down <= p(t) - c_0 <= top and both >= 0.
    """
    odd = coef[basis.odd()].abs().sum(0)
    even = coef[basis.even()]
    top = odd + even.clamp(min=0).sum(0)
    down = odd - even.clamp(max=0).sum(0)
    ops = coef.shape[0] + 1
    return up(down, ops), up(top, ops)


def product(a: Tensor, b: Tensor, basis: Basis) -> tuple[Tensor, Tensor]:
    """a(t) b(t) truncated to the basis's order K, entry by entry.

    A coefficient is a sum of at most `terms` products, so rounding errs by gamma(terms + 1) times
    the sum of |a_i| |b_j|; what lies beyond degree K is bounded by sum_i A_i S_b[K + 1 - i] with
    A_i the sum of the |a_j| of degree i.
    """
    order, count = basis.order, a.shape[0]
    shape = torch.broadcast_shapes(a.shape[1:], b.shape[1:])
    out = torch.zeros((count, *shape), dtype=a.dtype, device=a.device)
    for step in plan(basis.variables, order, 0, order, order):
        add_product(out, step, a, b)
    ma, sb = basis.by_degree(a.abs()), tails(basis.by_degree(b.abs()))
    dropped = (ma[1:] * sb[1 : order + 1].flip(0)).sum(0)
    rounding = ma.sum(0) * sb[0] * gamma(basis.terms + 1)
    return out, up(dropped + rounding, 4 * count + 4)


def compose(taylor: Tensor, h: Tensor, reach: Tensor, basis: Basis) -> tuple[Tensor, Tensor]:
    """sum_k taylor[k] h(t)**k truncated to the basis's order K, by Horner's rule.

    Args:
        taylor: (m + 1, ...), m <= K.
        h: (count, ...) with h[0] taken as 0.
        reach: upper bound on |h(t)|, |t_i| <= 1.

    Step i forms q <- q h + taylor[m - i] and keeps it to degree K - (m - i): what lies beyond is
    multiplied by the remaining m - i factors h, each of lowest degree 1, and would pass degree
    K. The dropped part and the rounding of step i are bounded as in `product` and enter the
    error e <- e reach + dropped_i + rounding_i + TINY, where TINY covers the step's underflows
    and is carried along like them. All terms are >= 0: one `up` at the end covers every rounding.
    """
    top, order = taylor.shape[0] - 1, basis.order
    s = _tails(basis.by_degree(h.abs())[1:])  # s[j] bounds the |h_i| of degrees >= j + 1
    # Each of the sums below is of |q_a| times one s[j]. Where the bound on its rounding underflows
    # here a large q would stretch what was lost: TINY joins before.
    s += gamma(basis.terms + 2) * s[:1] + TINY
    q, degree = taylor[top:], 0
    error = torch.full_like(reach, TINY)
    ops = 0
    for i in range(1, top + 1):
        keep = order - (top - i)
        shape = (basis.count(keep), *q.shape[1:])
        new = torch.zeros(shape, dtype=q.dtype, device=q.device)
        new[0] = taylor[top - i]  # only copied: no rounding
        for step in plan(basis.variables, degree, 1, order, keep):
            add_product(new, step, q, h)
        mq = Basis(basis.variables, degree).by_degree(q.abs())
        error = (error * reach).add_(TINY)
        for a in range(degree + 1):
            # Degree a of q meets those degrees j of h with a + j > keep, that is j >= keep - a + 1.
            error.addcmul_(mq[a], s[keep - a])
        ops += 2 * degree + 10 + q.shape[0]
        q, degree = new, keep
    return q, up(error, ops + 2 * h.shape[0] + 4)


def matmul(a: Tensor, b: Tensor, basis: Basis) -> tuple[Tensor, Tensor]:
    """a(t) @ b(t) truncated to the basis's order; the last two axes are matrices.

    Coefficient k is one inner product over at most terms * n products; rounding errs by gamma(n)
    times the product of the constant coefficients, the largest part, and by gamma(terms * n)
    times the rest of the product of the magnitudes.
    """
    n, order = a.shape[-1], basis.order
    if basis.variables == 1:
        # All coefficients side by side: a_0 b_k + ... + a_k b_0 is one product.
        left = torch.cat(a.unbind(), dim=-1)
        right = torch.cat(b.flip(0).unbind(), dim=-2)
        skip = [(order - k) * n for k in range(order + 1)]
        out = torch.stack(
            [left[..., : (k + 1) * n] @ right[..., skip[k] :, :] for k in range(order + 1)]
        )
    else:
        shape = (*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        out = torch.zeros(shape, dtype=a.dtype, device=a.device)
        for step in plan(basis.variables, order, 0, order, order):
            many = slice(step.first, step.end)
            part = a[many] @ b[step.one] if step.right else a[step.one] @ b[many]
            if isinstance(step.where, slice):
                out[step.where] += part
            else:
                out.index_add_(0, step.where.to(out.device), part)
    dropped = 0.0
    if order:
        degrees = basis.by_degree(a.abs())[1:]
        cut = _tails(basis.by_degree(b.abs()))[1 : order + 1]
        left = torch.cat(degrees.unbind(), dim=-1)
        dropped = left @ torch.cat(cut.flip(0).unbind(), dim=-2)
    x, y = a[0].abs(), b[0].abs()
    p, q = a[1:].abs().sum(0), b[1:].abs().sum(0)
    dropped = dropped + gamma(n + 1) * (x @ y)
    dropped = dropped + gamma(basis.terms * (n + 1) + 1) * (x @ q + p @ size(b))
    return out, dropped
