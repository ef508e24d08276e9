"""How far rounding and truncation can have carried the output: one pass backward.

Let p_v be the polynomials of a forward pass and v the true values, e_v = v - p_v. A primitive
maps the polynomials of its inputs to within made_v of p_v, so with secant slopes S

    e_v = S_v e_inputs + d_v,      |d_v| <= made_v,

where S_v is the exact linear map (gather, affine, add), f' at some point between p and v
(apply), or the other factor at the midpoint of p and v (matmul):
(P + e)(Q + e') - P Q = e (Q + e'/2) + (P + e/2) e'. Unrolled, the output's error is
sum_v g_v . d_v with g_v the product of the slopes from v to the output: the adjoint. The
adjoint is enclosed by polynomials of low order (lean.py), run backward over *tubes* that contain
every point between p and v. Errors are then stretched by the true sensitivity, not by the product
of absolute values along the way.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from certify.domains import norms, series
from certify.domains.expansions import Kinked, Smooth, rule
from certify.domains.lean import Lean, Slope, swapped
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Add, Affine, Apply, Gather, Graph, Matmul, Node, Rounded, Shape
from certify.rounding import above, below, unknown, up


class Trace:
    """What the backward pass needs of a forward pass: tubes and the errors made on the way."""

    def __init__(self, order: int, forward: Taylor) -> None:
        self.domain = Taylor(min(order, forward.order), forward.variables)
        self.lean = Lean(self.domain.basis)
        self.forward = forward.basis
        self.tubes: dict[int, TaylorModel] = {}
        self.made: dict[int, tuple[Tensor | None, Tensor | None]] = {}
        self.rems: dict[int, Tensor] = {}
        self.start: Tensor | None = None  # the input's remainder, if it has one

    def note(self, number: int, node: Node, inputs: list[TaylorModel], value: TaylorModel) -> None:
        """Record one node; inputs of linear primitives are not needed."""
        self.made[number] = value.made, value.cut
        self.rems[number] = value.rem
        for i, x in zip(node.inputs, inputs, strict=True):
            if i == 0 and bool((x.rem != 0).any()):
                self.start = x.rem
        if isinstance(node.primitive, Apply | Matmul):
            for i, x in zip(node.inputs, inputs, strict=True):
                if i not in self.tubes:
                    self.tubes[i] = self.tube(x)

    def slope(self, argument: int, how: Smooth) -> Slope:
        """f' over the tube of a value."""
        return self.lean.slope(how, self.tubes[argument])

    def tube(self, x: TaylorModel) -> TaylorModel:
        """All p + d with |d| <= rem, at the backward pass's order: the true range is dropped."""
        n = self.domain.basis.count()
        down, top = series.span(x.coef, self.forward)
        lo, hi = below(below(x.coef[0] - down) - x.rem), above(above(x.coef[0] + top) + x.rem)
        tail = x.coef[n:].abs().sum(0)
        rem = up(x.rem + tail, len(x.coef) + 2)
        return TaylorModel(x.coef[:n], rem, lo, hi, norms.rows(rem))


def output_error(graph: Graph, trace: Trace, output: int) -> Tensor:
    """Bound |true - polynomial| of one output over every box.

    Args:
        graph: the function.
        trace: a forward pass over it, noted node by node.
        output: a value with a single entry.

    Returns:
        (boxes,), inf where nothing was learned.
    """
    return weighted_error(graph, trace, output, torch.ones_like(trace.rems[output]))


def weighted_error(graph: Graph, trace: Trace, output: int, start: Tensor) -> Tensor:
    """`output_error` of the sum of start times the entries of a value, start (boxes, *shape)."""
    lean, none = trace.lean, torch.zeros_like(start)
    unit = torch.zeros((lean.basis.count(), *start.shape), dtype=start.dtype, device=start.device)
    unit[0] = start
    adjoint = {output: Slope(unit, none, norms.rows(none))}
    total = torch.zeros(len(start), dtype=start.dtype, device=start.device)

    def charged(total: Tensor, g: Slope, error: Tensor) -> Tensor:
        share = (g.size() * error).reshape(len(total), -1)
        return up(total + share.sum(1), share.shape[1] + 2)

    for number in range(output, 0, -1):
        if number not in adjoint:
            continue
        g = adjoint.pop(number)
        made, cut = trace.made[number]
        if made is not None:
            total = charged(total, g, made)
        lost = cut is not None and bool(cut.any())
        g = g.masked(cut) if lost else g
        node = graph.nodes[number - 1]
        for i, part in _backward(trace, graph, node, g):
            if lost and isinstance(node.primitive, Apply):
                part = part.masked(cut)  # 0 times an unknown slope is 0
            if i == 0 and trace.start is not None:
                # The input's own remainder: boxes at order 0, and roundings of rad.
                total = charged(total, part, trace.start)
            if i:
                adjoint[i] = lean.add(adjoint[i], part) if i in adjoint else part
    return unknown(total)


def _backward(trace: Trace, graph: Graph, node: Node, g: Slope) -> list[tuple[int, Slope]]:
    """The adjoint of every input of one node."""
    lean = trace.lean
    first = node.inputs[0]
    match node.primitive:
        case Gather():
            return [(first, _scatter(lean, node.primitive, graph.shape(first), g))]
        case Affine(weight, scale, divisor, _):
            if scale is not None or divisor != 1:
                g = lean.affine(Affine(None, scale, divisor, None), g)
            return [(first, g if weight is None else lean.affine(_transposed(node.primitive), g))]
        case Add():
            return [(i, g) for i in node.inputs]
        case Matmul():
            x, y = (trace.tubes[i] for i in node.inputs)
            parts = [lean.matmul(g, swapped(y)), lean.matmul(swapped(x), g)]
            if not all(bool(torch.isfinite(p.rem.sum())) for p in parts):
                blank = (g.coef == 0).all(0) & (g.rem == 0)  # 0 times an unknown factor is 0
                zeros = blank.all(-1, keepdim=True), blank.all(-2, keepdim=True)
                parts = [p.masked(z.expand(p.rem.shape)) for p, z in zip(parts, zeros, strict=True)]
            return list(zip(node.inputs, parts, strict=True))
        case Apply(function):
            how = rule(function)
            if isinstance(how, Kinked):
                return [(first, lean.times(lean.side(how, trace.tubes[first]), g))]
            return [(first, lean.times(trace.slope(first, how), g))]
        case Rounded():
            return [(first, g)]
    raise TypeError(f"{node.primitive!r} is not a primitive")


@functools.lru_cache(maxsize=4096)
def _transposed(node: Affine) -> Affine:
    return Affine(weight=np.ascontiguousarray(node.weight.T))


@functools.lru_cache(maxsize=4096)
def _uses(node: Gather, shape: Shape) -> Gather:
    """For every entry of the input the places it was copied to, padded with -1."""
    flat = node.index.reshape(-1)
    places: list[list[int]] = [[] for _ in range(int(np.prod(shape)))]
    for place, source in enumerate(flat.tolist()):
        if source >= 0:
            places[source].append(place)
    most = max(1, max(map(len, places), default=1))
    table = np.array([p + [-1] * (most - len(p)) for p in places], dtype=np.int64)
    return Gather(table.reshape(*shape) if most == 1 else table.reshape(*shape, most))


@functools.lru_cache(maxsize=4096)
def _sum(most: int, shape: Shape) -> tuple[Affine, Gather]:
    index = np.arange(int(np.prod(shape))).reshape(shape)
    return Affine(weight=np.ones((1, most))), Gather(index)


def _scatter(lean: Lean, node: Gather, shape: Shape, g: Slope) -> Slope:
    """The transpose of a gather: every input entry collects from the places it went to."""
    uses = _uses(node, shape)
    g = lean.gather(uses, g)
    if uses.index.shape == shape:
        return g
    add, reshape = _sum(uses.index.shape[-1], shape)
    return lean.gather(reshape, lean.affine(add, g))
