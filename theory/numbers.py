"""What an accuracy takes, from the statements: each number symbolic, enclosed and as decimals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sympy as sp
from flint import arb, ctx

from theory.errors import BadRequest
from theory.floors import layernorm_floor, lipschitz_floor
from theory.functions import x
from theory.intervals import number
from theory.pieces import Pieces, min_pieces
from theory.resolution import ROWS, delta_star, eps, yun_layers
from theory.targets import TARGETS

DIGITS = 6


@dataclass(frozen=True)
class Number:
    """A number with its name and its closed form."""

    name: str
    symbolic: sp.Expr

    @property
    def enclosure(self) -> arb:
        """A ball that contains it, at 128 bits."""
        with ctx.workprec(128):
            return number(sp.sympify(self.symbolic))

    def __str__(self) -> str:
        """Its first digits; whole numbers in full."""
        if self.symbolic.is_Integer:
            return str(self.symbolic)
        return self.enclosure.str(DIGITS, radius=False)


@dataclass(frozen=True)
class Count:
    """A count of pieces with its name."""

    name: str
    pieces: Pieces

    def __str__(self) -> str:
        return str(self.pieces)


def numbers(
    target: str,
    domain: tuple[int, int],
    accuracy: float,
    d: int,
    m: int,
    lipschitz: float | None = None,
) -> list[Number | Count]:
    """What `theory resolution` prints.

    Raises:
        BadRequest: there is no row for the target on this domain, or the accuracy is larger than
            half of what the target varies by.
    """
    width = delta_star(target, domain)
    if width is None:
        known = ", ".join(f"{row.target} on {list(row.domain)}" for row in ROWS)
        raise BadRequest(f"no resolution is known for {target} on {list(domain)}; known: {known}")
    exact, (a, b) = sp.Rational(str(accuracy)), domain
    rise = TARGETS[target].expression.subs(x, b) - TARGETS[target].expression.subs(x, a)
    if not Number("", rise - 2 * exact).enclosure >= 0:
        raise BadRequest(f"--eps {accuracy} is larger than half of what {target} varies by")
    value = width.subs(eps, exact)
    layers = yun_layers(sp.Integer(d), sp.Integer(m), value, b - a)
    out: list[Number | Count] = [
        Number(f"delta*({accuracy}), delta* = {width}", value),
        Number("cells of the grid, log10", d * m * sp.log(sp.ceiling((b - a) / value), 10)),
        Number("layers of the construction, log10", sp.log(layers, 10)),
        *(Count(f"fewest constant pieces, {norm}", min_pieces(target, domain, exact, p))
          for norm, p in (("sup error", math.inf), ("L2 error", 2), ("L1 error", 1))),
    ]  # fmt: skip
    floor = layernorm_floor(target, d)
    if floor is not None and tuple(domain) == (-1, 1):  # its inputs are uniform there
        out.append(Number("LayerNorm floor, RMS per coordinate", floor))
    if lipschitz is not None:
        limit = lipschitz_floor(target, domain, sp.Rational(str(lipschitz)))
        if limit is None:
            raise BadRequest(f"no limit is known for {target} on {list(domain)}, L = {lipschitz}")
        out.append(Number(f"best sup error with L = {lipschitz}", limit))
    return out
