"""Targets of several variables x1, x2, ..., each over the same interval."""

from __future__ import annotations

import itertools

from flint import arb, ctx

from theory.curves import SCHEMES, scheme
from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import FUNCTIONS, evaluate
from theory.intervals import BOUNDS, undefined
from theory.targets import DEFAULT_DOMAIN, TARGETS, Target, find_target, interval

PRECISION = 128
MOST_CORNERS = 2**10


def find_target_of(
    text: str, variables: int, domain: tuple[float, float] | None = None, output: int = 0
) -> Target:
    """The target that the user means for a model of so many inputs.

    Args:
        text: of one variable see `theory.targets.find_target`; of several an expression in
            x1, x2, ..., or a name of `theory.curves.SCHEMES`.
        variables: numbers of the input.
        domain: (lo, hi) of every variable, [-1, 1] by default.
        output: number of the output that is compared.

    Raises:
        BadRequest: there is no such target, or it is seen not to be defined at a corner or at the
            center of the domain.
    """
    text = text.strip()
    if variables == 1 and text not in SCHEMES:
        return find_target(text, domain)
    if text in TARGETS or text in FUNCTIONS:
        raise BadRequest(
            f"the model has {variables} inputs: write the target in x1 ... x{variables}, such as "
            f"{text if text in FUNCTIONS else 'exp'}(x1), or name one of {', '.join(SCHEMES)}"
        )
    written = scheme(text, variables, output) or text
    lo, hi = interval(domain or DEFAULT_DOMAIN)
    found = Target(text, parse(written, variables), (lo, hi), written, variables)
    point = _undefined_at(found)
    if point is not None:
        shown = ", ".join(f"{value:g}" for value in point)
        raise BadRequest(
            f"{text} is not defined at ({shown}), in the domain [{lo:g}, {hi:g}]^{variables}. "
            "Choose another domain: --domain LO HI"
        )
    return found


def _undefined_at(target: Target) -> tuple[float, ...] | None:
    """A corner of the domain, or its center, at which the target is not defined."""
    lo, hi = target.domain
    corners = itertools.islice(itertools.product((lo, hi), repeat=target.variables), MOST_CORNERS)
    with ctx.workprec(PRECISION):
        for point in ((lo / 2 + hi / 2,) * target.variables, *corners):
            balls = map(arb, point)
            if undefined(evaluate(target.expression, BOUNDS, *((b, b) for b in balls))):
                return point
    return None
