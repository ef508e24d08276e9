"""Matrix products: affine where one side is a constant matrix, bilinear otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value, bounded
from certify.ops.elementwise import add, scale
from certify.ops.reduce import total
from certify.ops.table import lowering


def swap(context: Context, x: Tensor) -> Tensor:
    """Exchange the last two axes."""
    return context.rearrange(x, lambda a: a.swapaxes(-1, -2))


def product(context: Context, x: Tensor, y: Tensor) -> Tensor:
    """x @ y for tensors of at least two axes; the leading axes broadcast."""
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"cannot multiply shapes {x.shape} and {y.shape}")
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = bounded((*lead, x.shape[-2], y.shape[-1]))
    if not isinstance(x, Value) and isinstance(y, Value) and math.prod(x.shape[:-2]) == 1:
        return swap(context, product(context, swap(context, y), swap(context, x)))
    if isinstance(y, Value) or math.prod(y.shape[:-2]) != 1:
        return context.wrap(context.builder.matmul(context.plain(x), context.plain(y)))
    out = context.affine(x, weight=y.reshape(y.shape[-2:]).T)
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.matmul.default", "aten.mm.default", "aten.bmm.default", "aten.mv.default")
def matmul(context: Context, self: Tensor, other: Any = None, **names: Tensor) -> Tensor:
    """Matrix product; a vector on the left is a row, on the right a column."""
    y = other
    for name in ("mat2", "vec"):
        y = names.get(name, y)
    left, right = len(self.shape) == 1, len(y.shape) == 1
    x = context.rearrange(self, lambda a: a[None]) if left else self
    y = context.rearrange(y, lambda a: a[:, None]) if right else y
    out = product(context, x, y)
    out = context.rearrange(out, lambda a: a[..., 0]) if right else out
    if left:
        out = context.rearrange(out, lambda a: a[0] if right else a[..., 0, :])
    return out


@lowering("aten.dot.default")
def dot(context: Context, self: Tensor, tensor: Tensor) -> Tensor:
    """Inner product of two vectors."""
    return matmul(context, self, tensor)


@lowering("aten.linear.default")
def linear(context: Context, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias."""
    if isinstance(weight, Value):
        out = matmul(context, input, swap(context, weight))
        return out if bias is None else add(context, out, bias)
    if isinstance(bias, Value):
        return context.add(context.affine(input, weight=weight), bias)
    return context.affine(input, weight=weight, **({} if bias is None else {"bias": bias}))


@lowering("aten.addmm.default", "aten.baddbmm.default", "aten.addmv.default")
def addmm(
    context: Context, self: Tensor, beta: Any = 1, alpha: Any = 1, **factors: Tensor
) -> Tensor:
    """beta * self + alpha * (product of two matrices)."""
    x, y = factors.values()
    out = matmul(context, x, y)
    out = out if alpha == 1 else scale(context, out, alpha)
    if beta == 0:
        return out
    return add(context, out, self if beta == 1 else scale(context, self, beta))


@lowering("aten.outer.default")
def outer(context: Context, self: Tensor, vec2: Tensor) -> Tensor:
    """Products of all pairs of entries of two vectors."""
    return scale(context, context.rearrange(self, lambda a: a[:, None]), vec2)


@lowering("aten.einsum.default")
def einsum(context: Context, equation: str, tensors: list[Tensor], path: Any = None) -> Tensor:
    """Einstein summation of one or two tensors, no letter twice in one of them.

    The letters of two tensors are sorted into those of both and of the result (batch), of
    one side only (rows, columns) and of both but not the result (summed); then it is a
    matrix product.
    """
    inputs, _, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if "->" not in equation or "." in equation or len(terms) not in (1, 2):
        raise CannotLower(f"einsum {equation!r} is not of the form 'ab,bc->ac'")
    if any(len(set(t)) != len(t) for t in [*terms, result]) or set(result) - set("".join(terms)):
        raise CannotLower(f"einsum {equation!r} repeats a letter or makes one up")
    if any(len(t.shape) != len(term) for t, term in zip(tensors, terms, strict=True)):
        raise ValueError("einsum letters do not fit the tensors")
    pairs = zip(terms, tensors, strict=True)
    letters = [pair for t, x in pairs for pair in zip(t, x.shape, strict=True)]
    sizes = dict(letters)
    if any(sizes[k] != n for k, n in letters):
        raise CannotLower(f"einsum {equation!r} broadcasts an axis of length 1")
    if len(terms) == 1:
        tensors, terms = [tensors[0], np.ones(())], [terms[0], ""]
    a, b = terms
    both = [k for k in a if k in b]
    batch, inner = [k for k in both if k in result], [k for k in both if k not in result]
    rows, columns = [k for k in a if k not in b], [k for k in b if k not in a]
    # a letter of one side that the result lacks is summed on that side first
    x, rows = _sum_out(context, tensors[0], a, rows, result)
    y, columns = _sum_out(context, tensors[1], b, columns, result)
    a, b = "".join(k for k in a if k in rows + both), "".join(k for k in b if k in columns + both)
    x = _grouped(context, x, a, (batch, rows, inner), sizes)
    y = _grouped(context, y, b, (batch, inner, columns), sizes)
    if not isinstance(x, Value) and not isinstance(y, Value):
        x = context.value(x)
    out = product(context, x, y)
    order = batch + rows + columns
    full = [sizes[k] for k in order]
    return context.rearrange(
        out, lambda p: p.reshape(full).transpose([order.index(k) for k in result])
    )


def _grouped(context: Context, x: Tensor, term: str, groups: Any, sizes: Any) -> Tensor:
    letters = [k for group in groups for k in group]
    batch = [sizes[k] for k in groups[0]]
    shape = [*batch, *(math.prod(sizes[k] for k in group) for group in groups[1:])]
    return context.rearrange(
        x, lambda p: p.transpose([term.index(k) for k in letters]).reshape(shape)
    )


def _sum_out(
    context: Context, x: Tensor, term: str, own: list[str], result: str
) -> tuple[Tensor, list[str]]:
    gone = [i for i, k in enumerate(term) if k in own and k not in result]
    if not gone:
        return x, own
    return total(context, x, gone), [k for k in own if k in result]
