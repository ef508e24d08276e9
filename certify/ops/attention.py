"""Softmax and scaled dot-product attention.

For up to `PAIRS` keys, softmax_i is 1 / (1 + sum over j != i of exp(x_j - x_i)): no product
of two enclosures, a denominator >= 1, and differences taken exactly before anything is
enclosed. That costs n^2 exponentials, so for more keys it is e_i / sum_j e_j with
e_j = exp(x_j - m) and m a mean of the row: n exponentials, one reciprocal and one product.
Softmax does not change when a number is subtracted from the whole row, so any m gives the
same function; the mean keeps the exponents small. Masked keys are dropped row by row, and
never stand in the graph as infinities.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from certify.graph import Affine, Rounded
from certify.ops.constants import exact, where
from certify.ops.context import CannotLower, Context, Tensor, Value
from certify.ops.elementwise import add, on, scale
from certify.ops.linear import product, swap
from certify.ops.reduce import axes, centered, last
from certify.ops.table import lowering

#: A mask that lowers scores by more than this is meant as minus infinity.
FAR = 100.0

#: Up to so many keys softmax is written with all differences of scores.
PAIRS = 8


def softmax_last(context: Context, scores: Tensor) -> Value:
    """Softmax over the last axis.

    Raises:
        CannotLower: every key of some row is masked.
    """
    x = context.value(scores)
    hidden = x.hidden if x.hidden is not None and x.hidden.any() else None
    if hidden is not None and hidden.all(axis=-1).any():
        raise CannotLower("every key of a row is masked, and softmax of nothing is not a number")
    x = context.wrap(x.number)
    if not x.shape or x.shape[-1] == 0:
        raise CannotLower("softmax over an empty axis")
    if x.shape[-1] == 1:
        return context.value(np.ones(x.shape))
    return (_by_pairs if x.shape[-1] <= PAIRS else _by_mean)(context, x, hidden)


def _by_pairs(context: Context, x: Value, hidden: np.ndarray | None) -> Value:
    n = x.shape[-1]
    ones, others = np.nonzero(~np.eye(n, dtype=bool))
    unit = np.eye(n)
    terms = context.affine(x, weight=unit[others] - unit[ones])
    if hidden is None:
        terms = context.apply("exp", terms)
    else:
        kept = ~hidden[..., ones] & ~hidden[..., others]
        terms = on(context, terms, kept, functools.partial(context.apply, "exp"))
    # a row of ones and no zeros: exp may overflow to infinity, and infinity times 0 is nan
    terms = context.rearrange(terms, lambda a: a.reshape(*x.shape, n - 1))
    rest = context.affine(terms, weight=np.ones((1, n - 1)), bias=1.0)
    out = context.apply("reciprocal", context.rearrange(rest, lambda a: a.reshape(x.shape)))
    return out if hidden is None else _zeroed(context, out, ~hidden)


def _by_mean(context: Context, x: Value, hidden: np.ndarray | None) -> Value:
    row = np.ones((1, x.shape[-1]))
    kept = np.ones(x.shape, bool) if hidden is None else ~hidden
    usual = kept & ~_far_below(context, x, kept)
    if usual.all():
        shifted = centered(context, x)
    else:
        # about the mean of some scores of the row: any number may be subtracted
        share = -1.0 / usual.sum(axis=-1, keepdims=True)
        mean = context.affine(_zeroed(context, x, usual), weight=row, scale=share)
        shifted = context.add(x, mean)
    exp = functools.partial(context.apply, "exp")
    terms = exp(shifted) if kept.all() else on(context, shifted, kept, exp)
    total = context.apply("reciprocal", context.affine(terms, weight=row))
    return context.multiply(terms, total)


def _far_below(context: Context, x: Value, kept: np.ndarray) -> np.ndarray:
    """Keys that a finite mask (such as -1e9) lowers so far that a mean must not see them.

    Only a hint: it chooses the number that is subtracted from a row, not the function.
    """
    number, nodes = x.number, context.builder.nodes
    while number and isinstance(nodes[number - 1].primitive, Rounded):
        number = nodes[number - 1].inputs[0]
    node = nodes[number - 1].primitive if number else None
    if not isinstance(node, Affine) or node.bias is None:
        return np.zeros(x.shape, bool)
    bias = np.broadcast_to(node.bias, x.shape)
    return bias < np.where(kept, bias, -np.inf).max(axis=-1, keepdims=True) - FAR


def _zeroed(context: Context, x: Value, kept: np.ndarray) -> Value:
    """`x` where `kept` holds, and 0 elsewhere."""
    index = np.where(kept, np.arange(kept.size).reshape(kept.shape), -1)
    return context.wrap(context.builder.gather(x.number, index))


@lowering("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def softmax(
    context: Context,
    self: Tensor,
    dim: int,
    dtype: Any = None,
    half_to_float: bool = False,
) -> Tensor:
    """Softmax over one axis, masked keys dropped."""
    moved = context.rearrange(self, lambda a: np.moveaxis(a, dim, -1))
    out = softmax_last(context, moved)
    return context.rearrange(out, lambda a: np.moveaxis(a, -1, dim))


@lowering("aten.log_softmax.int", "aten._log_softmax.default")
def log_softmax(
    context: Context,
    self: Tensor,
    dim: int,
    dtype: Any = None,
    half_to_float: bool = False,
) -> Tensor:
    """x - logsumexp(x) along one axis."""
    return add(context, self, scale(context, logsumexp(context, self, dim, True), -1))


@lowering("aten.logsumexp.default")
def logsumexp(context: Context, self: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """m + log(sum of exp(x - m)) with m a mean of the row, which cancels."""
    value = context.value(self)
    context.plain(value)
    dims = axes(dim, len(value.shape))
    flat = last(context, value, dims)
    row = np.ones((1, flat.shape[-1]))
    exp = context.apply("exp", centered(context, flat))
    mean = context.affine(flat, weight=row, divisor=flat.shape[-1])
    out = context.add(mean, context.apply("log", context.affine(exp, weight=row)))
    kept = [1 if i in dims else n for i, n in enumerate(value.shape)]
    shape = kept if keepdim else [n for i, n in enumerate(value.shape) if i not in dims]
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.scaled_dot_product_attention.default")
def attention(
    context: Context,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value.

    Without a scale it is the double 1 / math.sqrt(width), the number that torch computes.
    """
    if dropout_p:
        raise CannotLower(
            "the model was exported in train mode; call model.eval() and export it again"
        )
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (
            context.rearrange(t, lambda a: np.repeat(a, groups, axis=-3)) for t in (key, value)
        )
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = _times(context, product(context, query, swap(context, key)), factor)
    if is_causal:
        keep = np.tri(*scores.shape[-2:], dtype=bool)
        scores = where(context, keep, scores, -np.inf)
    if attn_mask is not None:
        if isinstance(attn_mask, np.ndarray) and attn_mask.dtype.kind == "b":
            scores = where(context, exact(attn_mask), scores, -np.inf)
        else:
            scores = context.add(scores, attn_mask)
    return product(context, softmax_last(context, scores), value)


_times = scale
