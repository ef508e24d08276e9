"""How far rounding and truncation can have carried the output: one pass backward.

Let p_v be the polynomials of a forward pass and v the true values, e_v = v - p_v. A primitive
maps the polynomials of its inputs to within made_v of p_v, so with secant slopes S

    e_v = S_v e_inputs + d_v,      |d_v| <= made_v,

where S_v is the exact linear map (gather, affine, add), f' at some point between p and v
(apply), or the other factor at the midpoint of p and v (matmul):
(P + e)(Q + e') - P Q = e (Q + e'/2) + (P + e/2) e'. Unrolled, the output's error is
sum_v g_v . d_v with g_v the product of the slopes from v to the output: the adjoint. The
adjoint is enclosed by Taylor models of low order, run backward over *tubes* that contain every
point between p and v. Errors are then stretched by the true sensitivity, not by the product
of absolute values along the way.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from certify.domains import norms, series
from certify.domains.expansions import Kinked, Smooth, derivative, rule
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Add, Affine, Apply, Gather, Graph, Matmul, Node, Rounded, Shape
from certify.rounding import above, below, unknown, up


class Trace:
    """What the backward pass needs of a forward pass: tubes and the errors made on the way."""

    def __init__(self, order: int, forward: Taylor) -> None:
        self.domain = Taylor(min(order, forward.order), forward.variables)
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

    def slope(self, argument: int, how: Smooth) -> TaylorModel:
        """f' over the tube of a value."""
        return self.domain.smooth(derivative(how), self.tubes[argument])

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
    domain, one = trace.domain, torch.zeros_like(start)
    shape = domain.basis.count(), *one.shape
    unit = torch.zeros(shape, dtype=one.dtype, device=one.device)
    unit[0] = start
    adjoint = {output: TaylorModel(unit, one, start, start, norms.rows(one))}
    total = torch.zeros(len(one), dtype=one.dtype, device=one.device)
    for number in range(output, 0, -1):
        if number not in adjoint:
            continue
        g = adjoint.pop(number)
        made, cut = trace.made[number]
        if made is not None:
            lo, hi = domain.range(g)
            share = (torch.maximum(lo.abs(), hi.abs()) * made).reshape(len(total), -1)
            total = up(total + share.sum(1), share.shape[1] + 2)
        if cut is not None:
            g = _masked(g, ~cut)
        node = graph.nodes[number - 1]
        for i, part in _backward(trace, graph, node, g):
            if cut is not None and isinstance(node.primitive, Apply):
                part = _masked(part, ~cut)  # 0 times an unknown slope is 0
            if i == 0 and trace.start is not None:
                # The input's own remainder: boxes at order 0, and roundings of rad.
                lo, hi = domain.range(part)
                share = (torch.maximum(lo.abs(), hi.abs()) * trace.start).reshape(len(total), -1)
                total = up(total + share.sum(1), share.shape[1] + 2)
            if i:
                adjoint[i] = domain.add(adjoint[i], part) if i in adjoint else part
    return unknown(total)


def _backward(
    trace: Trace, graph: Graph, node: Node, g: TaylorModel
) -> list[tuple[int, TaylorModel]]:
    """The adjoint of every input of one node."""
    domain = trace.domain
    first = node.inputs[0]
    match node.primitive:
        case Gather():
            return [(first, _scatter(domain, node.primitive, graph.shape(first), g))]
        case Affine(weight, scale, divisor, _):
            if scale is not None or divisor != 1:
                g = domain.affine(Affine(None, scale, divisor, None), g)
            return [(first, g if weight is None else domain.affine(_transposed(node.primitive), g))]
        case Add():
            return [(i, g) for i in node.inputs]
        case Matmul():
            x, y = (trace.tubes[i] for i in node.inputs)
            left = domain.matmul(g, _swapped(y)), domain.matmul(_swapped(x), g)
            blank = (g.coef == 0).all(0) & (g.rem == 0)  # 0 times an unknown factor is 0
            rows, columns = blank.all(-1, keepdim=True), blank.all(-2, keepdim=True)
            parts = (
                _masked(p, ~b.expand(p.rem.shape))
                for p, b in zip(left, (rows, columns), strict=True)
            )
            return list(zip(node.inputs, parts, strict=True))
        case Apply(function):
            how = rule(function)
            if isinstance(how, Kinked):
                return [(first, _through(domain, how, trace.tubes[first], g))]
            return [(first, domain.times(trace.slope(first, how), g))]
        case Rounded():
            return [(first, g)]
    raise TypeError(f"{node.primitive!r} is not a primitive")


def _through(domain: Taylor, how: Kinked, tube: TaylorModel, g: TaylorModel) -> TaylorModel:
    """g times the slope of one side, or of either, over the tube."""
    low = torch.where(tube.hi <= 0, how.left, how.right)
    high = torch.where(tube.lo >= 0, how.right, how.left)
    rem = (high - low).abs() / 2  # slopes are few-bit numbers: exact
    coef = torch.zeros_like(g.coef)
    coef[0] = (low + high) / 2
    ends = torch.minimum(low, high), torch.maximum(low, high)
    return domain.times(TaylorModel(coef, rem, *ends, norms.rows(rem)), g)


def _masked(g: TaylorModel, keep: Tensor) -> TaylorModel:
    """g, exactly 0 where keep is not set."""
    lost = ~keep
    if not bool(lost.any()):
        return g
    parts = {n: getattr(g, n).masked_fill(lost, 0.0) for n in ("coef", "rem", "lo", "hi")}
    return replace(g, **parts, norm=torch.fmin(g.norm, norms.rows(parts["rem"])))


def _swapped(x: TaylorModel) -> TaylorModel:
    """The transpose of the last two axes."""
    parts = {n: getattr(x, n).transpose(-1, -2) for n in ("coef", "rem", "lo", "hi")}
    return TaylorModel(**parts, norm=norms.rows(parts["rem"]))


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


def _scatter(domain: Taylor, node: Gather, shape: Shape, g: TaylorModel) -> TaylorModel:
    """The transpose of a gather: every input entry collects from the places it went to."""
    uses = _uses(node, shape)
    g = domain.gather(uses, g)
    if uses.index.shape == shape:
        return g
    add, reshape = _sum(uses.index.shape[-1], shape)
    return domain.gather(reshape, domain.affine(add, g))
