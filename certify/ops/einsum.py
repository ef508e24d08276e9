"""Einstein summation and what is written with it."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from certify.ops.context import CannotLower, Context, Tensor, Value
from certify.ops.elementwise import add
from certify.ops.linear import product
from certify.ops.reduce import total
from certify.ops.table import lowering


@lowering("aten.einsum.default")
def einsum(context: Context, equation: str, tensors: list[Tensor], path: Any = None) -> Tensor:
    """Einstein summation, no letter twice in one tensor; two tensors at a time."""
    terms, result = _terms(equation, [len(t.shape) for t in tensors])
    if any(len(set(t)) != len(t) for t in [*terms, result]) or set(result) - set("".join(terms)):
        raise CannotLower(f"einsum {equation!r} repeats a letter or makes one up")
    pairs = zip(terms, tensors, strict=True)
    letters = [pair for t, x in pairs for pair in zip(t, x.shape, strict=True)]
    sizes = dict(letters)
    if any(sizes[k] != n for k, n in letters):
        raise CannotLower(f"einsum {equation!r} broadcasts an axis of length 1")
    if len(terms) == 1:
        tensors, terms = [tensors[0], np.ones(())], [terms[0], ""]
    out, term = tensors[0], terms[0]
    for place in range(1, len(terms)):
        later = set("".join([*terms[place + 1 :], result]))
        wanted = "".join(k for k in dict.fromkeys(term + terms[place]) if k in later)
        wanted = result if place == len(terms) - 1 else wanted
        out = _two(context, (out, tensors[place]), (term, terms[place], wanted), sizes)
        term = wanted
    return out


def _terms(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of each tensor and of the result, the dots spelled out."""
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ndims):
        raise ValueError("einsum has as many terms as tensors")
    spare = [k for k in string.ascii_letters if k not in equation]
    counts = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    if any(c < 0 or (c > 0 and "..." not in t) for t, c in zip(terms, counts, strict=True)):
        raise ValueError("einsum letters do not fit the tensors")
    dots = "".join(spare[: max(counts, default=0)])
    if not arrow:
        once = [k for k in sorted(set(inputs) - set(",.")) if inputs.count(k) == 1]
        result = ("..." if "..." in inputs else "") + "".join(once)
    spelled = [t.replace("...", dots[len(dots) - c :]) for t, c in zip(terms, counts, strict=True)]
    return spelled, result.replace("...", dots)


def _two(context: Context, tensors: Any, terms: tuple[str, str, str], sizes: Any) -> Tensor:
    """Einstein summation of two tensors.

    The letters are sorted into those of both and of the result (batch), of one side only
    (rows, columns) and of both but not the result (summed); then it is a matrix product.
    """
    a, b, result = terms
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


@lowering("aten.bilinear.default")
def bilinear(
    context: Context, input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """out[..., o] = sum over i and j of x[..., i] weight[o, i, j] y[..., j] + bias[o]."""
    out = einsum(context, "...i,oij,...j->...o", [input1, weight, input2])
    return out if bias is None else add(context, out, bias)
