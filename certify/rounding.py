"""Rounding errors of float64, bounded; the only file that reasons about them.

The model is IEEE 754 binary64, round to nearest, for + - * / (and fused multiply-add, in any
order of summation):

    fl(a op b) = (a op b)(1 + d) + e,   |d| <= U,   |e| <= 2**-1022,

where e is zero for + and -, and otherwise covers underflow, flushed to zero or not. A product
of n factors (1 + d) differs from 1 by at most gamma(n) = n U / (1 - n U) (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., 2002, lemma 3.1). An inner product of n terms
computed in any order errs by at most gamma(n) times the sum of the absolute products
(section 3.1), plus n underflows.

torch.sqrt is not always rounded to nearest: MKL's vector form, which torch calls on x86, was off
by up to 0.53 units in the last place (torch 2.13, AVX-512). It is believed within one, which is
2 U relatively, and every bound here counts a root as two roundings.

An enclosure carries its errors as a bound r >= 0. Bounds are themselves computed in float64;
`up` makes them bounds again. Overflow gives inf or nan; `no_nan` turns both into
"nothing is known", never into a number.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

U = 2.0**-53
#: Added wherever a bound contains products: covers 2**40 underflows of 2**-1022 each.
TINY = 2.0**-980
_TINY = torch.tensor(TINY, dtype=torch.float64)
#: Stated accuracy of torch.exp and torch.log in float64, as a relative error: two units in the
#: last place. Measured against Arb in tests/certify/test_rounding.py.
LIBM = 4 * U


def gamma(n: int) -> float:
    """A float64 >= n U / (1 - n U), for n <= 2**21.

    1 / (1 - n U) <= 1 + 2 n U <= 1 + 2**-31, so the factor 1 + 2**-30 also absorbs the one
    rounding of the product.
    """
    if not 0 <= n <= 2**21:
        raise ValueError(f"an inner product of {n} terms is longer than its error bound allows")
    return n * U * (1 + 2.0**-30)


def up(bound: Tensor, ops: int) -> Tensor:
    """An upper bound on what `bound` would be without rounding.

    Args:
        bound: a value >= 0, computed from values >= 0 by sums and products only.
        ops: at least the number of roundings on the way to any entry (an inner product of n
            terms counts n). Products of products must add TINY before they are multiplied on.

    The real value is <= bound / (1 - U)**ops + underflow <= bound (1 + gamma(ops)) + TINY / 2;
    the returned TINY + F bound with F = 1 + gamma(2 ops + 6), in one or two roundings, is larger,
    because these cost at most 2 U of the surplus (ops + 6) U.
    """
    return torch.add(_TINY, bound, alpha=1 + gamma(2 * ops + 6))  # one pass over the data, not two


def outward(lo: Tensor, hi: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Widen [lo, hi] by error >= 0 and by the rounding of doing so."""
    return below(lo - error), above(hi + error)


def on_grid(x: Tensor, size: Tensor, bits: int) -> Tensor:
    """x rounded to multiples of q = 2**(e - bits), where |x| <= size <= 2**e.

    Adding and subtracting 1.5 * 2**52 q rounds to the grid, and the rest x - result, at most
    q / 2, is exact (Rump, Ogita, Oishi, Accurate floating-point summation, SIAM J. Sci.
    Comput. 31, 2008, section 3).
    """
    _, exponent = torch.frexp(size)
    shift = torch.ldexp(torch.full_like(size, 1.5), exponent + (52 - bits))
    return (x + shift) - shift


def accurate_product(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """x @ w.T with an error of hardly more than one rounding of the result.

    Args:
        x: (..., n).
        w: (m, n).

    Returns:
        (y, e), each (..., m), with |y - x @ w.T| <= e.

    x = a + b and w = h + l, where a and h are integers times powers of two, small enough that
    every partial sum of a @ h.T is an integer below 2**53: that product is exact in any order.
    The other two, b @ h.T and x @ l.T, are 2**-20 times smaller, and so are their errors
    gamma(n) sum |.||.|. The last two additions round once each.
    """
    n = x.shape[-1]
    bits = 28 - max(1, (n - 1).bit_length())  # 24 for w, one for signs and rounding up
    size = x.abs().amax(-1, keepdim=True).clamp(min=2.0**-600)
    width = w.abs().max().clamp(min=2.0**-600)
    a, h = on_grid(x, size, bits), on_grid(w, width, 24)
    b, low = x - a, w - h
    small = b @ h.T + x @ low.T
    y = a @ h.T + small
    rest = size * 2.0**-bits * h.abs().sum(1) + x.abs().sum(-1, keepdim=True) * (width * 2.0**-24)
    return y, up(U * y.abs() + gamma(n + 3) * rest, n + 8)


LARGEST = torch.finfo(torch.float64).max
_INFINITY = torch.tensor(math.inf, dtype=torch.float64)


def above(x: Tensor) -> Tensor:
    """The next float64 up: an upper bound on the real result of the one operation that gave x."""
    return torch.nextafter(x, _INFINITY)


def below(x: Tensor) -> Tensor:
    """The next float64 down: a lower bound on the real result of the one operation that gave x."""
    return torch.nextafter(x, -_INFINITY)


def unknown(bound: Tensor) -> Tensor:
    """A bound that is nan says nothing: inf takes its place, and inf stays inf."""
    return torch.where(bound.isnan(), math.inf, bound)


def no_nan(lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """An interval end that is nan says nothing: -inf or inf takes its place. A lower end that
    overflowed to inf only says "beyond LARGEST", and an upper one that fell to -inf likewise."""
    return (-unknown(-lo)).clamp(max=LARGEST), unknown(hi).clamp(min=-LARGEST)
