"""Decimal numbers that keep a guarantee: lower bounds are printed rounded down, upper ones up."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction


def rounded(value: float | decimal.Decimal, digits: int, *, up: bool) -> str:
    """`value` with `digits` significant digits, rounded up or down, as plain text."""
    if math.isinf(value) or math.isnan(value):
        return str(value)
    if value == 0:
        return "0"
    rounding = decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR
    context = decimal.Context(prec=digits, rounding=rounding)
    found = context.create_decimal(value).normalize()
    return f"{found:f}" if 0 < found.as_tuple().exponent < 7 else f"{found:g}"


def floor(exact: Fraction) -> float:
    """The greatest double that is not above."""
    near = float(exact)
    return near if Fraction(near) <= exact else math.nextafter(near, -math.inf)


def interval(lo: float, hi: float, least: int = 4, most: int = 17) -> str:
    """[lo, hi] rounded outward, with two digits more than the ends have in common."""
    size = max(abs(lo), abs(hi))
    spread = (hi - lo) / size if 0 < size < math.inf else math.inf
    digits = most if spread == 0 else least
    if 0 < spread < math.inf:
        digits = min(most, max(least, 2 - math.floor(math.log10(spread))))
    return f"[{rounded(lo, digits, up=False)}, {rounded(hi, digits, up=True)}]"


def percent(part: float) -> str:
    """A fraction as a percentage, rounded down."""
    if not math.isfinite(part):
        return f"{part} %"
    # 100 * part in floats could round up; a decimal holds the product exactly.
    exact = decimal.Context(prec=2000).multiply(decimal.Decimal(part), decimal.Decimal(100))
    return f"{rounded(exact, 3, up=False)} %"


def agreed(lo: float, hi: float, most: int) -> str:
    """The digits, at most so many, of a number that is known to lie between lo and hi: all such
    numbers round to them; the interval where there are none."""
    for digits in range(most, 0, -1):
        if f"{lo:.{digits}g}" == f"{hi:.{digits}g}":
            return f"{lo:.{digits}g}"
    return interval(lo, hi)


SHOWN_INPUTS = 8


def on(lo: float, hi: float, variables: int = 1) -> str:
    """A domain: the same interval for every input."""
    return f"[{lo!r}, {hi!r}]" + (f"^{variables}" if variables > 1 else "")


def place(x: tuple[float, ...]) -> str:
    """An input: x = ..., or (x1, ...) = (...); the first few of many."""
    shown = ", ".join(f"{value:.17g}" for value in x[:SHOWN_INPUTS])
    if len(x) == 1:
        return f"x = {shown}"
    more = f", ... {len(x)} inputs" if len(x) > SHOWN_INPUTS else ""
    return f"x = ({shown}{more})" if x else "no point"


def box(sides: list[list[float]]) -> str:
    """A box as a product of intervals, its ends to a thousandth of its width: enough to find it,
    and exact where they are short decimals; the first few of many."""
    shown = " x ".join(
        f"[{_end(lo, hi - lo)}, {_end(hi, hi - lo)}]" for lo, hi in sides[:SHOWN_INPUTS]
    )
    return shown + (f" x ... ({len(sides)} inputs)" if len(sides) > SHOWN_INPUTS else "")


def _end(value: float, width: float) -> str:
    """The shortest decimal, of 6 digits or more, that is near enough."""
    decimals = (float(f"{value:.{digits}g}") for digits in range(6, 18))
    return repr(next(d for d in decimals if abs(d - value) <= width / 1000))
