"""What an accuracy takes, from the statements: symbolic, and as numbers rounded to the nearest."""

from __future__ import annotations

import math

import sympy as sp
from flint import ctx

from theory.errors import BadRequest
from theory.functions import x
from theory.intervals import number
from theory.resolution import ROWS, delta_star, eps, yun_layers
from theory.targets import TARGETS

DIGITS = 6


def numbers(
    target: str, domain: tuple[int, int], accuracy: float, d: int, m: int
) -> list[tuple[str, str]]:
    """Names and values of what `theory resolution` prints.

    Raises:
        BadRequest: there is no row for the target on this domain.
    """
    width = delta_star(target, domain)
    if width is None:
        known = ", ".join(f"{row.target} on {list(row.domain)}" for row in ROWS)
        raise BadRequest(f"no resolution is known for {target} on {list(domain)}; known: {known}")
    exact = sp.Rational(str(accuracy))
    a, b = domain
    value = width.subs(eps, exact)
    rise = TARGETS[target].expression.subs(x, b)
    rise -= TARGETS[target].expression.subs(x, a)
    if not _enclosure(rise - 2 * exact) >= 0:
        raise BadRequest(f"--eps {accuracy} is larger than half of what {target} varies by")
    layers = yun_layers(sp.Integer(d), sp.Integer(m), value, b - a)
    pieces = _enclosure(rise / (2 * exact))
    return [
        ("delta*(eps) =", str(width)),
        (f"delta*({accuracy})", _shown(value)),
        ("cells of the grid, log10", _shown(d * m * sp.log((b - a) / value, 10))),
        ("layers of the construction, log10", _shown(sp.log(layers, 10))),
        ("fewest constant pieces", str(max(1, math.ceil(float(pieces.lower()))))),
        ("LayerNorm floor, relative RMS", _shown(1 / sp.sqrt(d))),
    ]


def _enclosure(value: sp.Expr):
    with ctx.workprec(128):
        return number(sp.sympify(value))


def _shown(value: sp.Expr) -> str:
    """A number with its first digits, all of them proved."""
    with ctx.workprec(128):
        return _enclosure(value).str(DIGITS, radius=False)
