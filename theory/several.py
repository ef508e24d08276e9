"""Targets of several variables x1, x2, ..., each over the same interval, and vectors of targets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import sympy as sp
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


def entries(text: str) -> list[str]:
    """The expressions between commas, those within parentheses not counted: one for every output,
    or a single one."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found]


def entry(text: str, output: int, outputs: int) -> str:
    """What a text says of one of several outputs: its own expression, or the only one there is.

    Raises:
        BadRequest: there are several expressions, but not one for every output.
    """
    found = entries(text)
    if len(found) == 1:
        return text
    if len(found) != outputs:
        raise BadRequest(
            f"the target has {len(found)} expressions, the model {outputs} "
            f"output{'s' if outputs > 1 else ''}: give one expression, the same for every output, "
            "or one for each, separated by commas"
        )
    return found[output if 0 <= output < outputs else 0]


def vector(text: str, outputs: int, one: Callable[[str, int], Target]) -> tuple[Target, ...]:
    """The targets of all outputs.

    Args:
        text: an expression or name, the same for every output, or one for each, between commas;
            the paper's token targets have an entry for each by themselves.
        outputs: how many there are.
        one: reads the target of an output, given its text and number.

    Raises:
        BadRequest: see `entry`; or their own domains differ.
    """
    found = tuple(one(entry(text, number, outputs), number) for number in range(outputs))
    if len({target.domain for target in found}) > 1:
        shown = "; ".join(sorted({f"{t.name}: {t.domain[0]:g} {t.domain[1]:g}" for t in found}))
        raise BadRequest(f"these targets have different domains ({shown}): choose --domain LO HI")
    return found


def together(name: str, targets: Sequence[Target]) -> Target:
    """The vector of all targets as one; its expression is a SymPy tuple."""
    first = targets[0]
    text = ", ".join(target.text for target in targets)
    every = sp.Tuple(*(target.expression for target in targets))
    return Target(name, every, first.domain, text, first.variables)


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
