"""A target expression as graph nodes, so that model - target is one graph."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from certify.errors import BadRequest
from certify.frontend import Model
from certify.graph import Builder, Graph
from theory.functions import FUNCTIONS, Function, evaluate, inputs, x

LARGEST = 2**53


class Irrational(Exception):
    """A constant that no affine map can hold exactly."""


class Nodes:
    """An algebra for `theory.functions.evaluate` whose numbers are graph values or constants.

    Rational constants p / q enter as scale p and divisor q, which is exact.
    """

    def __init__(self, builder: Builder, shape: tuple[int, ...]) -> None:
        self.builder = builder
        self.shape = shape

    def constant(self, value: sp.Expr) -> Fraction:
        """A rational number; others have no exact place in an affine map."""
        if not value.is_Rational or max(abs(int(value.p)), int(value.q)) > LARGEST:
            raise Irrational
        return Fraction(int(value.p), int(value.q))

    def node(self, a: Any) -> int:
        """a as a graph value."""
        if not isinstance(a, Fraction):
            return a
        one = self.builder.constant(np.ones(self.shape))
        return self.mul(one, a)

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return a + b
        if isinstance(a, Fraction):
            a, b = b, a
        if isinstance(b, Fraction) and b.denominator & (b.denominator - 1) == 0:
            return self.builder.affine(a, bias=np.full(self.shape, float(b)))
        return self.builder.add(a, self.node(b))

    def mul(self, a: Any, b: Any) -> Any:
        """a * b."""
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return a * b
        if isinstance(a, Fraction):
            a, b = b, a
        if isinstance(b, Fraction):
            if max(abs(b.numerator), b.denominator) > LARGEST:
                raise Irrational
            scale = np.full(self.shape, float(b.numerator))
            return self.builder.affine(a, scale=scale, divisor=float(b.denominator))
        return self.builder.multiply(a, b)

    def power(self, a: Any, exponent: sp.Rational) -> Any:
        """a**exponent through a registered function, or one made for it."""
        a = self.node(a)
        expression = x**exponent
        for function in FUNCTIONS.values():
            if function.expression == expression:
                return self.builder.apply(function, a)
        return self.builder.apply(Function(f"x**({exponent})", expression), a)

    def call(self, name: str, a: Any) -> Any:
        """An elementary function."""
        if name == "sign":  # only as a factor of |x|**q, which `of_target` takes whole
            raise Irrational
        return self.builder.apply(FUNCTIONS[name], self.node(a))

    def maximum(self, a: Any, b: Any) -> Any:
        """max(a, b) = b + relu(a - b)."""
        a, b = self.node(a), self.node(b)
        difference = self.builder.subtract(a, b)
        return self.builder.add(b, self.builder.apply(FUNCTIONS["relu"], difference))


def target_node(builder: Builder, expression: sp.Expr, argument: int) -> int:
    """Append a target of one variable to a graph.

    Registered functions are kept whole wherever they occur. An expression with a constant such
    as pi, which no float64 holds, becomes one function of its own.
    """
    shape = builder.shape(argument)
    names = {f.expression: name for name, f in FUNCTIONS.items() if f.expression != x}

    def walk(part: sp.Expr) -> int:
        if part == x:
            return argument
        if part in names:
            return builder.apply(FUNCTIONS[names[part]], argument)
        if part.is_Add and any(term in names for term in part.args):
            first, *rest = (walk(term) for term in part.args)
            for term in rest:
                first = builder.add(first, term)
            return first
        algebra = Nodes(builder, shape)
        return algebra.node(evaluate(part, algebra, argument))

    mark = len(builder.nodes)
    try:
        return walk(expression)
    except Irrational:
        del builder.nodes[mark:]
        return builder.apply(Function(str(expression), expression), argument)


def target_of_inputs(builder: Builder, expression: sp.Expr, variables: int) -> int:
    """Append a target of the graph's input, in x or in x1, x2, ..., and give its value, shape (1,).

    What depends on one input alone, or on none, becomes a target of one variable. Of several
    together only what the registered functions and powers build is known.

    Raises:
        BadRequest: a root of odd degree of several inputs together.
    """
    symbols = inputs(variables)
    columns = [builder.gather(0, np.array([i])) for i in range(variables)]
    algebra = Nodes(builder, (1,))
    known: dict[sp.Expr, Any] = {}

    def walk(part: sp.Expr) -> Any:
        if part not in known:
            known[part] = build(part)
        return known[part]

    def build(part: sp.Expr) -> Any:
        mine = part.free_symbols
        if not mine:
            try:
                return algebra.constant(part)
            except Irrational:
                return target_node(builder, part, columns[0])  # a function that is constant
        if len(mine) == 1:
            (symbol,) = mine
            return target_node(builder, part.xreplace({symbol: x}), columns[symbols.index(symbol)])
        if part.is_Add or part.is_Mul:
            rest = [a for a in part.args if len(a.free_symbols) != 1]
            single: dict[sp.Symbol, list] = {}
            for a in part.args:
                if len(a.free_symbols) == 1:
                    single.setdefault(*a.free_symbols, []).append(a)
            groups = [part.func(*(single[s])) for s in symbols if s in single]
            first, *others = (walk(a) for a in groups + rest)
            for other in others:
                first = algebra.add(first, other) if part.is_Add else algebra.mul(first, other)
            return first
        if isinstance(part, sp.Max):
            first, *others = (walk(a) for a in part.args)
            for other in others:
                first = algebra.maximum(first, other)
            return first
        if part.is_Pow and part.exp.is_Rational:
            return algebra.power(walk(part.base), part.exp)
        if part.is_Pow:
            raise Irrational
        return algebra.node(evaluate(part.func(x), algebra, walk(part.args[0])))

    try:
        return algebra.node(walk(expression))
    except Irrational:
        raise BadRequest(
            f"{expression}: in a target of several inputs, roots of odd degree must be of one input"
        ) from None


def compare(model: Model, expression: sp.Expr, output: int | None) -> Graph:
    """The graph with outputs model, target and difference = model - target.

    Args:
        model: with any number of inputs.
        expression: the target, in `theory.functions.inputs(n)`.
        output: number of the model's output, if it has several.

    Raises:
        BadRequest: the model has several outputs and none was chosen, or see `target_of_inputs`.
    """
    builder, chosen = _chosen(model, output)
    value = _target(builder, model, expression)
    return builder.graph(model=chosen, target=value, difference=builder.subtract(chosen, value))


def squared_error(model: Model, expressions: Sequence[sp.Expr]) -> Graph:
    """The graph of the square of the error's 2-norm over all outputs, against the target 0.

    One sum of squares, so that what the errors of different outputs have in common is kept.

    Args:
        model: with any number of inputs.
        expressions: a target for every output.

    Raises:
        BadRequest: see `target_of_inputs`.
    """
    builder = _builder(model)
    terms: dict[sp.Expr, int] = {}
    total = None
    for number, expression in enumerate(expressions):
        if expression not in terms:
            terms[expression] = _target(builder, model, expression)
        chosen = builder.gather(model.graph.outputs["model"], np.array([number]))
        error = builder.subtract(chosen, terms[expression])
        square = builder.apply(FUNCTIONS["square"], error)
        total = square if total is None else builder.add(total, square)
    zero = builder.constant(np.zeros(1))
    return builder.graph(model=total, target=zero, difference=builder.subtract(total, zero))


def _target(builder: Builder, model: Model, expression: sp.Expr) -> int:
    variables = int(np.prod(model.inputs))
    if variables == 1:
        return target_node(builder, expression, builder.reshape(0, (1,)))
    return target_of_inputs(builder, expression, variables)


def model_graph(model: Model, output: int | None) -> Graph:
    """The graph with one output of the model alone.

    Raises:
        BadRequest: see `compare`.
    """
    builder, chosen = _chosen(model, output)
    return builder.graph(model=chosen)


def _chosen(model: Model, output: int | None) -> tuple[Builder, int]:
    """The model in a builder, and the value of its chosen output."""
    outputs = int(np.prod(model.outputs))
    if output is None and outputs != 1:
        raise BadRequest(
            f"{model.path} has {outputs} outputs; choose one with --output 0 ... {outputs - 1}, "
            "or all together with --output all"
        )
    if output is not None and not 0 <= output < outputs:
        has = "one output, 0" if outputs == 1 else f"outputs 0 ... {outputs - 1}"
        raise BadRequest(f"--output {output}: {model.path} has {has}")
    builder = _builder(model)
    return builder, builder.gather(model.graph.outputs["model"], np.array([output or 0]))


def _builder(model: Model) -> Builder:
    builder = Builder(model.graph.input_shape)
    builder.nodes = list(model.graph.nodes)
    return builder
