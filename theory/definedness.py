"""Is an expression defined on an interval? A bounded search for a point where it is not.

Each power and logarithm inside the expression is a demand on a sub-expression: not zero, not
negative, positive. A demand is refuted by a point, by an interval on which it fails, or by a
change of sign of a continuous sub-expression; it is met where Arb bounds say so. A point is
reported only with such a proof. Not finding one proves nothing, and nothing rests on it: the
bounds of an undefined function come out infinite.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp
from flint import arb, ctx, fmpq

from theory.arb import bounds, series
from theory.functions import program, x
from theory.intervals import Pair, number

PRECISION = 128
#: Interval evaluations of one search, for an expression of one step.
WORK = 40_000
MOST_EVALUATIONS = 4_000
#: Below this width, relative to the domain's numbers, an interval is not split again.
FINEST = 2.0**-44
HUGE = arb(2) ** 1024
#: Size of the numbers in an exact evaluation at a rational point.
MOST_EXACT_BITS = 20_000


@dataclass(frozen=True)
class Fault:
    """Where and why an expression has no finite value.

    Attributes:
        point: the float nearest to the point found, or a point of the failing interval.
        overflow: True where the value exists but exceeds every float64.
        needs: what fails there, in words, such as "x > 0".
    """

    point: float
    overflow: bool
    needs: str


@dataclass(frozen=True)
class Demand:
    """`expression` must satisfy `needs`: "!= 0", ">= 0", "> 0" or "finite"."""

    expression: sp.Expr
    needs: str

    def __str__(self) -> str:
        text = str(self.expression)
        return f"{text if len(text) <= 60 else text[:57] + '...'} {self.needs}"

    def holds(self, values: Pair) -> bool | None:
        """Decide it for all of the values; None if it holds for some only, or may."""
        lo, hi = values
        if self.needs == "!= 0":
            return True if lo > 0 or hi < 0 else False if lo == 0 and hi == 0 else None
        if self.needs == "> 0":
            return True if lo > 0 else False if hi <= 0 else None
        if self.needs == ">= 0":
            return True if lo >= 0 else False if hi < 0 else None
        inside, outside = lo > -HUGE and hi < HUGE, lo >= HUGE or hi <= -HUGE
        return True if inside else False if outside else None


def undefined_at(expression: sp.Expr, lo: float, hi: float) -> float | None:
    """A point of [lo, hi] where `expression` is not defined or overflows, if one is found.

    Args:
        expression: SymPy, in `x`.
        lo: finite, < hi.
        hi: finite.

    Returns:
        The nearest float to such a point, a simple one where there is a choice; None if there
        is no such point, or none was found within the bounded search.
    """
    fault = find_fault(expression, lo, hi)
    return None if fault is None else fault.point


def find_fault(expression: sp.Expr, lo: float, hi: float, *, work: int = WORK) -> Fault | None:
    """`undefined_at` with the reason; `work` bounds interval evaluations times steps."""
    with ctx.workprec(PRECISION):
        budget = min(MOST_EVALUATIONS, work // (len(program(expression)) + 1))
        for demand in _demands(expression):
            search = _Search(demand, float(lo), float(hi), budget)
            point = search.run()
            if point is not None:
                return Fault(point, demand.needs == "finite", str(demand))
            budget -= search.spent
    return None


def _demands(expression: sp.Expr) -> Iterator[Demand]:
    """The demands of all sub-expressions, inner ones first."""
    seen = set()
    for node in sp.postorder_traversal(expression):
        demand = _demand(node)
        if demand is not None and demand not in seen and node.free_symbols:
            seen.add(demand)
            yield demand
    yield Demand(expression, "finite")


def _demand(node: sp.Expr) -> Demand | None:
    if isinstance(node, sp.log):
        return Demand(node.args[0], "> 0")
    if not node.is_Pow or not node.base.free_symbols:
        return None
    base, nonzero = node.base, node.exp.is_Integer
    if isinstance(base, sp.Abs | sp.sign):
        base, nonzero = base.args[0], True
    if node.exp.is_Rational and node.exp > 0:
        return None if nonzero else Demand(base, ">= 0")
    return Demand(base, "!= 0" if nonzero else "> 0")


class _Search:
    """One demand on one interval; `spent` counts the interval evaluations."""

    def __init__(self, demand: Demand, lo: float, hi: float, budget: int):
        self.demand = demand
        self.lo, self.hi = lo, hi
        self.budget = budget
        self.spent = 0
        g = demand.expression
        self.continuous = not g.has(sp.sign)
        # SymPy decides the signs of constants inside these numerically, at any cost.
        self.exact_degree = None if g.has(sp.Abs, sp.Max, sp.sign) else _degree(g)

    def run(self) -> float | None:
        for point in (self.lo, self.hi, 0.0):
            if self.lo <= point <= self.hi and self.fails_at(Fraction(point)):
                return point
        queue = deque([(self.lo, self.hi)])
        while queue and self.spent < self.budget:
            a, b = queue.popleft()
            verdict, point = self.examine(a, b)
            if point is not None:
                return float(point)
            if verdict is None:
                middle = a / 2 + b / 2
                queue.extend(((middle, b), (a, middle)))
        return None

    def examine(self, a: float, b: float) -> tuple[bool | None, Fraction | None]:
        """Whether the demand is settled on [a, b], and a point where it fails."""
        holds, values = self.on(a, b)
        if holds is not None:
            return True, None if holds else _simplest(Fraction(a), Fraction(b))
        if self.demand.needs == "!= 0" and self.continuous and _bounded(values):
            point = self.crossing(a, b)
            if point is not None:
                return True, point
        middle = a / 2 + b / 2
        if self.fails_at(Fraction(middle)):
            return True, Fraction(middle)
        if b - a > FINEST * max(abs(a), abs(b), self.hi - self.lo) and a < middle < b:
            return None, None
        point = _simplest(Fraction(a), Fraction(b))
        return True, point if self.fails_at(point) else None

    def on(self, a: float, b: float) -> tuple[bool | None, Pair]:
        """Decide the demand on [a, b], first by plain bounds, then by a Taylor form."""
        self.spent += 1
        values = bounds(self.demand.expression, arb(a), arb(b))
        holds = self.demand.holds(values)
        if holds is not None or not _bounded(values):
            return holds, values
        middle = arb(a / 2 + b / 2)
        step = (middle - arb(a)).union(arb(b) - middle)
        step = (-step).union(step)
        start = series(self.demand.expression, middle, 1)
        bend = series(self.demand.expression, arb(a).union(arb(b)), 2)[2]
        form = start[0] + start[1] * step + bend * arb(0).union(step.abs_upper() ** 2)
        return (
            self.demand.holds((form.lower(), form.upper())) if form.is_finite() else None
        ), values

    def fails_at(self, point: Fraction) -> bool:
        """True if the demand certainly fails at `point`."""
        self.spent += 1
        ball = arb(fmpq(point.numerator, point.denominator))
        holds = self.demand.holds(bounds(self.demand.expression, ball, ball))
        if holds is None and self.exact_degree is not None:
            # A zero at 3/10 is no number of Arb's; SymPy may cancel it exactly.
            if self.exact_degree * point.denominator.bit_length() > MOST_EXACT_BITS:
                return False
            rational = sp.Rational(point.numerator, point.denominator)
            exact = number(self.demand.expression.xreplace({x: rational}))
            holds = self.demand.holds((exact, exact))
        return holds is False

    def crossing(self, a: float, b: float) -> Fraction | None:
        """A zero of the continuous sub-expression that its signs at a and b enforce, rounded."""
        left, right = self.sign(a), self.sign(b)
        if not left or left != -right:
            return None
        while a < (middle := a / 2 + b / 2) < b:
            sign = self.sign(middle)
            if not sign:
                return Fraction(middle) if self.fails_at(Fraction(middle)) else None
            a, b = (middle, b) if sign == left else (a, middle)
        return _simplest(Fraction(a), Fraction(b))

    def sign(self, point: float) -> int:
        """1 or -1 where the sign is certain, else 0."""
        self.spent += 1
        lo, hi = bounds(self.demand.expression, arb(point), arb(point))
        return int(lo > 0) - int(hi < 0)


def _degree(node: sp.Expr) -> int:
    """A bound on how many times the digits of x appear in an exact value of `node`."""
    if node.is_Pow and node.exp.is_Rational:
        return max(abs(node.exp.p), node.exp.q) * _degree(node.base)
    return sum(_degree(part) for part in node.args) if node.args else 1


def _bounded(values: Pair) -> bool:
    return values[0].is_finite() and values[1].is_finite()


def _simplest(a: Fraction, b: Fraction) -> Fraction:
    """The fraction of [a, b] with the smallest denominator, by continued fractions."""
    if a <= 0 <= b:
        return Fraction(0)
    if b < 0:
        return -_simplest(-b, -a)
    whole = math.ceil(a)
    if whole <= b:
        return Fraction(whole)
    floor = whole - 1
    return floor + 1 / _simplest(1 / (b - floor), 1 / (a - floor))
