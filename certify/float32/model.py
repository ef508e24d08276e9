"""The stated model of float32 execution; the only place that says what a machine may do.

A binary32 operation + - * / or sqrt, round to nearest, on numbers of float32:

    fl(a op b) = (a op b)(1 + d) + e,   |d| <= U,

fused multiply-add allowed wherever a product is added. e covers what is lost where subnormal
numbers are flushed to zero, as arguments or as results, in some operations or all: at most
TINY (1 + |a| + |b|). Sums of any kind run in any order, over any tree. What reaches LIMIT may
overflow, and then nothing is known. A higher precision inside is allowed: it errs less.

Excluded: products in TF32, bfloat16 or float16 ("highest" is torch's default for
`set_float32_matmul_precision`), fast products such as Strassen's or Winograd's, autocast, and
rounding modes other than to nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from certify.rounding import up

U = 2.0**-24
TINY = 2.0**-126
LIMIT = 2.0**127

#: Relative error of elementary functions, in units of U. One ulp is at most 2 U.
#:   exp, log, tanh, erf: Sleef `_u10` (1 ulp) in torch's vector code, MKL's VML_HA (1 ulp), and
#:   the C library; doubled. sin, cos: Sleef `_u35` (3.5 ulp), here as an absolute error.
#:   Softmax and attention: `exp_u20` of torch's vector code, by its name and comment 20 ulp.
#: Measured on 2 * 10**6 points each in tests/certify/float32/test_pointwise.py.
EXP = LOG = TANH = 4
SINE = 8
SOFTMAX_EXP = 40
#: Absolute error of erf, in units of U: torch's vector code uses formula 7.1.26 of Abramowitz and
#: Stegun, good to 1.5e-7 = 2.6 U, and rounds on the way (measured in `gelu`: 6 U).
ERF = 16

#: Bounds are formed in float64 with sums and products of at most so many terms.
OPS = 2**16


def gamma(n: int) -> float:
    """A float64 >= n U / (1 - n U): the product of n factors 1 + d differs from 1 by at most this.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, lemma 3.1.

    Raises:
        ValueError: n is beyond 2**20.
    """
    if not 0 <= n <= 2**20:
        raise ValueError(f"an inner product of {n} terms is longer than its error bound allows")
    return math.nextafter(n * U / (1 - n * U), math.inf) * (1 + 2.0**-50)


@dataclass(frozen=True, eq=False)
class Range:
    """lo <= v <= hi for an operand, shape (boxes, *shape); constants have one box."""

    lo: Tensor
    hi: Tensor

    @property
    def size(self) -> Tensor:
        """The largest |v|; inf where nothing is known."""
        size = torch.maximum(self.lo.abs(), self.hi.abs())
        return torch.where(size.isnan(), math.inf, size)


def constant(array) -> Range:
    """The range of a constant of the model."""
    value = torch.as_tensor(array, dtype=torch.float64).unsqueeze(0)
    return Range(value, value)


def settled(error: Tensor, reach: Tensor | None = None) -> Tensor:
    """The error rounded up in float64, and inf where a number may overflow.

    Args:
        error: a bound, from values >= 0 by at most OPS sums and products.
        reach: a bound on every number on the way, broadcasting to `error`; None: none overflows.
    """
    if reach is not None:
        error = torch.where(reach < LIMIT, error, math.inf)
    return up(torch.where(error.isnan(), math.inf, error), OPS)


def most(x: Tensor) -> Tensor:
    """The largest entry of every box, shaped to broadcast over the entries."""
    flat = x.reshape(len(x), -1)
    top = flat.amax(1) if flat.shape[1] else flat.sum(1)
    return top.reshape(-1, *[1] * (x.ndim - 1))


def flushed(count: int, *operands: Range, like: Tensor) -> Tensor:
    """What flushing takes from sums of `count` products of numbers of these sizes.

    Each of 2 count + 2 operations loses at most TINY (1 + |a| + |b|), and what follows stretches
    it by less than 2 while gamma(count) < 1; 16 covers sums of two sizes in a factor.
    """
    total = like.new_ones(())
    for operand in operands:
        top = most(operand.size)
        total = total + top.reshape(-1, *[1] * (like.ndim - 1))
    return 16 * (count + 1) * TINY * total


def aligned(x: Tensor, ndim: int) -> Tensor:
    """x with axes of length 1 behind the boxes, so that it broadcasts to `ndim` axes."""
    return x.reshape(len(x), *[1] * (ndim - x.ndim), *x.shape[1:])
