"""Univariate functions, one SymPy line each.

Targets, enclosures and the checker all read these expressions; nothing else in the
toolkit defines what `gelu` or `exp` means. `evaluate` computes an expression in any
*algebra*: plain numbers, power series over Arb, arrays of balls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import sympy as sp

x = sp.Symbol("x", real=True)


@cache
def inputs(variables: int) -> tuple[sp.Symbol, ...]:
    """The variables of an expression: x alone, or x1, x2, ..."""
    if variables == 1:
        return (x,)
    return tuple(sp.Symbol(f"x{k}", real=True) for k in range(1, variables + 1))


@dataclass(frozen=True)
class Function:
    """A real function of one real variable.

    Attributes:
        name: the field's standard name.
        expression: SymPy expression in `x`, valid wherever it is real.
        kinks: points where the function is continuous but has no Taylor series.
        turns: closed brackets (lo, hi, extremum) of the turning points. Between two brackets,
            and beyond the outer ones, the function is monotone (not strictly: relu). Inside a
            bracket its values lie in the hull of its values at the bracket's ends and
            `extremum`, a bound from outside on the local extreme value. `None` says that
            nothing is known (sin, cos).
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
    """What `evaluate` needs of a kind of number.

    `constant` receives a SymPy number expression (Integer, Rational, pi, sqrt(2), exp(1), ...),
    `power` a rational exponent, `call` one of the names in `ELEMENTARY`.
    """

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


@dataclass(frozen=True)
class Step:
    """One instruction: it computes one register from earlier ones.

    Attributes:
        operation: the `Algebra` method to call.
        operands: registers it reads; the first ones are the arguments, each step writes the next.
        detail: the constant, exponent or function name, for the methods that take one.
    """

    operation: str
    operands: tuple[int, ...] = ()
    detail: sp.Expr | str | None = None


def evaluate(expression: sp.Expr, algebra: Algebra, *arguments: Any) -> Any:
    """Evaluate `expression` with its variables replaced by the arguments, in `algebra`.

    Args:
        expression: SymPy, in `inputs(n)`: `x`, or `x1` ... `xn`.
        algebra: how to compute.
        arguments: n numbers of that algebra.

    Raises:
        TypeError: the expression has another variable, or a function outside `ELEMENTARY`.
    """
    steps, registers = program(expression, len(arguments)), list(arguments)
    if not steps:  # it is one of the variables
        return arguments[inputs(len(arguments)).index(expression)]
    for step in steps:
        values = [registers[k] for k in step.operands]
        if step.detail is None:
            value = getattr(algebra, step.operation)(*values)
        elif step.operation == "power":
            value = algebra.power(values[0], step.detail)
        else:
            value = getattr(algebra, step.operation)(step.detail, *values)
        registers.append(value)
    return registers[-1]


@cache
def program(expression: sp.Expr, variables: int = 1) -> tuple[Step, ...]:
    """Compile `expression` to steps, each sub-expression once; the last register is its value.

    The constants among the terms of a sum, or the factors of a product, become one constant.
    A power with an exponent that is no rational number is exp(exponent * log(base)).

    Raises:
        TypeError: the expression has another variable, or a function outside `ELEMENTARY`.
    """
    steps: list[Step] = []
    known: dict[sp.Expr, int] = {symbol: i for i, symbol in enumerate(inputs(variables))}

    def emit(operation: str, *operands: int, detail: Any = None) -> int:
        steps.append(Step(operation, operands, detail))
        return variables - 1 + len(steps)

    def register(node: sp.Expr) -> int:
        if node not in known:
            known[node] = compute(node)
        return known[node]

    def chain(operation: str, nodes: list[sp.Expr]) -> int:
        first, *rest = (register(node) for node in nodes)
        for other in rest:
            first = emit(operation, first, other)
        return first

    def compute(node: sp.Expr) -> int:
        if not node.free_symbols:
            return emit("constant", detail=node)
        if node.is_Add or node.is_Mul:
            constants = [part for part in node.args if not part.free_symbols]
            folded = [node.func(*constants)] if constants else []
            varying = [part for part in node.args if part.free_symbols]
            return chain("add" if node.is_Add else "mul", folded + varying)
        if isinstance(node, sp.Max):
            return chain("maximum", sorted(node.args, key=sp.default_sort_key))
        if node.func in ELEMENTARY:
            return emit("call", register(node.args[0]), detail=ELEMENTARY[node.func])
        if node.is_Pow and node.exp.is_Rational:
            return emit("power", register(node.base), detail=node.exp)
        if node.is_Pow:
            logarithm = emit("call", register(node.base), detail="log")
            return emit("call", emit("mul", register(node.exp), logarithm), detail="exp")
        raise TypeError(f"{node.func} is not an elementary function known here")

    register(expression)
    return tuple(steps)


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
gelu = univariate(
    "gelu", x * (1 + sp.erf(x / sp.sqrt(2))) / 2, turns=((-0.7518, -0.7517, -0.169972),)
)
gelu_tanh = univariate(
    "gelu_tanh",
    x * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 10**6) * x**3))) / 2,
    turns=((-0.7525, -0.7524, -0.170041),),
)
silu = univariate("silu", x * (1 + sp.tanh(x / 2)) / 2, turns=((-1.2785, -1.2784, -0.278465),))
