"""Target functions, one line each, and how a user's text becomes one."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

import sympy as sp

from theory.definedness import Fault, find_fault
from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import FUNCTIONS, x

DEFAULT_DOMAIN = (-1.0, 1.0)


@dataclass(frozen=True)
class Target:
    """A function to be approximated.

    Attributes:
        name: its name in `TARGETS` or `FUNCTIONS`, or the user's text.
        expression: SymPy, in `theory.functions.x`.
        domain: (lo, hi), finite, lo < hi; both ends belong to it.
        text: how to print the expression; `theory.expressions.parse` reads it back.
        variables: how many there are; the domain is that of each.
    """

    name: str
    expression: sp.Expr
    domain: tuple[float, float]
    text: str
    variables: int = 1

    @property
    def term(self) -> str:
        """The name as a term of a formula, as in `model - term`."""
        return self.name if self.name.isidentifier() else f"({self.name})"

    @property
    def noun(self) -> str:
        """The name as the subject of a sentence."""
        return self.name if self.name.isidentifier() else "the target"


TARGETS: dict[str, Target] = {}


def target(
    name: str,
    expression: sp.Expr,
    *,
    domain: tuple[float, float] = DEFAULT_DOMAIN,
    text: str | None = None,
) -> Target:
    """Register a target under `name`; `text` is for expressions that SymPy prints differently.

    Raises:
        ValueError: the name is taken.
    """
    if name in TARGETS:
        raise ValueError(f"{name}: the name is taken")
    TARGETS[name] = Target(name, expression, domain, text or str(expression))
    return TARGETS[name]


def find_target(text: str, domain: tuple[float, float] | None = None) -> Target:
    """The target that the user means.

    Args:
        text: a name of `TARGETS` or `FUNCTIONS`, or an expression in x.
        domain: (lo, hi) instead of the target's own; expressions have [-1, 1].

    Raises:
        BadRequest: no such name, an unreadable expression, a domain that is no interval, or
            one on which the function is found not to be defined.
    """
    text = text.strip()
    if text in TARGETS:
        found = TARGETS[text]
    elif text in FUNCTIONS:
        found = Target(text, FUNCTIONS[text].expression, DEFAULT_DOMAIN, f"{text}(x)")
    elif text.isidentifier() and not re.fullmatch("x_?[0-9]*", text):
        raise BadRequest(_unknown(text))
    else:
        found = Target(text, parse(text), DEFAULT_DOMAIN, text)
    lo, hi = found.domain if domain is None else interval(domain)
    fault = find_fault(found.expression, lo, hi)
    if fault is not None:
        raise BadRequest(_undefined(found, fault, (lo, hi)))
    return Target(found.name, found.expression, (lo, hi), found.text)


def interval(domain: tuple[float, float], option: str = "--domain") -> tuple[float, float]:
    """The two ends as floats, lower first.

    Raises:
        BadRequest: they are not two finite numbers LO < HI.
    """
    try:
        lo, hi = (float(end) for end in domain)
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(f"a domain is two numbers LO HI, not {domain!r}.") from None
    shown = f"[{lo!r}, {hi!r}]"
    if not (math.isfinite(lo) and math.isfinite(hi)):
        raise BadRequest(f"the domain {shown} is not bounded. Give two finite numbers LO < HI.")
    if lo == hi:
        raise BadRequest(f"the domain {shown} is a single point. Give two numbers LO < HI.")
    if lo > hi:
        raise BadRequest(
            f"the domain {shown} is reversed. Did you mean {option} {hi:.17g} {lo:.17g}?"
        )
    return lo, hi


def _unknown(name: str) -> str:
    functions = [name for name in FUNCTIONS if name not in TARGETS]
    near = difflib.get_close_matches(name.lower(), [*TARGETS, *functions], n=3)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f'no target is called "{name}".{meant}\n'
        f"  targets: {', '.join(TARGETS)}\n"
        f"  or an expression in x, such as sin(3*x) + x^2/4; other functions for it: "
        f"{', '.join(functions)}"
    )


def _undefined(found: Target, fault: Fault, domain: tuple[float, float]) -> str:
    lo, hi = domain
    better = _defined_part(found.expression, fault, domain)
    example = f", e.g. --domain {better[0]:.6g} {better[1]:.6g}" if better else ""
    what = "overflows float64" if fault.overflow else "is undefined"
    why = "" if fault.overflow else f": it needs {fault.needs}"
    return (
        f"{found.text} {what} at x = {fault.point:.9g}, inside the domain [{lo:g}, {hi:g}]{why}.\n"
        f"Choose a domain without that point{example}."
    )


def _defined_part(
    expression: sp.Expr, fault: Fault, domain: tuple[float, float]
) -> tuple[float, float] | None:
    """The longest run of twentieths of the domain in which no fault is found."""
    lo, hi = domain
    ends = [float(f"{lo + k * (hi / 20 - lo / 20):.6g}") for k in range(20)] + [hi]
    best = start = 0
    longest = None
    for k, (a, b) in enumerate(zip(ends, ends[1:], strict=False)):
        touches = a <= fault.point <= b or not lo <= a < b <= hi
        if touches or find_fault(expression, a, b, work=2_000):
            start = k + 1
        elif k + 1 - start >= best:
            best, longest = k + 1 - start, (ends[start], b)
    return longest


identity = target("identity", x)
square = target("square", x**2)
exp = target("exp", sp.exp(x))
sin = target("sin", sp.sin(x))
sin3 = target("sin3", sp.sin(3 * x))
cos = target("cos", sp.cos(x))
tanh = target("tanh", sp.tanh(x))
log2p = target("log2p", sp.log(2 + x), text="log(2 + x)")
sqrt = target("sqrt", sp.sqrt(x), domain=(0.0, 1.0))
cbrt = target("cbrt", FUNCTIONS["cbrt"].expression, text="cbrt(x)")
x_cbrt = target("x+cbrt(x)", x + FUNCTIONS["cbrt"].expression, text="x + cbrt(x)")
sigmoid = target("sigmoid", FUNCTIONS["sigmoid"].expression, text="sigmoid(x)")
gelu = target("gelu", FUNCTIONS["gelu"].expression, text="gelu(x)")
