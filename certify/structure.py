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
    return Structure(kind, _readout(graph, value))


def joined(graph: Graph, parts: Sequence[Structure]) -> Structure:
    """The same of all outputs together; `parts` are those of each, in order.

    The whole is no smoother than its roughest output. A readout is that of all outputs: every
    one of them behind a head, or every one in a row of `rows`.
    """
    kind = max((part.smoothness for part in parts), key=ROUGHNESS.index)
    found = {(p.readout.features, p.readout.head) for p in parts if p.readout is not None}
    bare = sum(len(row.numbers) for row in rows(graph)) == len(parts)
    alike = len(found) == 1 and all(p.readout is not None for p in parts)
    (features, head), *_ = found or {(0, False)}
    return Structure(kind, Readout(features, head) if alike and (head or bare) else None)


@dataclass(frozen=True)
class Row:
    """Outputs that are all features z of one row that a LayerNorm makes: gain z + offset each.

    numbers: of the outputs; gains, offsets: in the same order, exact.
    """

    numbers: tuple[int, ...]
    gains: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]


def rows(graph: Graph) -> list[Row]:
    """Entries of the output "model" that are, together and each once, all features of a row made
    by a LayerNorm without head: theorem C2 speaks of such outputs."""
    value = graph.outputs["model"]
    found: dict[tuple[int, int], dict[int, tuple[int, End]]] = {}
    for number in range(math.prod(graph.shape(value))):
        end = _end(graph, value, number)
        if end is not None and not end.head:
            row, feature = divmod(end.entry, end.features)
            members = found.setdefault((end.value, row), {})
            members[-1 if feature in members else feature] = number, end
    whole = []
    for (node, _), members in found.items():
        if sorted(members) == list(range(graph.shape(node)[-1])):
            numbers, ends = zip(*sorted(members.values(), key=lambda m: m[0]), strict=True)
            parts = (tuple(getattr(end, name) for end in ends) for name in ("gain", "offset"))
            whole.append(Row(numbers, *parts))
    return sorted(whole, key=lambda row: row.numbers)


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


@dataclass(frozen=True)
class End:
    """Where a walk back from an output ends: an entry of the value that a LayerNorm makes; without
    a head the output is gain times it, plus offset."""

    value: int
    entry: int
    features: int
    head: bool
    gain: Fraction
    offset: Fraction


def _readout(graph: Graph, value: int) -> Readout | None:
    end = _end(graph, value)
    if end is None:
        return None
    bounds = None if end.head else _range(end.features, end.gain, end.offset)
    return Readout(end.features, end.head, bounds)


def _end(graph: Graph, value: int, entry: int = 0) -> End | None:
    """Walk back from an output through linear maps to a LayerNorm."""
    gain, offset, head = Fraction(1), Fraction(0), False
    while value:
        node = graph.nodes[value - 1]
        match node.primitive:
            case Gather(index):
                entry = int(index.reshape(-1)[entry])
                if entry < 0:
                    return None
            case Affine(None, scale, divisor, bias):
                offset += gain * _at(bias, node.shape, entry, 0.0)
                gain *= _at(scale, node.shape, entry, 1.0) / Fraction(divisor)
            case Affine(weight, _, _, _):
                head, entry = True, entry // weight.shape[0] * weight.shape[1]
            case Matmul() if is_layer_norm(graph, value):
                return End(value, entry, node.shape[-1], head, gain, offset)
            case _:
                return None
        value = node.inputs[0]
    return None


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
