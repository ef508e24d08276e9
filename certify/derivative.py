"""The derivative of a graph of one input variable, as a graph.

Every value v of the graph gets a tangent v' beside it, by the chain rule: forward-mode automatic
differentiation (Griewank, Walther, Evaluating Derivatives, SIAM 2008, chapter 3), on the graph
itself. Any domain then encloses derivatives as it encloses values, and twice derived, second
derivatives.

Where relu meets its kink its slope is enclosed by [0, 1]. A network is continuous and smooth
except at finitely many points of a segment; where an argument of relu stays at 0 its tangent is
0, and any slope is right. So all difference quotients over a box lie in an enclosure of the
derivative over that box.
"""

from __future__ import annotations

import math

import numpy as np

from certify.errors import Unsupported
from certify.graph import Add, Affine, Apply, Builder, Gather, Graph, Matmul, Node
from theory.derivatives import derived
from theory.functions import x as VARIABLE


def derive(graph: Graph) -> Graph:
    """The graph whose outputs are the derivatives of this graph's outputs, under their names.

    Args:
        graph: of a single input variable.

    Raises:
        Unsupported: a function jumps, or has slopes on two sides and is derived twice.
        ValueError: there are several input variables.
    """
    if math.prod(graph.input_shape) != 1:
        raise ValueError(f"one input variable is expected, not {graph.input_shape}")
    builder = Builder(graph.input_shape)
    builder.nodes = list(graph.nodes)
    tangents: dict[int, int | None] = {0: builder.constant(np.ones(graph.input_shape))}
    for number, node in enumerate(graph.nodes, start=1):
        builder.origin = node.origin
        tangents[number] = _tangent(builder, node, [tangents[i] for i in node.inputs])
    outputs = {}
    for name, number in graph.outputs.items():
        tangent, nowhere = tangents[number], np.full(graph.shape(number), -1)
        outputs[name] = builder.gather(0, nowhere) if tangent is None else tangent
    return builder.graph(**outputs)


def reached(graph: Graph) -> set[int]:
    """Values that the input may change; all others are constants."""
    found = {0}
    for number, node in enumerate(graph.nodes, start=1):
        if any(i in found for i in node.inputs) and not _is_zero(node):
            found.add(number)
    return found


def _is_zero(node: Node) -> bool:
    """Whether a linear node forgets its input."""
    match node.primitive:
        case Gather(index):
            return bool((index < 0).all())
        case Affine(weight, scale, _, _):
            return any(part is not None and not part.any() for part in (weight, scale))
    return False


def _tangent(builder: Builder, node: Node, dx: list[int | None]) -> int | None:
    """The tangent of one node; None where it is 0 throughout."""
    if all(part is None for part in dx) or _is_zero(node):
        return None
    match node.primitive:
        case Gather(index):
            return builder.gather(dx[0], index)
        case Affine(weight, scale, divisor, _):
            return builder.affine(dx[0], weight=weight, scale=scale, divisor=divisor)
        case Add():
            return _sum(builder, *dx)
        case Matmul():
            x, y = node.inputs
            left = None if dx[0] is None else builder.matmul(dx[0], y)
            right = None if dx[1] is None else builder.matmul(x, dx[1])
            return _sum(builder, left, right)
        case Apply():
            return _through(builder, node, dx[0])
    raise TypeError(f"{node.primitive!r} is not a primitive")


def _sum(builder: Builder, a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return builder.add(a, b)


def _through(builder: Builder, node: Node, dx: int) -> int | None:
    """f'(u) u', with f' = c g."""
    (value,), function = node.inputs, node.primitive.function
    try:
        factor, slope = derived(function)
    except TypeError as error:
        where = f" ({node.origin})" if node.origin else ""
        raise Unsupported(f"{function.name}{where}: {error}; no slopes can be certified") from None
    if factor == 0:
        return None
    if slope.expression != 1:
        by = value if slope.expression == VARIABLE else builder.apply(slope, value)
        dx = builder.multiply(by, dx)
    return builder.affine(dx, **_scaled(builder, dx, factor))


def _scaled(builder: Builder, value: int, factor) -> dict:
    """The rational factor as an exact scale and divisor; nothing for 1."""
    if factor == 1:
        return {}
    p, q = int(factor.p), int(factor.q)
    if max(abs(p), q) > 2**53:
        raise Unsupported(f"the constant {factor} of a slope is no quotient of two float64")
    return {"scale": np.full(builder.shape(value), float(p)), "divisor": float(q)}
