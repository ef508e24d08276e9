"""Which operator has which bound: one entry per operator overload of the source program."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from certify.float32 import attention, normalization, pointwise, products
from certify.float32.model import Range, constant
from certify.frontend.lower import Lowered
from certify.graph import Apply
from certify.ops.context import CannotLower, Value
from certify.ops.reduce import axes

Bound = Callable[..., Tensor]
_SINGLE = np.finfo(np.float32)


def is_single(value: Any) -> bool:
    """Whether numbers are float32 numbers, normal or 0 or infinite: no conversion rounds them."""
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return True
    array = array.astype(np.float64)
    with np.errstate(over="ignore"):
        same = array.astype(np.float32).astype(np.float64) == array
    return bool((same & ((array == 0) | (np.abs(array) >= _SINGLE.tiny))).all())


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of the source with its exact result."""

    lowered: Lowered
    result: Value

    def __getitem__(self, name: str) -> Any:
        return self.lowered.arguments.get(name)

    def error(self, bound: Bound, *operands: Any) -> tuple[tuple[int, ...], Bound]:
        """What a `Rounded` node needs: the values it reads, and their ranges -> error.

        `bound` gets the range of the exact result, then of every operand, None for None.
        """
        reads = tuple(o.number for o in operands if isinstance(o, Value))
        fixed = [None if o is None or isinstance(o, Value) else constant(o) for o in operands]
        moving = [isinstance(o, Value) for o in operands]

        def error(out: tuple[Tensor, Tensor], *ranges: tuple[Tensor, Tensor]) -> Tensor:
            rest = iter(ranges)
            args = [Range(*next(rest)) if m else f for m, f in zip(moving, fixed, strict=True)]
            return bound(Range(*out), *args)

        return reads, error

    def inner(self, function: str, *, argument: bool = False) -> Value:
        """The value that the lowering makes by a function (or the function's argument).

        Raises:
            CannotLower: it makes none.
        """
        builder = self.lowered.context.builder
        nodes = list(enumerate(builder.nodes, start=1))[self.lowered.before :]
        for number, node in reversed(nodes):
            if isinstance(node.primitive, Apply) and node.primitive.function.name == function:
                number = node.inputs[0] if argument else number
                return Value(number, builder.shape(number))
        raise CannotLower(f"--semantics float32 finds no {function} in its lowering")


Rule = Callable[[Operator], tuple[tuple[int, ...], Bound]]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under operator names without the leading "aten."."""

    def register(made: Rule) -> Rule:
        RULES.update({f"aten.{name}": made for name in names})
        return made

    return register


def _number(value: Any) -> bool:
    """Whether an operand is a number that float32 rounds."""
    return not isinstance(value, Value) and not is_single(value)


@rule("linear.default")
def _linear(op: Operator):
    if isinstance(op["weight"], Value) or isinstance(op["bias"], Value):
        raise CannotLower("--semantics float32 takes linear with stored weights only")
    return op.error(
        lambda out, x, w, b: products.linear(x, w, b), op["input"], op["weight"], op["bias"]
    )


@rule("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default")
def _matmul(op: Operator):
    other = next(op[n] for n in ("other", "mat2", "vec", "tensor") if op[n] is not None)
    return op.error(lambda out, x, y: products.matmul(x, y), op["self"], other)


@rule("addmm.default", "addmv.default", "baddbmm.default")
def _addmm(op: Operator):
    if any(op[n] not in (None, 1) for n in ("alpha", "beta")):
        raise CannotLower("--semantics float32 takes it with alpha and beta 1 only")
    names = [n for n in op.lowered.arguments if n not in ("self", "alpha", "beta")]
    factors = [op[n] for n in names]
    return op.error(lambda out, b, x, y: products.addmm(b, x, y), op["self"], *factors)


@rule("add.Tensor", "add.Scalar", "sub.Tensor", "sub.Scalar", "subtract.Tensor")
def _add(op: Operator):
    alpha = 1.0 if op["alpha"] is None else float(op["alpha"])
    scalar = _number(op["other"]) or _number(op["self"])
    return op.error(
        lambda out, x, y: pointwise.added(out, x, y, alpha, scalar), op["self"], op["other"]
    )


@rule("rsub.Tensor", "rsub.Scalar")
def _rsub(op: Operator):
    alpha = 1.0 if op["alpha"] is None else float(op["alpha"])
    scalar = _number(op["other"])
    return op.error(
        lambda out, x, y: pointwise.added(out, y, x, alpha, scalar), op["self"], op["other"]
    )


@rule("mul.Tensor", "mul.Scalar", "multiply.Tensor")
def _mul(op: Operator):
    times = 3 if _number(op["other"]) or _number(op["self"]) else 1
    return op.error(lambda out, x, y: pointwise.rounded(out, times, x, y), op["self"], op["other"])


@rule("div.Tensor", "div.Scalar", "true_divide.Tensor")
def _div(op: Operator):
    scalar = not isinstance(op["other"], Value)
    return op.error(lambda out, x, y: pointwise.divided(out, x, y, scalar), op["self"], op["other"])


def _unary(function: str) -> Rule:
    return lambda op: op.error(lambda out, x: pointwise.unary(function, out, x), op["self"])


for _name in ("exp", "log", "tanh", "erf", "sin", "cos", "sigmoid", "silu", "sqrt", "rsqrt"):
    rule(f"{_name}.default")(_unary(_name))
for _name in ("reciprocal", "square"):
    rule(f"{_name}.default")(_unary(_name))


@rule("gelu.default")
def _gelu(op: Operator):
    return _unary("gelu" if op["approximate"] in (None, "none") else "gelu_tanh")(op)


@rule("softplus.default")
def _softplus(op: Operator):
    if op["beta"] not in (None, 1) or op["threshold"] not in (None, 20):
        raise CannotLower("--semantics float32 takes softplus with its default numbers only")
    return _unary("softplus")(op)


@rule("leaky_relu.default")
def _leaky_relu(op: Operator):
    return op.error(lambda out, x: pointwise.rounded(out, 3, x), op["self"])


@rule("pow.Tensor_Scalar")
def _power(op: Operator):
    exponent = op["exponent"]
    if exponent in (0.5, -0.5):
        return _unary("sqrt" if exponent > 0 else "rsqrt")(op)
    if exponent < 1:
        raise CannotLower(f"--semantics float32 has no bound for the power {exponent}")
    return op.error(lambda out, x: pointwise.power(out, x, int(exponent)), op["self"])


@rule("sum.default", "sum.dim_IntList", "mean.default", "mean.dim")
def _sum(op: Operator):
    mean, keep = "mean" in op.lowered.target, bool(op["keepdim"])
    dims = axes(op["dim"], len(op["self"].shape))
    return op.error(lambda out, x: products.summed(x, dims, keep, mean), op["self"])


@rule("cumsum.default")
def _cumsum(op: Operator):
    axis = op["dim"] % max(1, len(op["self"].shape))
    return op.error(lambda out, x: products.running(x, axis), op["self"])


def _merged(x: Range | None, count: int) -> Range | None:
    """A range with its last `count` axes merged; a shape (1, ..., 1) in front is kept."""
    return None if x is None else Range(*(t.flatten(t.ndim - count) for t in (x.lo, x.hi)))


@rule("layer_norm.default", "native_layer_norm.default")
def _layer_norm(op: Operator):
    count, shape = len(op["normalized_shape"]), op.result.shape
    if any(isinstance(op[name], Value) for name in ("weight", "bias")):
        raise CannotLower("--semantics float32 takes layer norm with stored weights only")
    r, c = op.inner("rsqrt"), op.inner("square", argument=True)

    def bound(out, x, c, r, w, b):
        out, x, w, b = (_merged(part, count) for part in (out, x, w, b))
        error = normalization.layer_norm(out, x, c, r, (w, b))
        return error.reshape(len(error), *shape)

    return op.error(bound, op["input"], c, r, op["weight"], op["bias"])


@rule("rms_norm.default")
def _rms_norm(op: Operator):
    count, shape = len(op["normalized_shape"]), op.result.shape
    if isinstance(op["weight"], Value):
        raise CannotLower("--semantics float32 takes rms norm with stored weights only")

    def bound(out, x, r, w):
        out, x, w = (_merged(part, count) for part in (out, x, w))
        error = normalization.rms_norm(out, x, r, w)
        return error.reshape(len(error), *shape)

    return op.error(bound, op["input"], op.inner("rsqrt"), op["weight"])


@rule("softmax.int", "_softmax.default", "_safe_softmax.default")
def _softmax(op: Operator):
    x = op["self"]
    axis = op["dim"] % max(1, len(x.shape))
    hidden = _mask(getattr(x, "hidden", None))
    return op.error(lambda out, x: attention.softmax(out, x, axis, hidden), x)


def _mask(hidden: np.ndarray | None) -> Tensor | None:
    return torch.from_numpy(hidden.copy()) if hidden is not None and hidden.any() else None


@rule("scaled_dot_product_attention.default")
def _attention(op: Operator):
    if op["enable_gqa"]:
        raise CannotLower("--semantics float32 has no bound for grouped queries yet")
    q, k, given = op["query"], op["key"], op["attn_mask"]
    if isinstance(given, Value):
        raise CannotLower("--semantics float32 takes constant attention masks only")
    bias, hidden = None, np.zeros((q.shape[-2], k.shape[-2]), bool)
    if op["is_causal"]:
        hidden = ~np.tri(*hidden.shape, dtype=bool)
    if given is not None and given.dtype.kind == "b":
        hidden = hidden | ~given
    elif given is not None:
        below = np.isneginf(given)
        hidden, bias = hidden | below, torch.from_numpy(np.where(below, 0.0, given))
    scale = 1.0 / math.sqrt(q.shape[-1]) if op["scale"] is None else float(op["scale"])
    if not scale > 0:
        raise CannotLower(f"--semantics float32 has no bound for attention of scale {scale}")
    mask = bias, _mask(hidden)
    return op.error(
        lambda out, q, k, v: attention.attention(v, q, k, scale, mask), q, k, op["value"]
    )


@rule("full.default", "full_like.default", "new_full.default", "scalar_tensor.default")
@rule("arange.default", "arange.start", "arange.start_step", "linspace.default")
def _made(op: Operator):
    return op.error(lambda out: pointwise.rounded(out, 4))
