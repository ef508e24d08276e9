"""The resolution delta*(eps): no window narrower than that varies by more than 2 eps.

The largest variation of a target over windows of width delta is that of one window: at the left
end of the domain, at the right end, or in the middle. Which one is proved for each row
(`theory/theorems/c_resolution.py`). Then delta* solves one equation, which SymPy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy as sp

from theory.functions import x
from theory.targets import TARGETS

delta = sp.Symbol("delta", positive=True)
eps = sp.Symbol("epsilon", positive=True)
SMALL = sp.Rational(1, 100)  # an eps at which the right one of several solutions is told


@dataclass(frozen=True)
class Row:
    """Where an increasing target varies most on one domain; the ends are integers."""

    target: str
    domain: tuple[int, int]
    place: str

    @property
    def expression(self) -> sp.Expr:
        """The target, in x."""
        return TARGETS[self.target].expression

    @property
    def variation(self) -> sp.Expr:
        """omega(delta): the variation on the widest-ranging window of width delta."""
        a, b = self.domain
        lo, hi = {
            "left": (sp.Integer(a), a + delta),
            "right": (b - delta, sp.Integer(b)),
            "middle": (-delta / 2, delta / 2),
        }[self.place]
        return sp.expand_mul(self.at(hi) - self.at(lo))

    def at(self, place: sp.Expr) -> sp.Expr:
        """The target at a place whose sign is known."""
        return self.expression.subs(x, place)

    @property
    def width(self) -> sp.Expr:
        """delta*(eps): the least solution of omega(delta) = 2 eps."""
        return _width(self)


@cache
def _width(row: Row) -> sp.Expr:
    found = sp.solve(sp.Eq(row.variation, 2 * eps), delta)
    values = {sp.N(solution.subs(eps, SMALL)): solution for solution in found}
    positive = [value for value in values if value.is_real and value > 0]
    return sp.simplify(values[min(positive)])


ROWS = [
    Row("identity", (-1, 1), "left"),
    Row("exp", (0, 1), "right"),
    Row("exp", (-1, 1), "right"),
    Row("square", (0, 1), "right"),
    Row("log2p", (0, 1), "left"),
    Row("log2p", (-1, 1), "left"),
    Row("sin", (0, 1), "left"),
    Row("sin", (-1, 1), "middle"),
    Row("cbrt", (0, 1), "left"),
    Row("cbrt", (-1, 1), "middle"),
    Row("sqrt", (0, 1), "left"),
    Row("tanh", (-1, 1), "middle"),
]


def delta_star(target: str, domain: tuple[float, float]) -> sp.Expr | None:
    """delta*(eps) in closed form, if there is a row for this target on this domain."""
    for row in ROWS:
        if row.target == target and row.domain == tuple(domain):
            return row.width
    return None


def yun_layers(d: sp.Expr, m: sp.Expr, width: sp.Expr, side: sp.Expr = 1) -> sp.Expr:
    """Layers of the construction's value mapping, its order's constant taken as 1 (Yun-2).

    Args:
        d, m: dimension of a token, number of tokens.
        width: of the grid.
        side: of the domain.
    """
    return m * (side / width) ** (d * m)
