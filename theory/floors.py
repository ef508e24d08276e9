"""Errors that no training removes: of a LayerNorm readout (C3), and of a Lipschitz bound (B1)."""

from __future__ import annotations

import sympy as sp

from theory.functions import x
from theory.targets import TARGETS

#: Variance of a target of a uniform number of [-1, 1]; C3 derives each by integration.
VARIANCES = {
    "identity": sp.Rational(1, 3),
    "square": sp.Rational(4, 45),
    "exp": (1 - sp.exp(-2)) / 2,
    "sin": sp.Rational(1, 2) - sp.sin(2) / 4,
    "log2p": 1 - sp.Rational(3, 4) * sp.log(3) ** 2,
    "cbrt": sp.Rational(3, 5),
    "x+cbrt(x)": sp.Rational(188, 105),
}
ROOTS = ("cbrt", "x+cbrt(x)")

lipschitz = sp.Symbol("L", positive=True)
#: Best sup error of an L-Lipschitz model, and the least L for which that is so; see B1-cbrt, ...
LIPSCHITZ = {
    ("cbrt", (-1, 1)): (2 / (3 * sp.sqrt(3 * lipschitz)), sp.Rational(1, 3)),
    ("cbrt", (0, 1)): (1 / (3 * sp.sqrt(3 * lipschitz)), sp.Rational(1, 3)),
    ("sqrt", (0, 1)): (1 / (8 * lipschitz), sp.Rational(1, 2)),
    ("x+cbrt(x)", (-1, 1)): (2 / (3 * sp.sqrt(3 * (lipschitz - 1))), sp.Rational(4, 3)),
}
#: The same for x^a on [0, 1], 0 < a < 1 and L >= a; see B1-power.
exponent = sp.Symbol("a", positive=True)
POWER = (1 - exponent) / 2 * (exponent / lipschitz) ** (exponent / (1 - exponent))


def positive(name: str) -> sp.Expr:
    """A target for x >= 0, where |x| is x."""
    plain = TARGETS[name].expression.replace(sp.sign, lambda u: sp.Integer(1))
    return plain.replace(sp.Abs, lambda u: u).subs(x, sp.Symbol("t", nonnegative=True)).subs(
        sp.Symbol("t", nonnegative=True), x)  # fmt: skip


def layernorm_floor(target: str, d: int) -> sp.Expr | None:
    """Root mean square error per coordinate that no LayerNorm readout without head goes below.

    Args:
        target: applied to each of d independent uniform numbers of [-1, 1].
        d: outputs and model width.

    Source:
        C3.
    """
    variance = VARIANCES.get(target)
    return None if variance is None else sp.sqrt(variance) / sp.sqrt(d)


def lipschitz_floor(target: str, domain: tuple[int, int], bound: sp.Expr) -> sp.Expr | None:
    """Sup error that no model with this Lipschitz bound goes below; None where it is not known.

    Source:
        B1 and the statement of the target.
    """
    row = LIPSCHITZ.get((target, tuple(domain)))
    if row is None or not sp.sympify(bound) >= row[1]:
        return None
    return row[0].subs(lipschitz, bound)
