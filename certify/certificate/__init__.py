"""Certificates, schema certify-certificate/1: what they say, and how they are read and written.

Every number is an exact double, written by `float.hex`. docs/trust.md specifies each field.
This package imports neither torch nor numpy, and the checker imports nothing else of `certify`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from theory.claims import UNKNOWN, Facts

SCHEMA = "certify-certificate/1"
ALL = "all"  # the outputs that a bundle is about
BUNDLE = "certify-bundle/1"  # of all outputs of a model together
SLOPES = "slopes."  # where leaves and points of the derivative are, in the file
TRUST = (
    "Accepted by the checker, this certificate proves its numbers and verdicts for the graph and "
    "the target written in it, over the real numbers. Trusted: Arb, Z3, SymPy, theory/functions.py "
    "and the expression reader, certify/certificate.py and certify/checker/. That the graph means "
    "what the model file means is tested, not proved. Nothing is said of float32 execution."
)

Pair = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """One value of the graph, a primitive of `certify.graph` applied to earlier values.

    Attributes:
        kind: gather, affine, add, matmul or apply.
        inputs: numbers of the values it reads; 0 is the input, node i computes value i + 1.
        shape: of the value.
        index: gather: flat places, -1 for zero.
        weight: affine: rows, or None.
        scale, bias: affine: flat, as many as the value has entries, or None.
        divisor: affine.
        function: apply: a name of `theory.functions.FUNCTIONS`, or an expression in x.
    """

    kind: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    index: tuple[int, ...] = ()
    weight: tuple[tuple[float, ...], ...] | None = None
    scale: tuple[float, ...] | None = None
    divisor: float = 1.0
    bias: tuple[float, ...] | None = None
    function: str = ""


@dataclass(frozen=True)
class Network:
    """The model as a function of one tensor; `output` is a value with one entry."""

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: int

    def shape(self, value: int) -> tuple[int, ...]:
        """Shape of a value."""
        return self.nodes[value - 1].shape if value else self.input_shape


class Leaf(NamedTuple):
    """A box, and closed intervals that hold every value there of model, target, model - target."""

    box: tuple[Pair, ...]
    model: Pair
    target: Pair
    difference: Pair


class Point(NamedTuple):
    """The same at one input."""

    at: tuple[float, ...]
    model: Pair
    target: Pair
    difference: Pair


class Cut(NamedTuple):
    """A box is cut in two at a place on one axis; both halves keep the place."""

    axis: int
    at: float


Tree = tuple[Cut | Leaf, ...]  # preorder: a cut, what is below it, what is above it


class Cell(NamedTuple):
    """What is stated of one cell; each pair is a lower and an upper bound.

    Attributes:
        box: the cell.
        range: no value of the model lies outside.
        variation, target_variation: of max - min over the cell.
        sup_error: of sup |model - target| over the cell.
    """

    box: tuple[Pair, ...]
    range: Pair
    variation: Pair
    target_variation: Pair
    sup_error: Pair


@dataclass(frozen=True)
class Stated:
    """What is stated: the cells, and bounds of sup |model - target| and of the target's total
    variation over all of them; `witness` is where the lower bound of the first is attained; of
    the model's least and greatest slope, infinite where nothing is said of them."""

    cells: tuple[Cell, ...]
    sup_error: Pair
    target_variation: Pair
    witness: tuple[float, ...] | None
    slopes: tuple[Pair, Pair] = (UNKNOWN, UNKNOWN)

    @property
    def facts(self) -> Facts:
        """What claims may speak of."""
        return Facts(
            self.sup_error,
            self.target_variation,
            [cell.variation for cell in self.cells],
            [cell.target_variation for cell in self.cells],
        )


@dataclass(frozen=True)
class Slopes:
    """Evidence for bounds on the model's derivative: leaves and points whose `model` bounds it.

    trees: one for every cell; points: for what slopes are reached.
    """

    trees: tuple[Tree, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Claim:
    """A claim of `theory.claims` by its label, its numbers by name, and its verdict."""

    label: str
    numbers: dict[str, float]
    verdict: str


@dataclass(frozen=True)
class Certificate:
    """Everything that the checker needs, and nothing that it trusts.

    Attributes:
        header: tool versions, model hash, trust statement: for people, not for the proof.
        network: the model.
        target: name and expression; `theory.expressions.parse` reads the expression.
        domain: a box.
        stated: the numbers.
        trees: one for every cell, its leaves as evidence.
        points: evidence for lower bounds.
        claims: with their verdicts.
        slopes: evidence about the derivative, if something is said of it.
        squares: of a bundle, where this is about the sum of the squares of all outputs' errors and
            not about one output: their targets; the network has as many outputs.
    """

    header: dict[str, Any]
    network: Network
    target: dict[str, str]
    domain: tuple[Pair, ...]
    stated: Stated
    trees: tuple[Tree, ...]
    points: tuple[Point, ...]
    claims: tuple[Claim, ...]
    slopes: Slopes | None = None
    squares: tuple[str, ...] = ()

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        trees = self.trees + (self.slopes.trees if self.slopes else ())
        return sum(isinstance(entry, Leaf) for tree in trees for entry in tree)

    @property
    def named_points(self) -> list[tuple[str, Point]]:
        """Every point with its place in the file."""
        slopes = self.slopes.points if self.slopes else ()
        named = (("points", self.points), (f"{SLOPES}points", slopes))
        return [(f"{name}[{i}]", point) for name, many in named for i, point in enumerate(many)]


#: What the sum of squares is compared with.
ZERO = {"name": "0", "expression": "0"}


class JointCell(NamedTuple):
    """What is stated of all outputs together on a cell: bounds on diameters, in the norm.

    Attributes:
        variation, target_variation: of the vector of outputs, and of the vector of targets.
        far, target_far: two inputs in the cell, points of every part, that show the lower bound;
            None where the outputs' own variations do.
    """

    variation: Pair
    target_variation: Pair
    far: tuple[tuple[float, ...], tuple[float, ...]] | None
    target_far: tuple[tuple[float, ...], tuple[float, ...]] | None


class Joint(NamedTuple):
    """What is stated of all outputs together: the cells, and bounds on the norm of the error and
    on the diameter of the targets' values over the domain."""

    cells: tuple[JointCell, ...]
    sup_error: Pair
    target_variation: Pair


@dataclass(frozen=True)
class Bundle:
    """All outputs of a model together.

    Attributes:
        header: as of a certificate.
        norm: of `theory.norms.NORMS`.
        parts: a certificate for every output, with the same domain and cells and no claims.
        squares: one for the sum of the squares of all errors, or None.
        stated: the numbers in the norm.
        claims: about them, with their verdicts.
    """

    header: dict[str, Any]
    norm: str
    parts: tuple[Certificate, ...]
    squares: Certificate | None
    stated: Joint | None
    claims: tuple[Claim, ...]

    @property
    def network(self) -> Network:
        """The model with all its outputs."""
        whole = self.parts[0].network
        *nodes, entry = whole.nodes
        return Network(whole.input_shape, tuple(nodes), entry.inputs[0])

    @property
    def every(self) -> list[tuple[str, Certificate]]:
        """All that has to be proved, with its place in the file."""
        named = [(f"parts[{i}]", part) for i, part in enumerate(self.parts)]
        return named + ([("squares", self.squares)] if self.squares else [])

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return sum(part.leaves for _, part in self.every)

    @property
    def facts(self) -> Facts:
        """What claims may speak of."""
        cells = self.stated.cells
        own, theirs = ([getattr(c, n) for c in cells] for n in JointCell._fields[:2])
        return Facts(self.stated.sup_error, self.stated.target_variation, own, theirs)


def entry_of(network: Network, number: int) -> Network:
    """The same with one entry of its output as output."""
    entry = Node("gather", (network.output,), (1,), index=(number,))
    return Network(network.input_shape, (*network.nodes, entry), len(network.nodes) + 1)
