"""Sums and means over axes: affine maps with a row of ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value, axis
from certify.ops.table import lowering


def axes(dim: Any, ndim: int) -> list[int]:
    """The axes meant by a `dim` argument; None and [] mean all of them."""
    dims = range(ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    return sorted({axis(d, ndim) for d in dims}) if ndim else []


def last(context: Context, x: Value, dims: list[int]) -> Value:
    """`x` with the axes `dims` merged into one last axis."""
    rest = [i for i in range(len(x.shape)) if i not in dims]
    count = math.prod(x.shape[i] for i in dims)
    shape = [x.shape[i] for i in rest]
    return context.rearrange(x, lambda a: a.transpose(rest + dims).reshape([*shape, count]))


def total(
    context: Context, x: Tensor, dims: list[int], *, keepdim: bool = False, mean: bool = False
) -> Tensor:
    """Sum (or mean) over axes.

    Raises:
        CannotLower: there is nothing to sum.
    """
    if isinstance(x, np.ndarray) and x.dtype.kind != "f" and not mean:
        return np.asarray(x.astype(np.int64).sum(axis=tuple(dims), keepdims=keepdim))
    value = context.value(x)
    flat = last(context, value, dims)
    count = flat.shape[-1]
    if not count:
        raise CannotLower("a sum or mean over an empty axis")
    out = flat
    if count > 1:
        out = context.affine(flat, weight=np.ones((1, count)), divisor=count if mean else 1.0)
    kept = [1 if i in dims else n for i, n in enumerate(value.shape)]
    shape = kept if keepdim else [n for i, n in enumerate(value.shape) if i not in dims]
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.sum.default", "aten.sum.dim_IntList")
def sum_(
    context: Context, self: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """Sum over axes, or over everything."""
    return total(context, self, axes(dim, len(self.shape)), keepdim=keepdim)


@lowering("aten.mean.default", "aten.mean.dim")
def mean(
    context: Context, self: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """Mean over axes, or over everything."""
    return total(context, self, axes(dim, len(self.shape)), keepdim=keepdim, mean=True)


@lowering("aten.cumsum.default")
def cumsum(context: Context, self: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Running sums along an axis."""
    if isinstance(self, np.ndarray) and self.dtype.kind != "f":
        return np.cumsum(self.astype(np.int64), axis=dim)
    value = context.value(self)
    moved = context.rearrange(value, lambda a: np.moveaxis(a, dim, -1))
    if moved.shape[-1] > 4096:
        raise CannotLower("running sums along an axis of more than 4096 entries")
    out = context.affine(moved, weight=np.tri(moved.shape[-1]))
    return context.rearrange(out, lambda a: np.moveaxis(a, -1, dim))


@lowering("aten.var.correction", "aten.var.dim", "aten.var.default")
def var(
    context: Context,
    self: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    correction: Any = None,
    keepdim: bool = False,
) -> Tensor:
    """Variance over axes: the mean square of the centered entries."""
    value = context.value(self)
    dims = axes(dim, len(value.shape))
    flat = last(context, value, dims)
    count = flat.shape[-1]
    less = correction if correction is not None else int(unbiased)
    if count <= less:
        raise CannotLower("a variance over too few entries")
    square = context.apply("square", centered(context, flat))
    out = context.affine(square, weight=np.ones((1, count)), divisor=count - less)
    kept = [1 if i in dims else n for i, n in enumerate(value.shape)]
    shape = kept if keepdim else [n for i, n in enumerate(value.shape) if i not in dims]
    return context.rearrange(out, lambda a: a.reshape(shape))


@lowering("aten.std.correction", "aten.std.dim", "aten.std.default")
def std(context: Context, self: Tensor, **arguments: Any) -> Tensor:
    """Standard deviation over axes: the root of the variance."""
    return context.apply("sqrt", var(context, self, **arguments))


@lowering("aten.linalg_vector_norm.default")
def vector_norm(
    context: Context,
    self: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """The 2-norm or 1-norm over axes."""
    if ord not in (1, 2):
        raise CannotLower(f"the norm of order {ord} is neither the 1-norm nor the 2-norm")
    parts = context.apply("abs" if ord == 1 else "square", self)
    out = total(context, parts, axes(dim, len(parts.shape)), keepdim=keepdim)
    return out if ord == 1 else context.apply("sqrt", out)


@lowering("aten.prod.default", "aten.prod.dim_int")
def prod(
    context: Context, self: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """Product over an axis, or of all entries: a tree of products of two."""
    value = context.value(self)
    dims = axes(dim, len(value.shape))
    kept = [1 if i in dims else n for i, n in enumerate(value.shape)]
    shape = kept if keepdim else [n for i, n in enumerate(value.shape) if i not in dims]
    out = last(context, value, dims)
    if not out.shape[-1]:
        raise CannotLower("a product over an empty axis")
    pieces = context.rearrange(out, lambda a: [a[..., i] for i in range(a.shape[-1])])
    while len(pieces) > 1:
        pairs = zip(pieces[::2], pieces[1::2], strict=False)
        odd = pieces[-1:] if len(pieces) % 2 else []
        pieces = [context.multiply(x, y) for x, y in pairs] + odd
    return context.rearrange(pieces[0], lambda a: a.reshape(shape))


def centered(context: Context, x: Value) -> Value:
    """x minus its mean over the last axis: the matrix n I - 1 with divisor n, exact."""
    count = x.shape[-1]
    if not 0 < count <= 8192:
        raise CannotLower(f"a mean is subtracted over an axis of {count} entries")
    weight = count * np.eye(count) - np.ones((count, count))
    return context.affine(x, weight=weight, divisor=count)
