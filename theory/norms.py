"""Norms of numbers that are known by their bounds: exact squares, and roots rounded outward.

Each entry is a magnitude known by a pair: the sup of one output's error, its variation on a cell,
and so on. The norm of the vector function, its sup or its diameter, is bounded by theirs: it is at
least the largest of them in both norms; it is at most the largest in the max norm, where it is
exactly that, and at most the root of the sum of their squares in the 2-norm, theorem A1-norm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Pair = tuple[float, float]
Exact = Fraction | float  # a float only where it is infinite

NORMS = ("max", "2")
ANYTHING: tuple[Exact, Exact] = (Fraction(0), math.inf)
BITS = 64  # of a root, before it is rounded to a double


def squares(
    norm: str, entries: Sequence[Pair], also: tuple[Exact, Exact] = ANYTHING
) -> tuple[Exact, Exact]:
    """Bounds on the square of the norm, exact.

    Args:
        norm: of `NORMS`.
        entries: for every output bounds on its magnitude; a lower one below 0 says nothing.
        also: what is known of the square from elsewhere.

    Raises:
        ValueError: there is no such norm.
    """
    if norm not in NORMS:
        raise ValueError(f"there is no norm {ascii(norm)}")
    low, high = ([square(pair[side]) for pair in entries] for side in (0, 1))
    largest = max(high)
    if norm == "2" and largest < math.inf:
        largest = sum(high)
    return max(*low, also[0]), min(largest, also[1])


def apart(one: Sequence[Pair], other: Sequence[Pair]) -> Fraction:
    """A lower bound on the square of the 2-norm distance of two vectors, known entry by entry."""
    total = Fraction(0)
    for (a, b), (c, d) in zip(one, other, strict=True):
        if all(map(math.isfinite, (a, b, c, d))):
            total += max(Fraction(a) - Fraction(d), Fraction(c) - Fraction(b), Fraction(0)) ** 2
    return total


def square(x: float) -> Exact:
    """x**2, exact; 0 below 0."""
    return math.inf if x == math.inf else Fraction(max(x, 0.0)) ** 2


def exact(pair: Pair) -> tuple[Exact, Exact]:
    """Bounds on a number >= 0 without rounding."""
    lo, hi = pair
    return Fraction(max(lo, 0.0)), math.inf if hi == math.inf else Fraction(hi)


def bracket(norm: str, entries: Sequence[Pair], also: tuple[Exact, Exact] = ANYTHING) -> Pair:
    """Bounds on the norm itself, as doubles; exact where the root is a double."""
    low, high = squares(norm, entries, also)
    return root(low, up=False), root(high, up=True)


def root(value: Exact, *, up: bool) -> float:
    """The square root of a number >= 0 as a double, rounded up or down.

    With v = p/q and s = floor(sqrt(p q 4**k)): s/(q 2**k) <= sqrt(v) <= (s + 1)/(q 2**k), and the
    first is exact if s**2 = p q 4**k.
    """
    if value == math.inf:
        return math.inf
    p, q = value.numerator, value.denominator
    scaled = p * q << 2 * BITS
    s = math.isqrt(scaled)
    s += up and s * s != scaled
    return rounded(Fraction(s, q << BITS), up=up)


def rounded(value: Fraction, *, up: bool) -> float:
    """The double next to a number >= 0 on the side asked for, or the number itself."""
    try:
        found = float(value)  # to the nearest
    except OverflowError:
        return math.inf if up else float.fromhex("0x1.fffffffffffffp+1023")
    if found == math.inf:
        return found if up else float.fromhex("0x1.fffffffffffffp+1023")
    if up and Fraction(found) < value:
        return math.nextafter(found, math.inf)
    if not up and Fraction(found) > value:
        return math.nextafter(found, 0.0)
    return found
