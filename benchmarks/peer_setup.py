"""auto_LiRPA 0.3 (2022) made to import and run under a torch and numpy of today.

The package is used as installed; what has moved or vanished since 2022 is put back first.
Importing this module does that and switches torch to one thread, float64 and no gradients.
"""

from __future__ import annotations

import importlib
import math
import sys
import types
import warnings
from collections.abc import Callable

import numpy
import torch

warnings.simplefilter("ignore")


def _module(name: str, **contents: object) -> types.ModuleType:
    """A module that exists again."""
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    sys.modules.setdefault(name, module)
    return sys.modules[name]


def _restore() -> None:
    """The names of 2022 in numpy and torch."""
    from torch.onnx._internal.torchscript_exporter import _globals, utils

    def set_opset(version: int) -> None:
        _globals.GLOBALS.export_onnx_opset_version = version

    _module("numpy.lib.arraysetops", isin=numpy.isin)
    torch._six = _module("torch._six", string_classes=(str,), inf=math.inf)
    importlib.import_module("torch.onnx.utils")._optimize_graph = utils._optimize_graph
    importlib.import_module("torch.onnx.symbolic_helper")._set_opset_version = set_opset
    torch.onnx.OperatorExportTypes = torch._C._onnx.OperatorExportTypes
    torch._C.Node.__getitem__ = lambda node, key: getattr(node, node.kindOf(key))(key)


_restore()

import auto_LiRPA  # noqa: E402
from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm  # noqa: E402, F401
from auto_LiRPA.bound_op_map import register_custom_op  # noqa: E402
from auto_LiRPA.bound_ops import BoundExp, BoundMatMul  # noqa: E402
from auto_LiRPA.operators.activation import BoundActivation  # noqa: E402

warnings.simplefilter("ignore")
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)

VERSION = getattr(auto_LiRPA, "__version__", "0.3")

_members = BoundedModule._named_members
BoundedModule._named_members = lambda self, get, prefix="", recurse=True, **_: _members(
    self, get, prefix, recurse
)

OPTIONS = {
    "conv_mode": "matrix",
    "sparse_intermediate_bounds": False,
    "sparse_conv_intermediate_bounds": False,
    "sparse_intermediate_bounds_with_ibp": False,
}


class Smooth(BoundActivation):
    """Relaxation of a smooth function that the package lacks: its chord, moved up and down by
    width**2 / 8 times the extremes of the second derivative."""

    critical: tuple[float, ...] = ()  # where the second derivative may have extremes inside
    second: Callable[[torch.Tensor], torch.Tensor]  # the second derivative, a method

    def bound_relax(self, x: object) -> None:
        """Set the lower and the upper line over [x.lower, x.upper]."""
        low, high = x.lower, x.upper
        width = high - low
        left, right = self.forward(low), self.forward(high)
        slope = torch.where(width > 0, (right - left) / width, 0.0)
        ends = torch.stack([self.second(low), self.second(high)])
        least, most = ends.amin(0), ends.amax(0)
        for place in self.critical:
            value = self.second(torch.tensor(place))
            inside = (low < place) & (place < high)
            least = torch.where(inside, torch.minimum(least, value), least)
            most = torch.where(inside, torch.maximum(most, value), most)
        sag = width * width / 8
        self.add_linear_relaxation(None, "lower", slope, low, left - most.clamp(min=0) * sag)
        self.add_linear_relaxation(None, "upper", slope, low, left - least.clamp(max=0) * sag)


class BoundGelu(Smooth):
    critical = (0.0, 2.0, -2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(x)

    def second(self, x: torch.Tensor) -> torch.Tensor:
        return (2 - x * x) * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


class BoundSine(Smooth):  # over arguments in [-3, 3]; the package's own goes by a coarse table
    critical = (math.pi / 2, -math.pi / 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)

    def second(self, x: torch.Tensor) -> torch.Tensor:
        return -torch.sin(x)


class BoundRsqrt(Smooth):  # the package's BoundSqrt has the slope -x**-1.5 / 2: unsound
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rsqrt(x)

    def second(self, x: torch.Tensor) -> torch.Tensor:
        return 0.75 * x**-2.5


def operator(name: str, bound: type[Smooth], function: object) -> object:
    """A torch function that the package sees as one node, relaxed by `bound`."""
    register_custom_op(f"plateau::{name}", bound)

    class Function(torch.autograd.Function):
        @staticmethod
        def symbolic(graph: object, x: object) -> object:
            return graph.op(f"plateau::{name}", x).setType(x.type())

        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    return Function.apply


gelu = operator("Gelu", BoundGelu, torch.nn.functional.gelu)
sine = operator("Sine", BoundSine, torch.sin)
rsqrt = operator("Rsqrt", BoundRsqrt, torch.rsqrt)


def bounded(module: torch.nn.Module) -> BoundedModule:
    """The module for CROWN bounds of batches of any size, without bounds that nothing needs."""
    result = BoundedModule(module, torch.zeros(2, 1), bound_opts=OPTIONS)
    result.eval()
    result.ibp_intermediate.append(BoundExp)  # monotone: exact, and a backward pass saved
    for node in result._modules.values():
        if type(node) is BoundMatMul and not node.inputs[1].from_input:
            node.requires_input_bounds = [1]  # constant weights: no relaxation, no bounds of x
    return result
