"""What a model's graph says before any number is computed: its readout and its smoothness.

A LayerNorm that ends a model bounds what any training can reach: theorems C0 and C1 for each
output by itself, C2 and C3 for outputs that a target wants free of each other, C5 with a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from certify.derivative import reached
from certify.graph import Affine, Apply, Gather, Graph, Matmul, Node
from certify.normalized import is_layer_norm
from theory.functions import FUNCTIONS
from theory.functions import x as VARIABLE
from theory.theorems.e_smooth import smoothness
from theory.windows import Pair

Place = tuple[int, int]  # number of a value, and of an entry or a row of it
ROUGHNESS = "constant", "analytic", "piecewise analytic", "unknown"
POSITIVE = {"exp", "sigmoid", "softplus"}  # at every real argument
NEED_POSITIVE = {"log", "sqrt", "reciprocal", "rsqrt"}


@dataclass(frozen=True)
class Readout:
    """A LayerNorm with no univariate function behind it.

    Attributes:
        features: D, how many it normalizes together.
        head: whether a linear map mixes features or tokens behind it.
        range: without a head, an interval that holds every value of the output (theorem C1),
            whatever precedes the LayerNorm.
    """

    features: int
    head: bool
    range: Pair | None = None


@dataclass(frozen=True)
class Structure:
    """smoothness: "analytic" or "piecewise analytic" on all inputs (theorem D1), "constant", where
    the input does not reach the output, or "unknown"; readout: or None."""

    smoothness: str
    readout: Readout | None


def structure(graph: Graph) -> Structure:
    """What the graph of one model output, named "model", says of it."""
    value = graph.outputs["model"]
    kind = "constant"
    if value in reached(graph):
        kind = (
            smoothness(graph.functions() & set(FUNCTIONS))
            if _defined_everywhere(graph)
            else "unknown"
        )
    return Structure(kind, _readout(graph, value)[0])


def joined(graph: Graph, parts: Sequence[Structure]) -> Structure:
    """The same of all outputs together; `parts` are those of each, in order.

    The whole is no smoother than its roughest output. A readout is that of all outputs: every
    one of them behind a head, or every one in a row of `rows`.
    """
    kind = max((part.smoothness for part in parts), key=ROUGHNESS.index)
    found = {(p.readout.features, p.readout.head) for p in parts if p.readout is not None}
    bare = sum(map(len, rows(graph))) == len(parts)
    alike = len(found) == 1 and all(p.readout is not None for p in parts)
    (features, head), *_ = found or {(0, False)}
    return Structure(kind, Readout(features, head) if alike and (head or bare) else None)


def rows(graph: Graph) -> list[tuple[int, ...]]:
    """Entries of the output "model" that are, together and each once, all features of a row made
    by a LayerNorm without head: theorem C2 speaks of such outputs."""
    value = graph.outputs["model"]
    found: dict[Place, list[tuple[int, int]]] = {}
    for number in range(math.prod(graph.shape(value))):
        readout, place = _readout(graph, value, number)
        if readout is not None and not readout.head:
            node, entry = place
            row, feature = divmod(entry, readout.features)
            found.setdefault((node, row), []).append((feature, number))
    whole = [
        tuple(sorted(number for _, number in members))
        for (node, _), members in found.items()
        if sorted(f for f, _ in members) == list(range(graph.shape(node)[-1]))
    ]
    return sorted(whole)


def _defined_everywhere(graph: Graph) -> bool:
    """Whether roots, quotients and logarithms have positive arguments whatever the input is, as
    in softmax and in a LayerNorm with eps > 0; what else is applied must have a name."""
    signs = {0: 0}  # 2: positive for all inputs, 1: never negative, 0: not known
    for number, node in enumerate(graph.nodes, start=1):
        of = [signs[i] for i in node.inputs]
        if isinstance(node.primitive, Apply):
            function = node.primitive.function
            if function.name in NEED_POSITIVE and of[0] < 2:
                return False
            if function.name not in FUNCTIONS and not function.expression.is_polynomial(VARIABLE):
                return False
        signs[number] = _sign(node, of)
    return True


def _sign(node: Node, of: list[int]) -> int:
    """What is known of a value's sign from those of its inputs."""
    match node.primitive:
        case Apply(function):
            name = function.name
            positive = name in POSITIVE or (name in ("reciprocal", "rsqrt") and of[0] == 2)
            return 2 if positive else int(name in ("square", "abs", "relu", "sqrt"))
        case Gather(index):
            return min(of[0], 1) if bool((index < 0).any()) else of[0]
        case Affine(weight, scale, divisor, bias):
            parts = [p for p in (weight, scale, bias) if p is not None]
            if divisor < 0 or of[0] == 0 or any(bool((part < 0).any()) for part in parts):
                return 0
            kept = all(bool((p > 0).all()) for p in (weight, scale) if p is not None)
            lifted = bias is not None and bool((bias > 0).all())
            return 2 if lifted or (kept and of[0] == 2) else 1
    return max(of) if min(of) and not isinstance(node.primitive, Matmul) else min(of)


def _readout(graph: Graph, value: int, entry: int = 0) -> tuple[Readout | None, Place]:
    """Walk back from an output through linear maps; the output is gain z + offset, and z, an entry
    of what a LayerNorm makes, is where the walk ends."""
    gain, offset, head, nothing = Fraction(1), Fraction(0), False, (None, (0, 0))
    while value:
        node = graph.nodes[value - 1]
        match node.primitive:
            case Gather(index):
                entry = int(index.reshape(-1)[entry])
                if entry < 0:
                    return nothing
            case Affine(None, scale, divisor, bias):
                offset += gain * _at(bias, node.shape, entry, 0.0)
                gain *= _at(scale, node.shape, entry, 1.0) / Fraction(divisor)
            case Affine(weight, _, _, _):
                head, entry = True, entry // weight.shape[0] * weight.shape[1]
            case Matmul() if is_layer_norm(graph, value):
                features = node.shape[-1]
                bounds = None if head else _range(features, gain, offset)
                return Readout(features, head, bounds), (value, entry)
            case _:
                return nothing
        value = node.inputs[0]
    return nothing


def _at(part: np.ndarray | None, shape: tuple[int, ...], entry: int, default: float) -> Fraction:
    """One entry of a constant that broadcasts to a shape."""
    if part is None:
        return Fraction(default)
    return Fraction(float(np.broadcast_to(part, shape).reshape(-1)[entry]))


def _range(features: int, gain: Fraction, offset: Fraction) -> Pair:
    """offset +- |gain| sqrt(D - 1), rounded outward: theorem C1."""
    root = math.isqrt(features - 1)
    exact = root * root == features - 1
    reach = abs(gain) * (root if exact else Fraction(math.nextafter(math.sqrt(features - 1), 99)))
    lo, hi = float(offset - reach), float(offset + reach)
    lo = lo if Fraction(lo) <= offset - reach else math.nextafter(lo, -math.inf)
    return lo, hi if Fraction(hi) >= offset + reach else math.nextafter(hi, math.inf)
