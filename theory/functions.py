"""Univariate functions, one SymPy line each.

Targets, enclosures and the checker all read these expressions; nothing else in the
toolkit defines what `gelu` or `exp` means. `evaluate` walks an expression in any
*algebra*: plain numbers, power series over Arb, arrays of balls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import sympy as sp

x = sp.Symbol("x", real=True)


@dataclass(frozen=True)
class Function:
    """A real function of one real variable.

    Attributes:
        name: the field's standard name.
        expression: SymPy expression in `x`, valid wherever it is real.
        kinks: points where the function is continuous but has no Taylor series.
        turns: closed brackets (lo, hi, extremum): outside the brackets the function is
            strictly monotone between two neighbouring ones, and inside a bracket its values
            lie between those at the bracket's ends and `extremum`, a bound on the local extreme
            value from outside. `None` says that nothing is known (sin, cos).
        odd_pole: True for a function that is monotone on each side of a pole at 0.
    """

    name: str
    expression: sp.Expr
    kinks: tuple[float, ...] = ()
    turns: tuple[tuple[float, float, float], ...] | None = ()
    odd_pole: bool = False


FUNCTIONS: dict[str, Function] = {}


def univariate(name: str, expression: sp.Expr, **facts: Any) -> Function:
    """Register `expression` under `name`.

    Raises:
        ValueError: the name is taken or the expression has other variables than `x`.
    """
    if name in FUNCTIONS or expression.free_symbols - {x}:
        raise ValueError(f"{name}: the name is taken or the expression is not one in x")
    FUNCTIONS[name] = Function(name, expression, **facts)
    return FUNCTIONS[name]


class Algebra(Protocol):
    """What `evaluate` needs of a kind of number."""

    def constant(self, value: sp.Expr) -> Any: ...
    def add(self, a: Any, b: Any) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def power(self, a: Any, exponent: sp.Rational) -> Any: ...
    def call(self, name: str, a: Any) -> Any: ...
    def maximum(self, a: Any, b: Any) -> Any: ...


#: Unary functions an algebra must know by name; every other function is built from these.
ELEMENTARY = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tanh: "tanh",
    sp.erf: "erf",
    sp.Abs: "abs",
    sp.sign: "sign",
}


def evaluate(expression: sp.Expr, algebra: Algebra, argument: Any) -> Any:
    """Evaluate `expression` with `x` replaced by `argument`, in `algebra`.

    Args:
        expression: SymPy, in `x`.
        algebra: how to compute.
        argument: a number of that algebra.

    Raises:
        TypeError: the expression uses a function outside `ELEMENTARY`.
    """
    known: dict[sp.Expr, Any] = {x: argument}

    def walk(node: sp.Expr) -> Any:
        if node not in known:
            known[node] = compute(node)
        return known[node]

    def compute(node: sp.Expr) -> Any:
        if not node.free_symbols:
            return algebra.constant(node)
        if node.is_Add or node.is_Mul or isinstance(node, sp.Max):
            step = (
                algebra.add if node.is_Add else algebra.mul if node.is_Mul else algebra.maximum
            )
            first, *rest = (walk(argument) for argument in node.args)
            for value in rest:
                first = step(first, value)
            return first
        if node.is_Pow and node.exp.is_Rational:
            return algebra.power(walk(node.base), node.exp)
        if node.func in ELEMENTARY:
            return algebra.call(ELEMENTARY[node.func], walk(node.args[0]))
        raise TypeError(f"{node.func} is not an elementary function known here")

    return walk(expression)


exp = univariate("exp", sp.exp(x))
log = univariate("log", sp.log(x))
sin = univariate("sin", sp.sin(x), turns=None)
cos = univariate("cos", sp.cos(x), turns=None)
tanh = univariate("tanh", sp.tanh(x))
erf = univariate("erf", sp.erf(x))
square = univariate("square", x**2, turns=((0.0, 0.0, 0.0),))
sqrt = univariate("sqrt", sp.sqrt(x), kinks=(0.0,))
cbrt = univariate("cbrt", sp.sign(x) * sp.Abs(x) ** sp.Rational(1, 3), kinks=(0.0,))
reciprocal = univariate("reciprocal", 1 / x, odd_pole=True)
rsqrt = univariate("rsqrt", 1 / sp.sqrt(x))
relu = univariate("relu", sp.Max(x, 0), kinks=(0.0,))
absolute = univariate("abs", sp.Abs(x), kinks=(0.0,), turns=((0.0, 0.0, 0.0),))
sigmoid = univariate("sigmoid", (1 + sp.tanh(x / 2)) / 2)
softplus = univariate("softplus", sp.log(1 + sp.exp(x)))
gelu = univariate("gelu", x * (1 + sp.erf(x / sp.sqrt(2))) / 2, turns=((-0.7518, -0.7517, -0.169972),))
gelu_tanh = univariate(
    "gelu_tanh",
    x * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 10**6) * x**3))) / 2,
    turns=((-0.7525, -0.7524, -0.170041),),
)
silu = univariate("silu", x * (1 + sp.tanh(x / 2)) / 2, turns=((-1.2785, -1.2784, -0.278465),))
