"""Remainders of a deep graph, block by block: local defects stretched by true Jacobians.

Carried forward node by node, a remainder is stretched by a product of norms, a factor 1e2 to 1e3
in every half layer of a pretrained encoder. Here the graph is cut at bottlenecks. With
polynomials p at the start of a block, q at its end, the block's function F and the true start
x = p + e,

    F(x) - q = [F(p + e) - F(p)] + [F(p) - q].

The second bracket is the block's *defect*: the remainder of its own Taylor model, without any
incoming one. By the mean value theorem the first is J e, with J an average of the Jacobians of
F over the segment from p to x. That segment lies in the tube { p + d : || d_j || <= || e_j || for
all rows j }, over which the block's values are enclosed by Taylor models and its Jacobian by
`jacobian.py`: a set that is convex and so contains the average. Hence for every row r of the end

    || e'_r || <= sum_j || J[r, j] || || e_j || + || defect_r ||,

and likewise for every entry. Nothing here needs the tubes to be guessed: they come from the
block before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from certify.domains import ellipsoids, jacobian, norms
from certify.domains.adjoint import Trace
from certify.domains.bottlenecks import Block, blocks
from certify.domains.jacobian import Jacobian
from certify.domains.taylor import Taylor, TaylorModel, _centered
from certify.graph import Add, Affine, Apply, Gather, Graph, Matmul, Node, Shape, step
from certify.rounding import TINY, unknown, up

Watch = Callable[[int, Node, list[TaylorModel], TaylorModel], None]


def sharpened(graph: Graph, boxes: Tensor, domain: Taylor, output: int, log=None) -> TaylorModel | None:
    """Enclose one output with remainders carried from block to block.

    Returns:
        the output's Taylor model; None where the graph is a single block or some value is a
        scalar without an axis.
    """
    parts = blocks(graph, output)
    if len(parts) < 3 or any(not graph.shape(n) for part in parts for n in part.nodes):
        return None
    state = through(graph, parts[0], domain.lift(boxes, graph.input_shape), domain)
    s = torch.diag_embed(ellipsoids.balls(state.norm.reshape(len(boxes), -1), state.coef.shape[-1]))
    for part in parts[1:]:
        exact = _tube(domain, state, torch.zeros_like(state.rem), torch.zeros_like(state.norm))
        end = through(graph, part, exact, domain)
        trace = Trace(min(2, domain.order))
        tube = _tube(domain, state, state.rem, state.norm)
        loose = through(graph, part, tube, domain, trace.note)
        rem, norm, s = _carried(graph, part, trace, state, end, s)
        if log:
            log(part, state, end, loose, rem, norm)
        if torch.equal(loose.coef, end.coef):
            rem, norm = torch.fmin(rem, loose.rem), torch.fmin(norm, loose.norm)
        rem, norm = norms.tighten(rem, norm)
        state = replace(end, rem=rem, norm=norm, made=None, cut=None)
    lo, hi = domain.range(replace(state, lo=torch.full_like(state.rem, -torch.inf), hi=torch.full_like(state.rem, torch.inf)))
    return replace(state, lo=lo, hi=hi, total=None, row=None)


def through(
    graph: Graph, part: Block, start: TaylorModel, domain: Taylor, watch: Watch | None = None
) -> TaylorModel:
    """The block's end for a given start."""
    values = {part.start: start}
    uses = Counter(i for n in part.nodes for i in graph.nodes[n - 1].inputs)
    for number in part.nodes:
        node = graph.nodes[number - 1]
        # Zeros are gathered from the input of the graph, whatever it is.
        inputs = [values[i] if i in values else _blank(start, graph.shape(i)) for i in node.inputs]
        values[number] = step(domain, node.primitive, *inputs)
        if watch is not None:
            watch(number, node, inputs, values[number])
        for i in node.inputs:
            uses[i] -= 1
            if not uses[i]:
                values.pop(i, None)
    return values[part.end]


def _blank(like: TaylorModel, shape: Shape) -> TaylorModel:
    zero = like.rem.new_zeros((len(like.rem), *shape))
    coef = zero.expand(len(like.coef), *zero.shape)
    return TaylorModel(coef, zero, zero, zero, norms.rows(zero))


def _tube(domain: Taylor, at: TaylorModel, rem: Tensor, norm: Tensor) -> TaylorModel:
    """All p + d with |d| <= rem and rows || d || <= norm."""
    free = torch.full_like(rem, torch.inf)
    tube = TaylorModel(at.coef, rem, -free, free, norm)
    lo, hi = domain.range(tube)
    return replace(tube, lo=lo, hi=hi)


def _carried(
    graph: Graph, part: Block, trace: Trace, start: TaylorModel, end: TaylorModel, s
) -> tuple[Tensor, Tensor]:
    """Bounds on the errors at the end of a block, entry by entry and row by row."""
    j = slopes(graph, part, trace, len(start.rem))
    error = start.norm.reshape(len(start.norm), -1)  # (boxes, rows)
    k = start.coef.shape[-1]
    if j.owner is not None:
        place = torch.from_numpy(j.owner.reshape(-1))
        mine = error[:, place].reshape(j.row.shape)
    else:
        mine = error.reshape(len(error), *[1] * (j.row.ndim - 2), -1)
    ops = 2 * error.shape[1] + 4
    # (boxes, *lead, d, g, k) to matrices (d, k)
    length = jacobian.operator_norm(j.center.transpose(-2, -3))
    loose = unknown(up((j.row * mine).sum(-1) + end.norm, ops))
    norm = unknown(up(loose + (length * mine).sum(-1), ops))
    x, rho = ellipsoids.image(j, s)
    width = end.coef.shape[-1]
    s = ellipsoids.total(x, rho, ellipsoids.balls(loose.reshape(len(loose), -1), width))
    rem2, norm2 = ellipsoids.lengths(s, width)
    entry = (norms.rows(j.center) + j.entry) * mine.unsqueeze(-2)
    rem = unknown(up(entry.sum(-1) + end.rem, ops))
    print("   eps max %.1e  N %.1e ell %.1e"%(j.row.max(), norm.max(), norm2.max()), "loose %.1e"%loose.max())
    rem = torch.fmin(rem, rem2.reshape(rem.shape))
    norm = torch.fmin(norm, norm2.reshape(norm.shape))
    return rem, norm, s


def slopes(graph: Graph, part: Block, trace: Trace, boxes: int) -> Jacobian:
    """The Jacobian of a block's end with respect to its start, over the tubes of a trace."""
    shape = graph.shape(part.start)
    rows = 1
    for n in shape[:-1]:
        rows *= n
    like = next(iter(trace.tubes.values())).rem if trace.tubes else torch.zeros((), dtype=torch.float64)
    values = {part.start: jacobian.identity(boxes, shape, like)}
    uses = Counter(i for n in part.nodes for i in graph.nodes[n - 1].inputs)
    for number in part.nodes:
        node = graph.nodes[number - 1]
        x = [values[i] for i in node.inputs]
        match node.primitive:
            case Gather():
                out = jacobian.gather(node.primitive, x[0], graph.shape(node.inputs[0]), rows)
            case Affine():
                out = jacobian.affine(node.primitive, x[0])
            case Add():
                out = jacobian.add(*x, rows)
            case Matmul():
                hulls = [_centered(trace.tubes[i]) for i in node.inputs]
                out = jacobian.matmul(*x, *hulls, rows)
            case Apply():
                out = jacobian.apply(_slope(node.primitive, trace, node.inputs[0]), x[0])
        values[number] = out
        for i in node.inputs:
            uses[i] -= 1
            if not uses[i]:
                values.pop(i, None)
    return values[part.end]


def _slope(node: Apply, trace: Trace, number: int) -> tuple[Tensor, Tensor]:
    """Center and radius of the derivative over a tube."""
    from certify.domains.expansions import Kinked, derivative, rule

    how, tube = rule(node.function), trace.tubes[number]
    if isinstance(how, Kinked):
        low = torch.where(tube.hi <= 0, how.left, how.right)
        high = torch.where(tube.lo >= 0, how.right, how.left)
        low, high = torch.minimum(low, high), torch.maximum(low, high)
        return (low + high) / 2, (high - low) / 2
    steep = trace.domain.smooth(derivative(how), tube)
    lo, hi = trace.domain.range(steep)
    return _centered(replace(steep, lo=lo, hi=hi))
