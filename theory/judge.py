"""Is a polynomial inside bounds on all of [-1, 1]? Z3 decides, Bernstein form where it gives up."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import z3
from flint import arb, arb_poly

from theory.claims import Pair, real

MILLISECONDS = 2000  # of Z3 for one polynomial
BITS = 4096
HUGE = arb(2) ** BITS  # beyond it nothing is proved; no fraction shall have a million digits
DEEPEST = 60  # halvings of [-1, 1] in Bernstein form


def inside(p: arb_poly, bound: Pair, bits: int | None = 64) -> tuple[str, Fraction | None]:
    """Decide lo <= b(t) <= hi for all t of [-1, 1] and all coefficients b in the balls of p.

    Args:
        p: a polynomial of one variable.
        bound: lo, hi; an infinite end bounds nothing.
        bits: coefficients are rounded to this many bits of the largest, and what that changes
            is added to the radius; None leaves them exact.

    Returns:
        who proved it, "z3" or "bernstein", or "nobody needs to" where both ends are infinite, and
        None; or "" and, where one is known, a t of [-1, 1] where it may fail.
    """
    lo, hi = bound
    if lo == -math.inf and hi == math.inf:
        return "nobody needs to", None
    balls = p.coeffs()
    if lo == math.inf or hi == -math.inf or not all(abs(c) < HUGE for c in balls):
        return "", None
    middles, errors = zip(*(_fraction(c.mid()) for c in balls), strict=True) if balls else ((), ())
    radius = sum(errors, sum((sum(_fraction(c.rad())) for c in balls), Fraction(0)))
    if bits is not None and any(middles):
        unit = Fraction(2) ** (_exponent(max(map(abs, middles))) - bits)
        rounded = [round(c / unit) * unit for c in middles]
        radius += sum(abs(a - b) for a, b in zip(middles, rounded, strict=True))
        middles = rounded
    # |b(t) - q(t)| <= radius, with q the polynomial of the middles: |t^k| <= 1.
    tests = [(sign, sign * Fraction(end) - radius) for sign, end in ((1, hi), (-1, lo))
             if math.isfinite(end)]  # fmt: skip
    answer, place = _ask_z3(middles, tests)
    if answer == z3.unknown:
        places = [_bernstein([sign * c for c in middles], top) for sign, top in tests]
        failed = [at for at in places if at is not None]
        return ("", failed[0]) if failed else ("bernstein", None)
    return ("z3", None) if answer == z3.unsat else ("", place)


def _ask_z3(q: list[Fraction], tests: list[tuple[int, Fraction]]) -> tuple[Any, Fraction | None]:
    """Is there a t of [-1, 1] with sign q(t) > top for one of the tests?"""
    t = z3.Real("t")
    value = z3.Sum([real(c) * t**k for k, c in enumerate(q)] or [real(0)])
    solver = z3.Tactic("qfnra-nlsat").solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(t >= -1, t <= 1, z3.Or([sign * value > real(top) for sign, top in tests]))
    answer = solver.check()
    if answer != z3.sat:
        return answer, None
    at = solver.model().eval(t, model_completion=True)
    at = at.approx(20) if z3.is_algebraic_value(at) else at
    return answer, max(Fraction(-1), min(Fraction(1), Fraction(str(at.as_fraction()))))


def _bernstein(q: list[Fraction], top: Fraction) -> Fraction | None:
    """Prove q <= top on [-1, 1]: on any interval q is at most its largest Bernstein coefficient.

    Returns:
        None if proved, else a place where it may fail.
    """
    n = max(len(q), 1) - 1
    # Coefficients in powers of u for t = 2 u - 1, then b_i = sum_k C(i, k) / C(n, k) a_k.
    a = [2**k * sum(math.comb(j, k) * (-1) ** (j - k) * q[j] for j in range(k, len(q)))
         for k in range(n + 1)]  # fmt: skip
    b = [sum(Fraction(math.comb(i, k), math.comb(n, k)) * a[k] for k in range(i + 1))
         for i in range(n + 1)]  # fmt: skip
    pieces = [(b, Fraction(-1), Fraction(1), 0)]
    while pieces:
        b, lo, hi, depth = pieces.pop()
        if max(b) <= top:
            continue
        if b[0] > top or b[-1] > top or depth == DEEPEST:
            return lo if b[0] > top else hi
        left, right, row = [], [], b
        while row:  # de Casteljau: the coefficients on both halves
            left.append(row[0])
            right.append(row[-1])
            row = [(x + y) / 2 for x, y in zip(row, row[1:], strict=False)]
        middle = (lo + hi) / 2
        pieces += [(right[::-1], middle, hi, depth + 1), (left, lo, middle, depth + 1)]
    return None


def _fraction(x: arb) -> tuple[Fraction, Fraction]:
    """An exact number of Arb, below HUGE, and 0; for a tiny one 0 and a bound on what it is."""
    if abs(x) * HUGE < 1:
        return Fraction(0), 0 if x.is_zero() else 1 / Fraction(2) ** BITS
    mantissa, exponent = (int(part) for part in x.man_exp())
    return mantissa * Fraction(2) ** exponent, Fraction(0)


def _exponent(x: Fraction) -> int:
    """Some e with x < 2^e <= 4 x, for x > 0."""
    return x.numerator.bit_length() - x.denominator.bit_length() + 1
