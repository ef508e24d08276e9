"""Bounds for operators that work entry by entry. `out` is the exact result's range."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from certify.float32.model import (
    ERF,
    EXP,
    LOG,
    SINE,
    TANH,
    TINY,
    Range,
    U,
    aligned,
    flushed,
    gamma,
    settled,
)


def rounded(out: Range, times: int = 1, *operands: Range) -> Tensor:
    """`times` roundings of the result itself, as after one operation on these operands."""
    size = out.size
    return settled(gamma(times) * size + flushed(times, *operands, like=size), 2 * size)


def added(out: Range, x: Range, y: Range, alpha: float, scalar: bool) -> Tensor:
    """x + alpha y. With alpha or with a number not of float32, the second term rounds first."""
    size = out.size
    error = U * size + flushed(2, like=size)
    if alpha != 1 or scalar:
        error = error + gamma(4) * abs(alpha) * aligned(y.size, size.ndim)
    reach = aligned(x.size, size.ndim) + (1 + abs(alpha)) * aligned(y.size, size.ndim)
    return settled(error, 2 * reach)


def divided(out: Range, x: Range, y: Range, scalar: bool) -> Tensor:
    """x / y; by a number perhaps as x times a rounded 1 / y. Near 0 a divisor may be flushed."""
    size = out.size
    error = gamma(5 if scalar else 1) * size + flushed(4, x, out, like=size)
    away = torch.minimum(y.lo.abs(), y.hi.abs()).masked_fill((y.lo <= 0) & (y.hi >= 0), 0.0)
    safe = aligned((away > 2.0**-100) & (y.size < 2.0**100), size.ndim)
    return settled(torch.where(safe, error, math.inf), 2 * size)


def normal(x: Range) -> Tensor:
    """Whether every argument is a positive normal number."""
    return x.lo >= 2.0**-100


def unary(name: str, out: Range, x: Range) -> Tensor:
    """A function of the table below."""
    error, reach = _UNARY[name](out.size, x)
    return settled(error + flushed(4, x, like=out.size), reach)


def _relative(count: int):
    return lambda y, x: (gamma(count) * y, 2 * y)


def _positive(count: int):
    """Relative, on positive normal numbers only."""
    return lambda y, x: (torch.where(normal(x), gamma(count) * y, math.inf), 2 * y)


def _sqrt(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """A subnormal argument, flushed, takes up to sqrt(TINY) = 2**-63 from the root."""
    return gamma(2) * y + 2.0**-63, 2 * y


def _reciprocal(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    away = (x.lo > 2.0**-100) | (x.hi < -(2.0**-100))
    return torch.where(away, gamma(3) * y, math.inf), 2 * y


def _sigmoid(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """1 / (1 + exp(-x)): the relative error of exp(-x) counts by a factor below 1; 1 + and 1 /
    round. An exp(-x) that overflows leaves 0 for a sigmoid below 2**-126."""
    return gamma(EXP + 4) * y + 2 * TINY, y


def _silu(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """x times a sigmoid, or x / (1 + exp(-x))."""
    return gamma(EXP + 6) * y + 2 * TINY * (1 + x.size), x.size


def _softplus(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """log1p(exp(x)): the relative error of exp(x) counts by a factor below 1, as
    t / (1 + t) <= log1p(t). torch leaves x itself above 20, where log1p(exp(-x)) < 2.07e-9."""
    return gamma(EXP + LOG + 2) * y + 2.1e-9, 2 * y + 1


def _sine(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """Sleef and MKL reduce arguments of this size as they promise; larger ones are not used."""
    return torch.where(x.size <= 2.0**13, SINE * U + 0 * y, math.inf), y


def _gelu(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """x / 2 * (1 + erf(x / sqrt 2)).

    The argument errs by 2 U relatively and erf by at most max |t erf'(t)| < 0.5 times that, plus
    ERF U; the sum 1 + erf <= 2 rounds by 2 U more. Near -inf the sum cancels, so all this is
    absolute in the factor. Two products round the result.
    """
    return x.size / 2 * ((ERF + 4) * U) + gamma(3) * y, 2 * x.size


def _gelu_tanh(y: Tensor, x: Range) -> tuple[Tensor, Tensor]:
    """x / 2 * (1 + tanh(s)), s = sqrt(2 / pi) (x + 0.044715 x**3).

    Both terms of s have the sign of x, so s errs by 8 U relatively at most, and tanh by max
    |s tanh'(s)| < 0.45 times that, plus TANH U; the sum rounds by 2 U.
    """
    error = x.size / 2 * ((4 + TANH + 3) * U) + gamma(3) * y
    return torch.where(x.size < 2.0**40, error, math.inf), x.size


_UNARY = {
    "exp": _relative(EXP),
    "log": _positive(LOG),
    "tanh": _relative(TANH),
    "erf": lambda y, x: (ERF * U + 0 * y, y),
    "sin": _sine,
    "cos": _sine,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "softplus": _softplus,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "sqrt": _sqrt,
    "rsqrt": _positive(6),
    "reciprocal": _reciprocal,
    "square": _relative(1),
}


def power(out: Range, x: Range, count: int) -> Tensor:
    """x**count for a small positive integer, by products or by a power function of 2 ulp."""
    y = out.size
    reach = 2 * x.size.clamp(min=1) ** count
    return settled(gamma(2 * count + 4) * y + count * flushed(count, x, y_range(y), like=y), reach)


def y_range(size: Tensor) -> Range:
    """A range of that size."""
    return Range(-size, size)
