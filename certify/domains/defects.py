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

The sum forgets that a product of matrices stretches less than their norms one by one, so the
errors are kept in an ellipsoid too (`ellipsoids.py`), which the Jacobians' centers map to
ellipsoids; only what is left of the Jacobians and the defects join as balls.

At last the backward pass of `adjoint.py` runs over these tubes, for an output of one entry.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from certify.domains import ellipsoids, jacobian, norms
from certify.domains.adjoint import Trace, output_error
from certify.domains.bottlenecks import Block, blocks
from certify.domains.sensitivity import block_jacobian
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Apply, Graph, Matmul, Node, Shape, step
from certify.rounding import unknown, up

Watch = Callable[[int, Node, list[TaylorModel], TaylorModel], None]
#: The degree in which the derivatives over a tube are enclosed.
BACK = 2
#: Bytes that one box may take, where nothing else is said, and one batch of boxes.
ROOM, BATCH = 2.0**32, 2.0**28


def sharpened(
    graph: Graph, boxes: Tensor, domain: Taylor, output: int, room: float = ROOM
) -> TaylorModel | None:
    """Enclose one value with errors carried from block to block.

    Args:
        graph: the function.
        boxes: (boxes, 1, 2).
        domain: its order is that of the polynomials.
        output: number of the value.
        room: bytes that one box may take.

    Returns:
        its Taylor model, with remainders inf where nothing was learned; None where the graph
        has too few bottlenecks, or one box takes more than the room.
    """
    parts = blocks(graph, output)
    if len(parts) < 3 or any(not graph.shape(n) for part in parts for n in part.nodes):
        return None
    each = box_bytes(graph, parts)
    if each > room:
        return None
    pieces = [_Walk(graph, domain, parts, b).end() for b in boxes.split(max(1, int(BATCH / each)))]
    names = ("coef", "rem", "lo", "hi", "norm")
    return TaylorModel(
        **{n: torch.cat([getattr(p, n) for p in pieces], int(n == "coef")) for n in names}
    )


def box_bytes(graph: Graph, parts: tuple[Block, ...]) -> int:
    """Rough memory of one box: the Jacobian of the largest value of any block and an ellipsoid,
    each with temporaries."""
    most = 1
    for part in parts[1:]:
        inputs = math.prod(graph.shape(part.start))
        largest = max(math.prod(graph.shape(n)) for n in part.nodes)
        most = max(most, inputs * (4 * largest + 6 * inputs))
    return 8 * most


class _Walk:
    """One batch of boxes on its way through the blocks; made, walked once and dropped."""

    def __init__(
        self, graph: Graph, domain: Taylor, parts: tuple[Block, ...], boxes: Tensor
    ) -> None:
        self.graph, self.domain, self.parts, self.boxes = graph, domain, parts, boxes
        self.trace = Trace(BACK, domain)
        self.usable = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        self.centers: dict[int, Tensor] = {}

    def end(self) -> TaylorModel:
        """The last block's end."""
        lift = self.domain.lift(self.boxes, self.graph.input_shape)
        state = through(self.graph, self.parts[0], lift, self.domain, self.trace.note)
        radius = state.norm.reshape(len(self.boxes), -1)
        shape = torch.diag_embed(ellipsoids.balls(radius, state.coef.shape[-1]))
        for part in self.parts[1:]:
            exact = tube(self.domain, state, torch.zeros_like(state.rem))
            end = through(self.graph, part, exact, self.domain, self._defects)
            around = tube(self.domain, state, state.rem, state.norm)
            loose = through(self.graph, part, around, self.domain, self._tubes)
            if not bool(torch.isfinite(state.norm).reshape(len(radius), -1).all(1).any()):
                # nothing is known here of any box, and no Jacobian will know more
                state = replace(end, rem=loose.rem + math.inf, norm=loose.norm + math.inf)
                continue
            j = block_jacobian(self.graph, part, self.trace, state)
            rem, norm, shape = carried(j, state, end, shape)
            rem, norm = norms.tighten(rem, norm)
            state = replace(end, rem=rem, norm=norm)
        output = self.parts[-1].end
        if math.prod(self.graph.shape(output)) == 1:
            error = output_error(self.graph, self.trace, output)
            error = torch.where(self.usable, error, math.inf)
            state = replace(state, rem=torch.fmin(state.rem, error.reshape(state.rem.shape)))
        return tube(self.domain, state, state.rem, state.norm)

    def _defects(
        self, number: int, node: Node, inputs: list[TaylorModel], value: TaylorModel
    ) -> None:
        """Note what one node adds by itself; a polynomial that forgot its inputs is a range over
        the segment's start alone, which says nothing of the true value."""
        self.trace.made[number], self.trace.rems[number] = (value.made, value.cut), value.rem
        if value.cut is not None:
            self.usable &= ~value.cut.flatten(1).any(1)
        self.centers.update((i, x.coef) for i, x in zip(node.inputs, inputs, strict=True))

    def _tubes(
        self, number: int, node: Node, inputs: list[TaylorModel], value: TaylorModel
    ) -> None:
        """Note the tubes around the polynomials of the walk without errors."""
        if isinstance(node.primitive, Apply | Matmul):
            for i, x in zip(node.inputs, inputs, strict=True):
                if i not in self.trace.tubes:
                    self.trace.tubes[i] = self.trace.tube(_about(x, self.centers[i]))


def _about(x: TaylorModel, coef: Tensor) -> TaylorModel:
    """The same around other polynomials: |v - q| <= |v - p| + sum |p_j - q_j|."""
    if torch.equal(x.coef, coef):
        return x
    away = (x.coef - coef).abs().sum(0)
    return replace(x, coef=coef, rem=unknown(up(x.rem + away, len(coef) + 3)))


def through(
    graph: Graph, part: Block, start: TaylorModel, domain: Taylor, watch: Watch
) -> TaylorModel:
    """The block's end for a given start."""
    values = {part.start: start}
    uses = Counter(i for n in part.nodes for i in graph.nodes[n - 1].inputs)
    for number in part.nodes:
        node = graph.nodes[number - 1]
        # Zeros are gathered from the input of the graph, whatever it is.
        inputs = [values[i] if i in values else _blank(start, graph.shape(i)) for i in node.inputs]
        values[number] = step(domain, node.primitive, *inputs)
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


def tube(domain: Taylor, at: TaylorModel, rem: Tensor, norm: Tensor | None = None) -> TaylorModel:
    """All p + d with |d| <= rem and rows || d || <= norm."""
    free = torch.full_like(rem, math.inf)
    around = TaylorModel(at.coef, rem, -free, free, norms.rows(rem) if norm is None else norm)
    lo, hi = domain.range(around)
    return replace(around, lo=lo, hi=hi)


def carried(
    j: jacobian.Jacobian, start: TaylorModel, end: TaylorModel, shape: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Bounds on the errors at the end of a block.

    Args:
        j: its Jacobian.
        start: with the errors at the block's start.
        end: with the block's defect as its remainder.
        shape: (boxes, n, n), an ellipsoid of the errors at its start.

    Returns:
        entry by entry, row by row, and an ellipsoid, as at the start.
    """
    error = start.norm.reshape(len(start.norm), -1)  # (boxes, rows)
    if j.owner is None:
        mine = error.reshape(len(error), *[1] * (j.row.ndim - 2), -1)
    else:
        mine = error[:, torch.from_numpy(j.owner.reshape(-1))].reshape(j.row.shape)
    ops = 2 * error.shape[1] + 4
    # (boxes, *lead, d, g, k) as matrices (d, k)
    stretch = jacobian.operator_norm(j.center.transpose(-2, -3))
    loose = up((j.row * mine).sum(-1) + end.norm, ops)
    norm = up(loose + (stretch * mine).sum(-1), ops)
    entry = (norms.rows(j.center) + j.entry) * mine.unsqueeze(-2)
    rem = up(entry.sum(-1) + end.rem, ops)

    x, rho = ellipsoids.image(j, shape)
    width = end.coef.shape[-1]
    rest = ellipsoids.balls(unknown(loose).reshape(len(loose), -1), width)
    shape = ellipsoids.total(x, rho, rest)
    at_most, rows = ellipsoids.lengths(shape, width)
    rem = torch.fmin(unknown(rem), at_most.reshape(rem.shape))
    return rem, torch.fmin(unknown(norm), rows.reshape(norm.shape)), shape
