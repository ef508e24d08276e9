"""Bounds on the distance of executions from the real function, by the real adjoint."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from certify.domains import norms
from certify.domains.adjoint import Trace, output_error, weighted_error
from certify.domains.expansions import Kinked, Smooth, rule
from certify.domains.lean import Slope
from certify.domains.taylor import Taylor, TaylorModel
from certify.float32.deviation import Deviation, Pair, bent
from certify.graph import Apply, Graph, Matmul, Node, Rounded, enclose

WIDE = 2.0**-11  # an offset above this part of its value's size is worth a pass
GROWTH = 3.0  # ... if it has grown so much since the last one
MOST = 1024  # values with more entries are left as they are
CHUNK = 2**18  # boxes times entries times entries of one pass


class Executions(Trace):
    """A trace of real values whose errors are those of executions in float32; it sharpens."""

    def __init__(self, graph: Graph, order: int, forward: Taylor) -> None:
        super().__init__(order, forward)
        self.graph = graph
        self.level: Tensor | None = None
        self.slopes: dict[tuple[int, Smooth], Slope] = {}
        curved = [n for n in graph.nodes if isinstance(n.primitive, Apply | Matmul)]
        self.readers = Counter(i for node in curved for i in node.inputs)
        self.passes = 0

    def watch(self, number: int, node: Node, inputs: list[Pair], value: Pair) -> Pair | None:
        """Record one node, and sharpen its offset where that is worth a pass."""
        self.note(number, node, [x.real for x in inputs], value.real)
        self.start = None  # the input is the same
        self.made[number] = value.made, None
        how = rule(node.primitive.function) if isinstance(node.primitive, Apply) else None
        if isinstance(how, Kinked):
            self.made[number] = self._one_sided(node.inputs[0], how, inputs[0]), None
        if isinstance(node.primitive, Rounded):
            return self._sharper(number, value)
        return None

    def slope(self, argument: int, how: Smooth) -> Slope:
        """f' over the tube of a value, computed once."""
        key = argument, how
        if key not in self.slopes:
            self.slopes[key] = super().slope(argument, how)
        return self.slopes[key]

    def _one_sided(self, argument: int, how: Kinked, x: Pair) -> Tensor:
        """Make the backward pass take the slope of one side, if nothing else reads the tube."""
        tube = self.tubes[argument]
        right, rest = bent(how, (tube.lo, tube.hi), x.off.rem)
        if self.readers[argument] > 1:
            # Across the kink the pass takes all slopes between both, and secants have those.
            return rest.masked_fill((tube.lo < 0) & (tube.hi > 0), 0.0)
        lo = torch.where(right, tube.lo.clamp(min=0), tube.lo)
        hi = torch.where(right, tube.hi, tube.hi.clamp(max=0))
        self.tubes[argument] = replace(tube, lo=lo, hi=torch.maximum(lo, hi))
        return rest

    def _sharper(self, number: int, value: Pair) -> Pair | None:
        off, boxes = value.off, len(value.off.rem)
        if off.rem[0].numel() > MOST:
            return None
        top = off.rem.reshape(boxes, -1).amax(1)
        size = torch.maximum(value.real.lo.abs(), value.real.hi.abs()).reshape(boxes, -1).amax(1)
        level = torch.zeros_like(top) if self.level is None else self.level
        if not bool(((top > WIDE * size) & (top > GROWTH * level)).any()):
            return None
        self.passes += 1
        rem = torch.fmin(off.rem, self._entries(number, off).reshape(off.rem.shape))
        self.level = rem.reshape(boxes, -1).amax(1)
        norm = torch.fmin(off.norm, norms.rows(rem))
        return replace(value, off=replace(off, rem=rem, lo=-rem, hi=rem, norm=norm))

    def _entries(self, number: int, off: TaylorModel) -> Tensor:
        """A bound for every entry of a value, (boxes, entries)."""
        entries, boxes = off.rem[0].numel(), len(off.rem)
        per = max(1, CHUNK // (boxes * entries))
        parts = []
        for first in range(0, entries, per):
            chosen = torch.arange(first, min(first + per, entries))
            start = torch.zeros((len(chosen), entries), dtype=off.rem.dtype)
            start[torch.arange(len(chosen)), chosen] = 1.0
            start = start.repeat_interleave(boxes, 0).reshape(-1, *off.rem.shape[1:])
            bound = weighted_error(self.graph, _Repeated(self, len(chosen)), number, start)
            parts.append(bound.reshape(len(chosen), boxes).T)
        return torch.cat(parts, 1)


class _Repeated(Trace):
    """A trace with all its boxes so many times, one set after the other; made when first read."""

    def __init__(self, trace: Executions, times: int) -> None:
        super().__init__(trace.domain.order, trace.domain)
        self.made = _Lazy(lambda i: (_over(trace.made[i][0], times), None))
        self.tubes = _Lazy(lambda i: _over_model(trace.tubes[i], times))
        self._slopes = lambda argument, how: _over_slope(trace.slope(argument, how), times)

    def slope(self, argument: int, how: Smooth) -> Slope:
        """As the trace has it."""
        return self._slopes(argument, how)


class _Lazy(dict):
    def __init__(self, make) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: int):
        self[key] = self._make(key)
        return self[key]


def _over(t: Tensor | None, times: int, lead: int = 0) -> Tensor | None:
    return None if t is None else t.repeat(*[1] * lead, times, *[1] * (t.ndim - 1 - lead))


def _over_model(x: TaylorModel, times: int) -> TaylorModel:
    parts = [_over(t, times) for t in (x.rem, x.lo, x.hi, x.norm)]
    return TaylorModel(_over(x.coef, times, 1), *parts)


def _over_slope(x: Slope, times: int) -> Slope:
    return Slope(_over(x.coef, times, 1), _over(x.rem, times), _over(x.norm, times))


def deviation(graph: Graph, boxes: Tensor, *, order: int = 8, back: int = 2) -> Tensor:
    """Bound |execution - real value| of the output "model" on every box.

    Args:
        graph: with `Rounded` nodes, as `certify.float32.lowering` makes it.
        boxes: what the Taylor domain lifts.

    Returns:
        (boxes,); inf where nothing is known.
    """
    domain = Taylor(order)
    trace = Executions(graph, back, domain)
    pairs = enclose(graph, boxes, domain=Deviation(domain), watch=trace.watch)
    output = graph.outputs["model"]
    forward = pairs["model"].off.rem.reshape(-1)
    if output == 0:
        return forward
    error = torch.fmin(output_error(graph, trace, output), forward)
    return torch.where(error.isnan(), math.inf, error)
