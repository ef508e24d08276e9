"""A target expression as graph nodes, so that model - target is one graph."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from certify.errors import BadRequest
from certify.frontend import Model
from certify.graph import Builder, Graph
from theory.functions import FUNCTIONS, Function, evaluate, x

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


def compare(model: Model, expression: sp.Expr, output: int | None) -> Graph:
    """The graph with outputs model, target and difference = model - target.

    Args:
        model: with one input variable.
        expression: the target, in `theory.functions.x`.
        output: number of the model's output, if it has several.

    Raises:
        BadRequest: the model has several inputs, or several outputs and none was chosen.
    """
    builder, chosen = _chosen(model, output)
    value = target_node(builder, expression, builder.reshape(0, (1,)))
    return builder.graph(model=chosen, target=value, difference=builder.subtract(chosen, value))


def model_graph(model: Model, output: int | None) -> Graph:
    """The graph with one output of the model alone.

    Raises:
        BadRequest: see `compare`.
    """
    builder, chosen = _chosen(model, output)
    return builder.graph(model=chosen)


def _chosen(model: Model, output: int | None) -> tuple[Builder, int]:
    """The model in a builder, and the value of its chosen output."""
    variables, outputs = int(np.prod(model.inputs)), int(np.prod(model.outputs))
    if variables != 1:
        raise BadRequest(
            f"{model.path} has {variables} input variables (shape {tuple(model.inputs)}); this "
            "version certifies models of one variable, and others along a line or a curve: "
            "--segment A.json B.json or --curve EXPR,EXPR,..."
        )
    if output is None and outputs != 1:
        raise BadRequest(
            f"{model.path} has {outputs} outputs; choose one with --output 0 ... {outputs - 1}"
        )
    if output is not None and not 0 <= output < outputs:
        raise BadRequest(f"--output {output}: {model.path} has outputs 0 ... {outputs - 1}")
    builder = Builder(model.graph.input_shape)
    builder.nodes = list(model.graph.nodes)
    return builder, builder.gather(model.graph.outputs["model"], np.array([output or 0]))
