"""What ONNX's operators mean, in torch; each reads its arguments by their place in the standard.

Source:
    ONNX operator specification, versions 13 to 20 of the default operator set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from certify.errors import Unsupported
from certify.ops.context import bounded


@dataclass(frozen=True, eq=False)
class Arguments:
    """The inputs of one node.

    `values` holds numpy arrays for what is known when the module is built and tensors for the
    rest, `tensors` tensors for all; an input that is left out is None.
    """

    values: list[Any]
    tensors: list[Any]
    attributes: dict[str, Any]
    opset: int

    def __len__(self) -> int:
        return len(self.values)

    def has(self, place: int) -> bool:
        """Whether an optional input is given."""
        return place < len(self.values) and self.values[place] is not None

    def __getitem__(self, place: int) -> torch.Tensor:
        """An input as a tensor.

        Raises:
            IndexError: it is not given.
        """
        if not self.has(place):
            raise IndexError(f"input {place} is missing")
        return self.tensors[place]

    def optional(self, place: int) -> torch.Tensor | None:
        """An input as a tensor, or None."""
        return self.tensors[place] if self.has(place) else None

    def whole(self, place: int) -> np.ndarray:
        """An input of whole numbers, as an array.

        Raises:
            Unsupported: it depends on the input of the model, or is not whole.
        """
        if not self.has(place):
            raise IndexError(f"input {place} is missing")
        if not isinstance(self.values[place], np.ndarray):
            raise Unsupported("an index, axis or shape depends on the input or on real numbers")
        return self.values[place]

    def ints(self, place: int) -> list[int]:
        """An input of whole numbers, as a list."""
        return [int(n) for n in self.whole(place).reshape(-1)]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    def axes(self, place: int) -> list[int] | None:
        """Axes: an input in later versions, an attribute in earlier ones."""
        return self.ints(place) if self.has(place) else self.get("axes")


Operator = Callable[[Arguments], Any]
OPERATORS: dict[str, Operator] = {}


def operator(name: str) -> Callable[[Operator], Operator]:
    """Register what an operator means."""

    def register(rule: Operator) -> Operator:
        OPERATORS[name] = rule
        return rule

    return register


def _each(function: Callable[..., torch.Tensor], count: int) -> Operator:
    return lambda a: function(*(a[i] for i in range(count)))


_ONE = {
    "Abs": torch.abs, "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal, "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan,
    "Sinh": torch.sinh, "Cosh": torch.cosh, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid,
    "Erf": torch.erf, "Relu": torch.relu, "Softplus": F.softplus, "Softsign": F.softsign,
    "Mish": F.mish, "HardSwish": F.hardswish, "Not": torch.logical_not, "Floor": torch.floor,
    "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign, "IsNaN": torch.isnan,
    "Identity": lambda x: x, "Atan": torch.atan,
}  # fmt: skip
_TWO = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "And": torch.logical_and,
    "Or": torch.logical_or, "Xor": torch.logical_xor, "Equal": torch.eq, "Less": torch.lt,
    "Greater": torch.gt, "LessOrEqual": torch.le, "GreaterOrEqual": torch.ge,
    "MatMul": torch.matmul,
}  # fmt: skip
OPERATORS.update({name: _each(f, 1) for name, f in _ONE.items()})
OPERATORS.update({name: _each(f, 2) for name, f in _TWO.items()})
OPERATORS["Where"] = _each(torch.where, 3)


@operator("Div")
def _div(a: Arguments) -> torch.Tensor:
    if a[0].is_floating_point():
        return torch.div(a[0], a[1])
    return torch.div(a[0], a[1], rounding_mode="trunc")


@operator("Mod")
def _mod(a: Arguments) -> torch.Tensor:
    return torch.fmod(a[0], a[1]) if a.get("fmod", 0) else torch.remainder(a[0], a[1])


@operator("Pow")
def _pow(a: Arguments) -> torch.Tensor:
    exponent = a.values[1]
    if isinstance(exponent, np.ndarray) and exponent.size == 1 and exponent.ndim <= a[0].dim():
        return torch.pow(a[0], exponent.item())
    return torch.pow(a[0], a[1].to(a[0].dtype))


def _fold(function: Callable[..., torch.Tensor]) -> Operator:
    def rule(a: Arguments) -> torch.Tensor:
        out = a[0]
        for place in range(1, len(a)):
            out = function(out, a[place])
        return out

    return rule


OPERATORS.update(Sum=_fold(torch.add), Max=_fold(torch.maximum), Min=_fold(torch.minimum))


@operator("Gelu")
def _gelu(a: Arguments) -> torch.Tensor:
    return F.gelu(a[0], approximate=a.get("approximate", "none"))


@operator("Elu")
def _elu(a: Arguments) -> torch.Tensor:
    return F.elu(a[0], a.get("alpha", 1.0))


@operator("Celu")
def _celu(a: Arguments) -> torch.Tensor:
    return F.celu(a[0], a.get("alpha", 1.0))


@operator("Selu")
def _selu(a: Arguments) -> torch.Tensor:
    alpha, gamma = a.get("alpha", 1.6732631921768188), a.get("gamma", 1.0507010221481323)
    return gamma * F.elu(a[0], alpha)


@operator("LeakyRelu")
def _leaky_relu(a: Arguments) -> torch.Tensor:
    return F.leaky_relu(a[0], a.get("alpha", float(np.float32(0.01))))


@operator("PRelu")
def _prelu(a: Arguments) -> torch.Tensor:
    return torch.relu(a[0]) - a[1] * torch.relu(-a[0])


@operator("HardSigmoid")
def _hard_sigmoid(a: Arguments) -> torch.Tensor:
    return (a[0] * a.get("alpha", float(np.float32(0.2))) + a.get("beta", 0.5)).clamp(0, 1)


@operator("Clip")
def _clip(a: Arguments) -> torch.Tensor:
    out = a[0] if not a.has(1) else torch.maximum(a[0], a[1])
    return out if not a.has(2) else torch.minimum(out, a[2])


@operator("Dropout")
def _dropout(a: Arguments) -> torch.Tensor:
    if a.has(2) and a.whole(2).any():
        raise Unsupported("it was exported in train mode; call model.eval() and export it again")
    return a[0]


_TYPES = {
    1: torch.float32, 3: torch.int8, 2: torch.uint8, 5: torch.int16, 6: torch.int32,
    7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip


@operator("Cast")
def _cast(a: Arguments) -> torch.Tensor:
    if a.get("to") not in _TYPES:
        raise Unsupported(f"a conversion to number type {a.get('to')}")
    return a[0].to(_TYPES[a.get("to")])


@operator("CastLike")
def _cast_like(a: Arguments) -> torch.Tensor:
    return a[0].to(a[1].dtype)


@operator("Gemm")
def _gemm(a: Arguments) -> torch.Tensor:
    x = a[0].t() if a.get("transA", 0) else a[0]
    y = a[1].t() if a.get("transB", 0) else a[1]
    out = x @ y
    out = out if a.get("alpha", 1.0) == 1 else out * a.get("alpha")
    if not a.has(2):
        return out
    return out + (a[2] if a.get("beta", 1.0) == 1 else a[2] * a.get("beta"))


@operator("Einsum")
def _einsum(a: Arguments) -> torch.Tensor:
    return torch.einsum(a.get("equation"), *(a[i] for i in range(len(a))))


@operator("Softmax")
def _softmax(a: Arguments) -> torch.Tensor:
    return torch.softmax(a[0], a.get("axis", -1))


@operator("LogSoftmax")
def _log_softmax(a: Arguments) -> torch.Tensor:
    return torch.log_softmax(a[0], a.get("axis", -1))


@operator("LayerNormalization")
def _layer_norm(a: Arguments) -> torch.Tensor:
    axis = a.get("axis", -1) % a[0].dim()
    shape, epsilon = a[0].shape[axis:], a.get("epsilon", float(np.float32(1e-5)))
    if a[1].shape == shape and (not a.has(2) or a[2].shape == shape):
        return F.layer_norm(a[0], shape, a[1], a.optional(2), epsilon)
    out = F.layer_norm(a[0], shape, None, None, epsilon) * a[1]
    return out + a[2] if a.has(2) else out


@operator("BatchNormalization")
def _batch_norm(a: Arguments) -> torch.Tensor:
    if a.get("training_mode", 0):
        raise Unsupported("it was exported in train mode; call model.eval() and export it again")
    epsilon = a.get("epsilon", float(np.float32(1e-5)))
    return F.batch_norm(a[0], a[3], a[4], a[1], a[2], False, 0.0, epsilon)


@operator("Conv")
def _conv(a: Arguments) -> torch.Tensor:
    count = a[1].dim() - 2
    if a.get("auto_pad", "NOTSET") != "NOTSET" or count not in (1, 2):
        raise Unsupported("a convolution with automatic padding, or in three dimensions")
    ends = a.get("pads", [0] * 2 * count)
    widths = [w for i in reversed(range(count)) for w in (ends[i], ends[i + count])]
    x = F.pad(a[0], widths) if any(widths) else a[0]
    function = F.conv1d if count == 1 else F.conv2d
    ones = [1] * count
    steps, gaps = a.get("strides", ones), a.get("dilations", ones)
    return function(x, a[1], a.optional(2), steps, 0, gaps, a.get("group", 1))


def _reduction(function: Callable[..., torch.Tensor]) -> Operator:
    def rule(a: Arguments) -> torch.Tensor:
        axes = a.axes(1)
        if not axes:
            if a.get("noop_with_empty_axes", 0):
                return a[0]
            axes = list(range(a[0].dim()))
        return function(a[0], axes, bool(a.get("keepdims", 1)))

    return rule


def _prod(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted((n % x.dim() for n in axes), reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


OPERATORS.update(
    ReduceSum=_reduction(lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype)),
    ReduceMean=_reduction(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    ReduceMax=_reduction(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    ReduceMin=_reduction(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    ReduceProd=_reduction(_prod),
    ReduceL1=_reduction(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    ReduceL2=_reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    ReduceSumSquare=_reduction(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    ReduceLogSumExp=_reduction(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
)


@operator("CumSum")
def _cumsum(a: Arguments) -> torch.Tensor:
    axis, x = a.ints(1)[0], a[0]
    if a.get("reverse", 0):
        x = x.flip([axis])
    out = x.cumsum(axis, dtype=x.dtype)
    out = out - x if a.get("exclusive", 0) else out
    return out.flip([axis]) if a.get("reverse", 0) else out


@operator("Trilu")
def _trilu(a: Arguments) -> torch.Tensor:
    k = a.ints(1)[0] if a.has(1) else 0
    return a[0].triu(k) if a.get("upper", 1) else a[0].tril(k)


@operator("ConstantOfShape")
def _constant_of_shape(a: Arguments) -> torch.Tensor:
    value = a.get("value", np.zeros(1, np.float32))
    kind = torch.from_numpy(np.zeros(0, value.dtype)).dtype
    return torch.full(bounded(tuple(a.ints(0))), value.item(), dtype=kind)


@operator("Range")
def _range(a: Arguments) -> torch.Tensor:
    start, end, step = (a.ints(i)[0] for i in range(3))
    bounded((max(0, math.ceil((end - start) / step)),))
    return torch.arange(start, end, step)
