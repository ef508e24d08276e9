"""One law for every operator of the table: its lowering computes what torch's operator does.

Arguments are made from the operator's own schema, or stand in `SAMPLES`; an operator for which
neither works fails here, so a new lowering brings its sample with it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from certify.errors import Unsupported
from certify.evaluate import evaluate
from certify.frontend.arguments import DTYPES, Damaged, Dtype, Meta, Ref
from certify.frontend.lower import lower
from certify.frontend.program import Call, Program
from certify.ops import TABLE, UNSUPPORTED, unsupported_ops

POINTS = 4


class Input:
    """The model's input, in that shape."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape


def real(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(shape, dtype=torch.float64, generator=generator) + 0.3


def whole(*numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers)


X, MASK = Input(1, 3, 4), whole(True, False, True, False)
BITS, ROW, PICK = whole([6, 5], [3, 1]), Input(1, 4), whole([[0, 2, 1, 1]])

SAMPLES: dict[str, tuple[Any, ...]] = {
    "_native_batch_norm_legit_no_training": (X, real(3), None, real(3), real(3), 0.1, 1e-3),
    "addmm": (real(3), ROW, real(4, 3)),
    "addmv": (real(1), ROW, real(4)),
    "baddbmm": (real(1, 3, 3), X, real(1, 4, 3)),
    "batch_norm": (X, real(3), real(3), real(3), real(3), False, 0.1, 1e-3, False),
    "bilinear": (X, real(1, 3, 2), real(5, 4, 2), real(5)),
    "bmm": (X, real(1, 4, 2)),
    "copy": (X, real(3, 1)),
    "expand_as": (Input(1, 3, 1), real(1, 3, 4)),
    "reshape_as": (X, real(2, 6)),
    "view_as": (X, real(2, 6)),
    "scaled_dot_product_attention": (X, X, real(1, 3, 2), real(3, 3)),
    "clamp.Tensor": (X, real(4) - 0.1, real(3, 1)),
    "clamp.default": (X, 0.5, 1.0),
    "constant_pad_nd": (X, [1, 2, -1, 1], 0.7),
    "convolution": (X, real(4, 3, 2), real(4), [2], [1], [2], False, [0], 1),
    "div.Tensor_mode": (whole(-7, 7, 8), whole(2, -2, 3), {"rounding_mode": "trunc"}),
    "div.Scalar_mode": (whole(-7, 7, 8), 2, {"rounding_mode": "floor"}),
    "floor_divide.default": (whole(-7, 7, 8), whole(2, -2, 3)),
    "floor_divide.Scalar": (whole(-7, 7, 8), -2),
    "dot": (Input(1), real(1)),
    "einsum": ("...ij,jk,k->...i", [X, real(4, 2), real(2)]),
    "embedding": (real(5, 2), whole([0, 4], [1, 1])),
    "gather": (X, 1, whole([[0, 2, 1, 1], [2, 2, 0, 1]])),
    "group_norm": (X, 3, real(3), real(3)),
    "index.Tensor": (X, [None, whole(0, -1, 0)]),
    "index_put": (X, [None, whole(0, 2)], real(1, 2, 4)),
    "index_select": (X, 2, whole(3, 0, 0)),
    "layer_norm": (X, [4], real(4), real(4), 0.1),
    "linear": (X, real(2, 4), real(2)),
    "masked_fill.Scalar": (X, MASK, 2.5),
    "masked_fill.Tensor": (X, MASK, torch.tensor(2.5).double()),
    "matmul": (X, real(4, 2)),
    "mean.dim": (X, [0, 2]),
    "mm": (ROW, real(4, 2)),
    "mv": (ROW, real(4)),
    "native_group_norm": (X, real(3), real(3), 1, 3, 4, 3, 1e-3),
    "native_layer_norm": (X, [4], real(4), None, 0.1),
    "one_hot": (whole(0, 2, 1), 4),
    "outer": (Input(1), real(3)),
    "pad": (X, [1, 2], "reflect"),
    "prelu": (X, real(3)),
    "_prelu_kernel": (X, real(1, 3, 1)),
    "rms_norm": (X, [4], real(4), 0.1),
    "scatter.src": (X, 1, PICK, real(1, 3, 4)),
    "scatter.value": (X, 1, PICK, 0.3),
    "select_scatter": (X, real(1, 4), 1, 2),
    "slice_scatter": (X, real(1, 3, 2), 2, 1, 4, 2),
    "std.dim": (X, [1, 2]),
    "sum.dim_IntList": (X, [-1], True),
    "t": (ROW,),
    "to.dtype": (X, torch.float64),
    "to.device": (X, torch.device("cpu"), torch.float64),
    "unflatten": (X, 2, [2, -1]),
    "unfold": (X, 1, 2, 1),
    "var.dim": (X, [2], False),
    "where": (MASK, X, 3.0),
    "where.self": (MASK, X, real(3, 1)),
    "where.Scalar": (MASK, 2.0, 3.0),
    "where.ScalarSelf": (MASK, 2.0, X),
    "lerp.Scalar": (X, real(4), 0.3),
    "pow.Tensor_Scalar": (X, -3),
    "pow.Scalar": (1.7, X),
    "pow.Tensor_Tensor": (real(3, 4), X),
    "cat": ([X, real(1, 2, 4), X], 1),
    "split.sizes": (X, [1, 2], 1),
    "split_with_sizes": (X, [1, 2], 1),
    "flip": (X, [2]),
    "movedim": (X, 1, 0),
    "diagonal": (X, 0, 1, 2),
    "cumsum": (X, 1),
    "movedim.intlist": (X, [1], [0]),
}  # fmt: skip
BY_NAME = {
    "bitwise_(and|or|xor).Scalar": (BITS, 5),
    "bitwise_(and|or|xor).Tensor": (BITS, whole(2, 7)),
    "bitwise_not|logical_not": (MASK,),
    "view|reshape|_unsafe_view|view_copy": (X, [2, -1]),
    "expand|expand_copy|broadcast_to": (X, [2, 3, 4]),
    "permute|permute_copy": (X, [2, 0, 1]),
    "repeat": (X, [2, 1, 2]),
}

BY_TYPE = {
    "Tensor": X, "int": 1, "float": 0.5, "number": 2, "bool": False, "List[int]": [1],
    "List[Tensor]": [X, X], "Optional[Tensor]": None,
}  # fmt: skip


def samples(name):
    """Lists of arguments by position, each with those by name."""
    short = name.removeprefix("aten.")
    base = short.removesuffix(".default")
    for key in (short, base, base.partition(".")[0]):
        if key in SAMPLES:
            given = SAMPLES[key]
            named = given[-1] if isinstance(given[-1], dict) else {}
            return [(list(given[: len(given) - bool(named)]), named)]
    for pattern, given in BY_NAME.items():
        if re.fullmatch(pattern, short) or re.fullmatch(pattern, base):
            return [(list(given), {})]
    schema = operator(name)._schema
    needed = [a for a in schema.arguments if not a.has_default_value() and not a.kwarg_only]
    given = [BY_TYPE[str(a.type)] for a in needed]
    out = [given]
    if given.count(X) > 1:  # and each side a constant that is broadcast
        out += [
            [real(3, 1) if i == place else v for i, v in enumerate(given)]
            for place, value in enumerate(given)
            if value is X
        ]
    return [(values, {}) for values in out]


def operator(name):
    _, base, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, base), overload)


def replaced(value, rule):
    return [replaced(v, rule) for v in value] if isinstance(value, list) else rule(value)


def concrete(value, x):
    return replaced(value, lambda v: x if isinstance(v, Input) else v)


class Recorder:
    """The program of one call."""

    def __init__(self, *, constant):
        self.constant, self.constants = constant, {}

    def argument(self, value, x):
        if isinstance(value, Input) and not self.constant:
            return Ref("x")
        value = concrete(value, x)
        if isinstance(value, torch.Tensor):
            name = f"c{len(self.constants)}"
            self.constants[name] = value.numpy()
            return Ref(name)
        if isinstance(value, torch.dtype | torch.device):
            return Dtype("float64", epsilon=2.0**-52)
        return value


CODES = {torch.float64: 8, torch.float32: 7, torch.int64: 5, torch.bool: 12}


def meta(tensor):
    return Meta(DTYPES[CODES[tensor.dtype]], tuple(tensor.shape), (), 0)


def graphs(name, arguments, x, *, constant):
    """The graph of every result of one call, beside torch's result as a function of x."""
    given, named = arguments

    def run(point):
        out = operator(name)(*(concrete(v, point.clone()) for v in given), **named)
        return list(out) if isinstance(out, list | tuple) else [out]

    results, recorder = run(x), Recorder(constant=constant)
    passed = {
        a.name: replaced(v, lambda v: recorder.argument(v, x))
        for a, v in zip(operator(name)._schema.arguments, given, strict=False)
    }
    names = tuple(f"y{i}" for i in range(len(results)))
    call = Call(name, passed | named, names, len(results) > 1, "test")
    metas = {n: meta(r) for n, r in zip(names, results, strict=True)} | {"x": meta(x)}
    for place, output in enumerate(names):
        program = Program("x", output, recorder.constants, metas, (call,), 0)
        try:
            yield lower(program), lambda p, i=place: run(p)[i]
        except Damaged as error:
            # positions and statistics are left out
            assert place and "never computed" in str(error)


def points(shape, lo, hi):
    generator = torch.Generator().manual_seed(len(shape))
    unit = torch.rand(POINTS, *shape, dtype=torch.float64, generator=generator)
    return lo + (hi - lo) * unit


def compared(name, arguments, x):
    """Whether the operator is real at x; then its lowering must compute it."""
    try:
        pairs = list(graphs(name, arguments, x[0], constant=False))
    except Unsupported as error:
        assert re.search("depends on the input|has jumps|real numbers", str(error))
        pairs, x = list(graphs(name, arguments, x[0], constant=True)), x[:1]
    assert pairs
    for graph, run in pairs:
        expected = torch.stack([run(row) for row in x]).double()
        if not expected.isfinite().all():
            return False
        out = evaluate(graph, x)["model"]
        assert out.shape == expected.shape
        assert torch.allclose(out, expected, rtol=1e-12, atol=1e-12)
    return True


@pytest.mark.parametrize("name", sorted(set(TABLE) - {"aten._assert_tensor_metadata.default"}))
@pytest.mark.filterwarnings("ignore")
def test_lowering_computes_the_operator(name):
    for arguments in samples(name):
        inputs = []
        replaced(arguments[0], lambda v, found=inputs: found.append(v))
        shape = next((v.shape for v in inputs if isinstance(v, Input)), X.shape)
        # of both signs where the operator has values there, else positive
        assert any(compared(name, arguments, points(shape, lo, 2.0)) for lo in (-2.0, 0.3))


def test_powers_of_constants_are_exact():
    """2 ** k is a constant, not exp(k log 2)."""
    call = (torch.tensor([2.0, 0.5, -2.0]).double(), torch.tensor([3, -2, 5]))
    ((graph, _),) = graphs("aten.pow.Tensor_Tensor", (list(call), {}), real(1, 3), constant=False)
    assert not graph.functions()


def test_norm_of_order_one():
    assert compared("aten.linalg_vector_norm.default", ([X, 1.0], {}), points(X.shape, -2, 2))


def test_rms_norm_without_an_epsilon_has_that_of_its_type():
    """Of numbers so small that it matters."""
    given = ([X, [4], real(4)], {})
    assert compared("aten.rms_norm.default", given, points(X.shape, 1e-9, 2e-8))


def is_operator(name):
    _, base, overload = name.split(".")
    return hasattr(getattr(torch.ops.aten, base, None), overload)


def test_unsupported_operators_are_torchs_own():
    assert all(is_operator(name) for name in UNSUPPORTED)
    assert not set(UNSUPPORTED) & set(TABLE)
    assert unsupported_ops() == sorted(unsupported_ops())
    assert all(reason for _, reason in unsupported_ops())


def test_every_core_operator_is_answered_for():
    """Core operators are what exporters end with: lowered, taken apart, or listed with a reason."""
    apart = {str(op) for op, _ in torch.export.default_decompositions().items()}
    for base in dir(torch.ops.aten):
        packet = getattr(torch.ops.aten, base)
        for overload in getattr(packet, "overloads", list)():
            operator = getattr(packet, overload)
            if torch.Tag.core in operator.tags:
                assert str(operator) in apart | set(TABLE) | set(UNSUPPORTED)
