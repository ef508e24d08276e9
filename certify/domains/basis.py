"""The monomials of a polynomial in n variables up to a total degree, and how they multiply.

Monomials t_1**a_1 ... t_n**a_n are numbered by degree first, so those up to any lower degree come
first, with the same numbers; in one variable number j is t**j. Coefficients of many polynomials are
a tensor of shape (count, ...).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

Where = slice | Tensor


@functools.cache
def exponents(variables: int, order: int) -> tuple[tuple[int, ...], ...]:
    """All (a_1, ..., a_n) with a_1 + ... + a_n <= order, by degree."""
    out: list[tuple[int, ...]] = []
    for degree in range(order + 1):
        for places in itertools.combinations_with_replacement(range(variables), degree):
            out.append(tuple(places.count(i) for i in range(variables)))
    return tuple(out)


@functools.cache
def _numbers(variables: int, order: int) -> dict[tuple[int, ...], int]:
    return {a: i for i, a in enumerate(exponents(variables, order))}


@dataclass(frozen=True)
class Basis:
    """Monomials in some variables, of degree at most `order`."""

    variables: int
    order: int

    def count(self, degree: int | None = None) -> int:
        """How many monomials there are up to a degree; 0 below degree 0."""
        degree = self.order if degree is None else degree
        return math.comb(self.variables + degree, degree) if degree >= 0 else 0

    @property
    def terms(self) -> int:
        """At most so many pairs of monomials have one monomial as their product.

        t**g is the product of (g_1 + 1) ... (g_n + 1) pairs, most for g as even as possible.
        """
        low, more = divmod(self.order, self.variables)
        return (low + 1) ** (self.variables - more) * (low + 2) ** more

    def degrees(self, degree: int) -> slice:
        """The monomials of exactly this degree."""
        return slice(self.count(degree - 1), self.count(degree))

    def by_degree(self, magnitude: Tensor) -> Tensor:
        """Sums over the monomials of each degree, shape (order + 1, ...)."""
        if self.variables == 1:
            return magnitude
        sums = [magnitude[self.degrees(d)].sum(0) for d in range(self.order + 1)]
        return torch.stack(sums)

    def even(self) -> Where:
        """Monomials with values in [0, 1] on [-1, 1]^n: all exponents even, not all 0."""
        return slice(2, None, 2) if self.variables == 1 else _sorted(*self._key, even=True)

    def odd(self) -> Where:
        """The other ones but 1, with values in [-1, 1]."""
        return slice(1, None, 2) if self.variables == 1 else _sorted(*self._key, even=False)

    @property
    def _key(self) -> tuple[int, int]:
        return self.variables, self.order


@functools.cache
def _sorted(variables: int, order: int, *, even: bool) -> Tensor:
    found = exponents(variables, order)
    mine = [i for i, a in enumerate(found) if i and all(e % 2 == 0 for e in a) == even]
    return torch.tensor(mine, dtype=torch.long)


@dataclass(frozen=True)
class Step:
    """One term of a product: monomial number `one` of the left factor (of the right one, if
    `right`) times monomials first ... end - 1 of the other; `where` they are added."""

    right: bool
    one: int
    first: int
    end: int
    where: Where


@functools.lru_cache(maxsize=1024)
def plan(variables: int, left: int, least: int, right: int, keep: int) -> tuple[Step, ...]:
    """Steps that multiply a (degrees <= left) by b (degrees least ... right), up to degree keep.

    A pair of monomials is met where the one of lower degree is taken alone; there are few of
    those.
    """
    basis, steps = Basis(variables, keep), []
    number = _numbers(variables, keep)
    found = exponents(variables, keep)
    for one, a in enumerate(found[: basis.count(keep // 2)]):
        degree = sum(a)
        from_right = max(degree, least), min(right, keep - degree)
        from_left = degree + 1, min(left, keep - degree)
        for flip, mine, (low, high) in (
            (False, degree <= left, from_right),
            (True, least <= degree <= right, from_left),
        ):
            if not mine or low > high:
                continue
            first, end = basis.count(low - 1), basis.count(high)
            sums = [number[tuple(map(sum, zip(a, b, strict=True)))] for b in found[first:end]]
            solid = sums == list(range(sums[0], sums[0] + len(sums)))
            where = slice(sums[0], sums[-1] + 1) if solid else torch.tensor(sums)
            steps.append(Step(flip, one, first, end, where))
    return tuple(steps)


def add_product(out: Tensor, step: Step, a: Tensor, b: Tensor) -> None:
    """Add the step's products, entry by entry, to out."""
    one, many = (b, a) if step.right else (a, b)
    if isinstance(step.where, slice):
        out[step.where].addcmul_(one[step.one], many[step.first : step.end])
    else:
        out.index_add_(0, step.where.to(out.device), one[step.one] * many[step.first : step.end])
