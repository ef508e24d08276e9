"""Targets of several inputs along a curve: every input x1, x2, ... becomes an expression in one
variable, and with them the target.

The paper's tokens by name: `scheme-one`, y = x1 + x2 for two tokens, and `mixed`, three outputs of
four tokens (arXiv 2402.15478's public code). Their formulas act entry by entry, so output number k
of n tokens with d entries belongs to one formula and one entry of each token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from theory.errors import BadRequest
from theory.targets import DEFAULT_DOMAIN, FUNCTIONS, TARGETS, Target, find_target

#: Formulas in the tokens a, b, c, d, one for each token of the output.
_FIRST = "((a+b+c+d)/5)"
_SECOND = f"((a*{_FIRST}+exp(b)+c+ln(d))/5)"
SCHEMES = {
    "scheme-one": (2, ("(a+b)",)),
    "mixed": (4, (_FIRST, _SECOND, f"((a+{_SECOND}+{_FIRST}+b^2+c*d)/5)")),
}
NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
INPUT = re.compile(r"x([1-9][0-9]*)")


def segment(start: Sequence[float], end: Sequence[float]) -> tuple[str, ...]:
    """Every input as an expression in t, exactly (1 - t) start + t end."""

    def ratio(value: float) -> str:
        exact = Fraction(value)
        return f"({exact.numerator}/{exact.denominator})"

    pairs = zip(start, end, strict=True)
    return tuple(ratio(a) if a == b else f"((1-t)*{ratio(a)}+t*{ratio(b)})" for a, b in pairs)


def in_x(text: str) -> str:
    """An expression in t as one in x.

    Raises:
        BadRequest: it has x in it.
    """
    if "x" in NAME.findall(text):
        raise BadRequest(f'a curve is written in t, not in x: "{text.strip()}"')
    return NAME.sub(lambda name: "x" if name[0] == "t" else name[0], text.strip())


def target_along(
    text: str,
    curve: Sequence[str],
    output: int,
    domain: tuple[float, float] | None = None,
) -> Target:
    """The target that the user means, in the curve's variable.

    Args:
        text: a name of `SCHEMES`, or an expression in x1, x2, ...
        curve: every input as an expression in t.
        output: number of the output that is compared.
        domain: of t.

    Raises:
        BadRequest: an input that the curve does not have, or see `find_target`.
    """
    expression = scheme(text.strip(), len(curve), output) or text

    def replaced(name: re.Match) -> str:
        number = INPUT.fullmatch(name[0])
        if name[0] in ("x", "t"):
            raise BadRequest(
                f'along a curve the target is written in x1 ... x{len(curve)}, not in "{name[0]}"'
            )
        if number is None:
            return name[0]
        if int(number[1]) > len(curve):
            raise BadRequest(f"{name[0]}: the model has inputs x1 ... x{len(curve)}")
        return f"({in_x(curve[int(number[1]) - 1])})"

    if expression in TARGETS or expression in FUNCTIONS:
        raise BadRequest(f"along a curve the target is an expression in x1 ... x{len(curve)}")
    found = find_target(NAME.sub(replaced, expression), domain or DEFAULT_DOMAIN)
    return Target(text.strip(), found.expression, found.domain, found.text)


def scheme(name: str, inputs: int, output: int) -> str | None:
    """A scheme's formula for one output, in x1, x2, ...; None for other texts.

    Raises:
        BadRequest: the scheme has no such inputs or no such output.
    """
    if name not in SCHEMES:
        return None
    tokens, formulas = SCHEMES[name]
    width, rest = divmod(inputs, tokens)
    if rest or not 0 <= output < width * len(formulas):
        raise BadRequest(
            f"{name} takes {tokens} tokens and gives {len(formulas)}; the model has {inputs} "
            f"inputs, and output {output} was asked for"
        )
    token, entry = divmod(output, width)
    places = {"abcd"[k]: f"x{k * width + entry + 1}" for k in range(tokens)}
    return NAME.sub(lambda n: places.get(n[0], n[0]), formulas[token])
