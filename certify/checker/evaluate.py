"""The five primitives and the target over polynomials with ball coefficients."""

from __future__ import annotations

from math import prod

from flint import arb, arb_mat, arb_poly

from certify.certificate import Certificate, Node
from theory.arb import bounds
from theory.expressions import parse
from theory.functions import FUNCTIONS
from theory.intervals import Pair, outward
from theory.polynomials import NAN, Polynomials, ends, finite

Value = list[arb_poly]  # the entries of a tensor, flat


class Evaluator:
    """The model and the target of one certificate, ready to be evaluated again and again."""

    def __init__(self, certificate: Certificate):
        self.network = certificate.network
        self.target = parse(certificate.target["expression"])
        self.last_use = {i: n for n, node in enumerate(self.network.nodes, 1) for i in node.inputs}
        self.weights = {
            n: arb_mat([list(row) for row in node.weight]).transpose()
            for n, node in enumerate(self.network.nodes, 1)
            if node.weight is not None
        }

    def on_box(self, lo: arb, hi: arb, order: int) -> tuple[list[tuple[arb_poly, Pair]], list[arb]]:
        """Enclose model, target and model - target over [lo, hi], of one variable.

        Returns:
            for each a polynomial in t, x = mid + rad t, and ends of its range, which may be
            exact where the polynomial's radius is not; places of (lo, hi) where kinks may be.
        """
        algebra = Polynomials(order)
        mid, rad = (lo + hi) / 2, (hi - lo) / 2
        model, target = self._run(algebra, arb_poly([mid, rad]))
        (a, b), (c, d) = ends(model), bounds(self.target, lo, hi)
        values = [(model, (a, b)), (target, (c, d)), (model - target, outward(a - d, b - c))]
        places = sorted({float(t): (mid + rad * t).mid() for t in algebra.kinks}.items())
        return values, [x for _, x in places if lo < x < hi]

    def at(self, point: tuple[float | arb, ...]) -> tuple[arb, arb, arb]:
        """Enclose model, target and model - target at one input."""
        (x,) = point
        model, target = self._run(Polynomials(0), arb_poly([arb(x)]))
        return model[0], target[0], model[0] - target[0]

    def _run(self, algebra: Polynomials, x: arb_poly) -> tuple[arb_poly, arb_poly]:
        values: dict[int, Value] = {0: [x]}
        for number, node in enumerate(self.network.nodes, 1):
            if number not in self.last_use and number != self.network.output:
                continue  # nothing reads it
            values[number] = self._step(algebra, number, node, [values[i] for i in node.inputs])
            for i in node.inputs:
                if self.last_use[i] == number and i != self.network.output:
                    values.pop(i, None)
        return values[self.network.output][0], algebra.function(self.target, x)

    def _step(self, algebra: Polynomials, number: int, node: Node, x: list[Value]) -> Value:
        if node.kind == "gather":
            return [x[0][i] if i >= 0 else arb_poly([]) for i in node.index]
        if node.kind in ("affine", "matmul") and not all(finite(p) for value in x for p in value):
            return [arb_poly([NAN])] * prod(node.shape)  # 0 times nothing known is not known
        match node.kind:
            case "affine":  # (x @ weight.T) * scale / divisor + bias
                y = x[0] if node.weight is None else _times_matrix(x[0], self.weights[number])
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
                return _matmul(algebra, *x, rows, inner, node.shape[-1])
            case "apply":
                expression = FUNCTIONS[node.function].expression
                return [algebra.function(expression, p) for p in x[0]]
        raise ValueError(f"{node.kind} is no primitive")


def _times_matrix(x: Value, matrix: arb_mat) -> Value:
    """Rows of x times the matrix, all coefficients of all rows as one product."""
    width, length = matrix.nrows(), max(1, max(p.length() for p in x))
    rows = [(c := p.coeffs()) + [0] * (length - len(c)) for p in x]
    flat = [row[k] for k in range(length) for row in rows]
    entries = (arb_mat(len(flat) // width, width, flat) * matrix).entries()
    size = len(entries) // length
    return [arb_poly(entries[i::size]) for i in range(size)]


def _matmul(algebra: Polynomials, x: Value, y: Value, rows: int, inner: int, cols: int) -> Value:
    """x[..., i, k] y[..., k, j], summed over k; the leading axes agree."""
    out = []
    for batch in range(len(x) // (rows * inner)):
        right = y[batch * inner * cols : (batch + 1) * inner * cols]
        for i in range(batch * rows, (batch + 1) * rows):
            row = x[i * inner : (i + 1) * inner]
            for j in range(cols):
                products = (a * b for a, b in zip(row, right[j::cols], strict=True))
                out.append(algebra.cut(sum(products, arb_poly([]))))
    return out
