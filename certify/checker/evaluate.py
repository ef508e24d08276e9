"""The five primitives and the target over polynomials with ball coefficients."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import product
from math import prod

from flint import arb, arb_mat, arb_poly

from certify.certificate import Certificate, Node
from certify.certificate.normalized import normalized
from theory.derivatives import derivative
from theory.expressions import meaning, parse
from theory.functions import evaluate
from theory.intervals import BOUNDS, Pair, outward
from theory.multipolynomials import Several
from theory.polynomials import NAN, UNIT, Polynomials, Slopes, ends, finite

Value = list[arb_poly]  # the entries of a tensor, flat
Enclosure = tuple[arb_poly, Pair]
NOTHING: list[Enclosure] = [(arb_poly([NAN]), (NAN, NAN))]  # nothing is known of it
MOST_JUMPS = 4  # arguments of relu of either sign, of which every choice is looked at


class Evaluator:
    """The model and the target of one certificate, ready to be evaluated again and again.

    slopes: evaluate the model's derivative instead, by the chain rule, and nothing of the target.
    Where arguments of relu may be of either sign, its slopes are 0 and 1 almost everywhere: every
    choice is evaluated, if they are few, and its slope is in [0, 1] otherwise.
    """

    def __init__(self, certificate: Certificate, slopes: bool = False):
        self.network, self.slopes = certificate.network, slopes
        self.variables = prod(self.network.input_shape)
        self.target = parse(certificate.target["expression"], self.variables)
        self.squares = [parse(text, self.variables) for text in certificate.squares]
        self.roots = {n: arb(square).sqrt() for n, square in normalized(self.network).items()}
        self.last_use = {i: n for n, node in enumerate(self.network.nodes, 1) for i in node.inputs}
        nodes = list(enumerate(self.network.nodes, 1))
        self.functions = {n: meaning(node.function) for n, node in nodes if node.kind == "apply"}
        weights = {n: node.weight for n, node in nodes if node.weight is not None}
        self.weights = {n: arb_mat([*map(list, w)]).transpose() for n, w in weights.items()}

    def on_box(self, box: list[Pair], order: int) -> tuple[list[list[Enclosure]], list[arb]]:
        """Enclose model, target and model - target over a box: for each one or more enclosures,
        which hold its values together: a polynomial in t, x = mid + rad t, and ends of its range,
        which may be exact where the polynomial's radius is not; and, in one variable, places
        inside where kinks may be."""
        algebra = self._algebra(order)
        mids, rads = zip(*(((lo + hi) / 2, (hi - lo) / 2) for lo, hi in box), strict=True)
        unit = [arb(0)] * self.variables
        x = [
            algebra.poly([mid, *unit[:i], rad, *unit[i + 1 :]] if order else [mid + UNIT * rad])
            for i, (mid, rad) in enumerate(zip(mids, rads, strict=True))
        ]
        model, target = self._run(algebra, x)
        if self.slopes:
            choices = [model]
            if 0 < algebra.jumps <= MOST_JUMPS:
                sides = product((-1, 1), repeat=algebra.jumps)
                choices = [self._run(Slopes(order, chosen), x)[0] for chosen in sides]
            values = [[(p, ends(p)) for p in choices], NOTHING, NOTHING]
        else:
            (a, b), (c, d) = ends(model), evaluate(self.target, BOUNDS, *(outward(*s) for s in box))
            last = (model - target, outward(a - d, b - c))
            values = [[(model, (a, b))], [(target, (c, d))], [last]]
        (lo, hi), mid, rad = box[0], mids[0], rads[0]
        places = sorted({float(t): (mid + rad * t).mid() for t in algebra.kinks}.items())
        return values, [x for _, x in places if lo < x < hi]

    def _algebra(self, order: int) -> Polynomials:
        if self.slopes:
            return Slopes(order)
        return Polynomials(order) if self.variables == 1 else Several(order, self.variables)

    def at(self, point: tuple[float | arb, ...]) -> tuple[arb, arb, arb]:
        """Enclose model, target and model - target at one input."""
        algebra = self._algebra(0)
        model, target = self._run(algebra, [algebra.poly([arb(x)]) for x in point])
        return model[0], target[0], model[0] - target[0]

    def _run(self, algebra: Polynomials, x: Value) -> tuple[arb_poly, arb_poly]:
        values: dict[int, tuple[Value, Value]] = {0: (x, [algebra.poly([arb(1)])])}
        for number, node in enumerate(self.network.nodes, 1):
            if number not in self.last_use and number != self.network.output:
                continue  # nothing reads it
            of, slopes = map(list, zip(*(values[i] for i in node.inputs), strict=True))
            value = self._step(algebra, number, node, of)
            if number in self.roots:  # theorem C1
                top = self.roots[number].upper()
                value = [algebra.tighter(p, lambda top=top: (-top, top)) for p in value]
            tangent = self._tangent(algebra, number, node, of, slopes) if self.slopes else []
            values[number] = value, tangent
            for i in node.inputs:
                if self.last_use[i] == number and i != self.network.output:
                    values.pop(i, None)
        value, tangent = values[self.network.output]
        if self.slopes:
            return tangent[0], arb_poly([NAN])
        if self.squares:  # not one output, but the sum of the squares of all errors
            errors = [v - algebra.function(f, *x) for v, f in zip(value, self.squares, strict=True)]
            value = [reduce(algebra.add, (algebra.mul(e, e) for e in errors))]
        return value[0], algebra.function(self.target, *x)

    def _tangent(
        self, algebra: Polynomials, number: int, node: Node, x: list[Value], dx: list[Value]
    ) -> Value:
        """The derivative of one node, from its inputs and theirs: the chain rule."""
        if node.kind == "matmul":
            parts = (self._step(algebra, number, node, of) for of in ([dx[0], x[1]], [x[0], dx[1]]))
            return [a + b for a, b in zip(*parts, strict=True)]
        if node.kind == "apply":
            slope = derivative(self.functions[number])
            steep = (algebra.function(slope, p) for p in x[0])
            return [algebra.mul(s, p) for s, p in zip(steep, dx[0], strict=True)]
        return self._step(algebra, number, replace(node, bias=None), dx)

    def _step(self, algebra: Polynomials, number: int, node: Node, x: list[Value]) -> Value:
        if node.kind == "gather":
            return [x[0][i] if i >= 0 else algebra.poly([]) for i in node.index]
        if node.kind in ("affine", "matmul") and not all(finite(p) for value in x for p in value):
            return [algebra.poly([NAN])] * prod(node.shape)  # 0 times nothing known is not known
        match node.kind:
            case "affine":  # (x @ weight.T) * scale / divisor + bias
                y = x[0]
                if node.weight is not None:
                    y = algebra.times_matrix(y, self.weights[number])
                factor = 1 / arb(node.divisor)
                if node.scale or node.divisor != 1:
                    scale = node.scale or (1.0,) * len(y)
                    y = [p * (s * factor) for p, s in zip(y, scale, strict=True)]
                bias = node.bias or (0.0,) * len(y)
                return [p + b for p, b in zip(y, bias, strict=True)]
            case "add":
                return [a + b for a, b in zip(*x, strict=True)]
            case "matmul":
                rows, inner = self.network.shape(node.inputs[0])[-2:]
                return algebra.matmul(*x, rows, inner, node.shape[-1])
            case "apply":
                return [algebra.function(self.functions[number], p) for p in x[0]]
        raise ValueError(f"{node.kind} is no primitive")
