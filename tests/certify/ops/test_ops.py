"""Every family of operators against torch in float64, on shapes drawn at random."""

from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from certify.errors import Unsupported
from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.agree import agree
from certify.frontend.export import export
from certify.ops import known_ops

few = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(lambda s: (1, *s))


class Wrap(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def check(function, shape, path, *, positive=False, tolerance=1e-12):
    """Lower `function` and compare it with itself; the model is exported in float64."""
    x = torch.rand(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x = x + 0.1 if positive else 4 * x - 2
    program = torch.export.export(Wrap(function), (x[0],))
    file = path / "m.pt2"
    torch.export.save(program, file)
    model = load(file)
    expected = torch.stack([function(row) for row in x])
    out = evaluate(model.graph, x)["model"]
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, rtol=tolerance, atol=tolerance)
    assert agree(model, x) <= tolerance
    return model


STRUCTURAL = {
    "flatten, view": lambda x: x.flatten(1).view(1, -1),
    "permute": lambda x: x.permute(*reversed(range(x.dim()))),
    "transpose": lambda x: x.transpose(0, -1).contiguous().reshape(-1),
    "select": lambda x: x.select(1, -1),
    "slice": lambda x: x[:, -2:] if x.dim() < 3 else x[..., 1:, :],
    "squeeze": lambda x: x.squeeze(0).unsqueeze(-1).squeeze(),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 2, *x.shape[1:]),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "repeat": lambda x: x.repeat(2, *([1] * (x.dim() - 1)), 2)[..., :1],
    "roll": lambda x: x.roll(1, -1) + x.roll(1),
    "flip": lambda x: x.flip([1]),
    "movedim": lambda x: x.movedim(-1, 0),
    "stack": lambda x: torch.stack([x, torch.ones_like(x), x.flip(1)], -1),
    "cat": lambda x: torch.cat([x, torch.zeros(1, *x.shape[1:]), x * 2], 0),
    "cat of pieces": lambda x: torch.cat([x[:, 1:], x[:, :1]], 1),
    "chunk": lambda x: x.chunk(2, 1)[0],
    "split": lambda x: x.split(2, -1)[0],
    "unbind": lambda x: x.unbind(-1)[0],
    "unflatten": lambda x: x.unflatten(0, (1, 1)),
    "index": lambda x: x[:, torch.tensor([0, -1, 0])],
    "interleave": lambda x: x.repeat_interleave(2, 1),
    "where": lambda x: torch.where(torch.ones(1, x.shape[-1]).tril().bool(), x, x * 3),
    "masked fill": lambda x: x.masked_fill(torch.arange(x.shape[-1]) > 0, 7.0),
    "triu": lambda x: x.unsqueeze(-2).triu(1) + x.unsqueeze(-2).tril(),
}

ELEMENTWISE = {
    "scalars": lambda x: 2 - (x * 3 + 0.1) / 3,
    "constants": lambda x: x - torch.linspace(1, 2, x.shape[-1], dtype=x.dtype) * x,
    "alpha": lambda x: torch.add(x, x.flip(0), alpha=0.3) - torch.sub(x, 1, alpha=2),
    "variables": lambda x: x * x.flip(-1) * x[..., :1] / (1 + x * x),
    "divided constants": lambda x: x / torch.arange(1.0, 1 + x.shape[-1]).double(),
    "over x": lambda x: 0.5 / (x.square() + 1),
    "computed constants": lambda x: x + torch.arange(x.shape[-1]).double().mul(0.3).sin(),
    "gelu": lambda x: F.gelu(x) - F.gelu(x, approximate="tanh"),
    "relus": lambda x: x.relu() + F.leaky_relu(x, 0.2) - x.abs() + F.relu6(4 * x),
    "clamp": lambda x: x.clamp(-0.5, 0.7) + x.clamp(min=0.1) + F.hardtanh(x),
    "smooth": lambda x: F.silu(x) + x.tanh() + x.sigmoid() + x.exp() + F.softplus(x) + x.erf(),
    "waves": lambda x: x.sin() * x.cos() - x.neg(),
    "powers": lambda x: x**2 + x**3 - x**4 + x**5 + x**1 + x**0 + (x**2 + 1) ** -1,
}

POSITIVE = {
    "logs": lambda x: x.log() + x.sqrt() + x.rsqrt() + x.reciprocal() + x**0.5 + x**-0.5,
}

REDUCE = {
    "sums": lambda x: x.sum() + x.sum(-1).sum() + x.sum((0, 1), keepdim=True),
    "means": lambda x: x.mean() + x.mean(1, keepdim=True) + x.mean((0, -1), keepdim=True),
    "variance": lambda x: x.var(-1, unbiased=False, keepdim=True) + x.var(0, correction=0),
    "cumsum": lambda x: x.cumsum(-1),
    "softmax": lambda x: x.softmax(-1) + x.softmax(1) + x.softmax(0),
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-3),
    "layer norm, axes": lambda x: F.layer_norm(
        x, x.shape[1:], torch.full(x.shape[1:], 1.7, dtype=x.dtype), eps=0.1
    ),
    "rms norm": lambda x: F.rms_norm(x, x.shape[-1:]),
}


@pytest.mark.parametrize("name", STRUCTURAL)
@few
@given(shape=shapes)
def test_structural(name, shape, tmp_path):
    check(STRUCTURAL[name], shape, tmp_path, tolerance=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE)
@few
@given(shape=shapes)
def test_elementwise(name, shape, tmp_path):
    check(ELEMENTWISE[name], shape, tmp_path)


@pytest.mark.parametrize("name", POSITIVE)
@few
@given(shape=shapes)
def test_positive(name, shape, tmp_path):
    check(POSITIVE[name], shape, tmp_path, positive=True)


@pytest.mark.parametrize("name", REDUCE)
@few
@given(shape=shapes)
def test_reduce(name, shape, tmp_path):
    check(REDUCE[name], shape, tmp_path, tolerance=1e-11)


@few
@given(m=st.integers(1, 3), k=st.integers(1, 3), n=st.integers(1, 3))
def test_products(m, k, n, tmp_path):
    w, v, u = torch.randn(k, n).double(), torch.randn(m).double(), torch.randn(2, k, n).double()

    def function(x):
        a = x @ w
        b = torch.matmul(v, x[0]) @ w + torch.einsum("bmk,kn->bn", x, w)
        c = torch.einsum("bmk,bnk->bmn", x, x).sum() + torch.bmm(x, x.transpose(1, 2)).sum()
        d = torch.matmul(x, u).sum(0) + torch.addmm(torch.ones(n).double(), x[0], w, alpha=0.5)
        e = torch.einsum("bmk->m", x).sum() + torch.matmul(x, w[:, 0]).sum()
        return F.linear(x, w.T, v[:1]) + a + b + c + d + e + (w.T @ x.transpose(1, 2)).mT

    check(function, (1, m, k), tmp_path, tolerance=1e-11)


@pytest.mark.parametrize("keys", [1, 2, 8, 9])
@pytest.mark.parametrize("masking", ["none", "causal", "bool", "float", "scale", "groups"])
def test_attention(keys, masking, tmp_path):
    torch.manual_seed(keys)
    wq, wk = torch.randn(2, 4, 3).double()
    hide = torch.rand(keys, keys) < 0.4
    hide.fill_diagonal_(False)
    options = {
        "none": {},
        "causal": {"is_causal": True},
        "bool": {"attn_mask": ~hide},
        "float": {"attn_mask": torch.randn(keys, keys).double().masked_fill(hide, -math.inf)},
        "scale": {"scale": 0.3},
        "groups": {"enable_gqa": True},
    }[masking]

    def function(x):
        heads = x if masking == "groups" else x.expand(1, 2, keys, 4)
        q = (x.expand(1, 2, keys, 4)) @ wq
        return F.scaled_dot_product_attention(q, heads @ wk, heads, **options)

    check(function, (1, 1, keys, 4), tmp_path, tolerance=1e-11)


@pytest.mark.parametrize("keys", [2, 9])
def test_masked_scores(keys, tmp_path):
    mask = torch.triu(torch.full((keys, keys), -math.inf), 1).double()

    def function(x):
        scores = x * x.transpose(1, 2) + mask
        causal = torch.ones(keys, keys).tril() == 0
        other = (x + x.transpose(1, 2)).masked_fill(causal, -math.inf) / 2
        return scores.softmax(-1) + other.softmax(-1) + (x + -1e9 * causal).softmax(-1)

    check(function, (1, keys, 1), tmp_path, tolerance=1e-11)


def test_masked_maxima(tmp_path):
    hide = torch.tensor([[0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]).bool()
    mask = torch.zeros(3, 5).double().masked_fill(hide, -math.inf)

    def function(x):
        scores = x + mask
        larger = torch.maximum(scores, scores.roll(1, -1))[..., 2:4].exp()
        return scores.amax(-1) + scores.exp().sum(-1) + larger.sum(-1)

    check(function, (1, 3, 5), tmp_path)


UNSUPPORTED = {
    "no lowering": (lambda x: torch.special.bessel_j0(x), "no lowering to primitives"),
    "power": (lambda x: x**2.5, "the exponent 2.5"),
    "input in a condition": (lambda x: torch.where(x > 0, x, -x), "depends on the input"),
    "rounding": (lambda x: x.long() + 0.5, "rounds a value"),
    "nothing left": (lambda x: (x + -math.inf).softmax(-1), "every key of a row is masked"),
    "infinite": (lambda x: (x + -math.inf).sin(), "masked with -inf"),
    "zero": (lambda x: x / 0, "division by zero"),
    "position": (lambda x: x.max(-1).indices * x[:, 0], "a position or statistic"),
    "jumps": (lambda x: x.floor() + x, "floor, which has jumps, depends on the input"),
    "rounded quotient": (
        lambda x: x.div(2, rounding_mode="floor"),
        "has jumps where its input varies",
    ),
    "sum at one place": (
        lambda x: x.index_put((torch.tensor([0]),), x[0], accumulate=True),
        "positions that may coincide",
    ),
    "train mode": (lambda x: F.dropout(x, 0.5, training=True), "exported in train mode"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported(name, tmp_path):
    function, reason = UNSUPPORTED[name]
    export_raw(function, tmp_path / "m.pt2")
    with pytest.raises(Unsupported, match=re.escape(reason)) as caught:
        load(tmp_path / "m.pt2")
    assert "in the model:" in str(caught.value) and "test_ops.py:" in str(caught.value)


def test_unsupported_layout(tmp_path):
    export_raw(torch.special.bessel_j0, tmp_path / "m.pt2")
    with pytest.raises(Unsupported) as caught:
        load(tmp_path / "m.pt2")
    assert re.fullmatch(
        r"cannot certify aten\.special_bessel_j0\.default: no lowering to primitives\.\n"
        r"  in the model:  Wrap \(test_ops\.py:\d+\)\n"
        r"  known ops:     \d+ \(list them with `certify ops`\)\n"
        r"  to add it:     one file in certify/ops/; see docs/extend/op\.md",
        str(caught.value),
    )


def export_raw(function, path):
    torch.export.save(torch.export.export(Wrap(function), (torch.ones(1, 2),)), path)


def test_division_is_exact(tmp_path):
    """x / 3 is a divisor of 3, not a product with the rounded 1/3."""
    export(Wrap(lambda x: x.mean(-1) / 3), torch.ones(1, 7), tmp_path / "m.pt")
    nodes = load(tmp_path / "m.pt").graph.nodes
    assert [n.primitive.divisor for n in nodes if hasattr(n.primitive, "divisor")] == [7, 3]


def test_constants_are_not_rounded(tmp_path):
    """0.1 + 0.2 is left to the graph; 1 + 2 and 0.5 * 0.25 are exact and folded."""
    graphs = []
    for a, b in ((0.1, 0.2), (1.0, 2.0)):
        constants = torch.full((2,), a, dtype=torch.float64), torch.full((2,), b).double()
        parts = [nn.Parameter(c, requires_grad=False) for c in constants]
        module = Wrap(lambda x, p=parts: x * (p[0] + p[1]))
        module.parts = nn.ParameterList(parts)
        export(module, torch.ones(1, 2, dtype=torch.float64), tmp_path / "m.pt")
        graphs.append(load(tmp_path / "m.pt").graph)
    assert len(graphs[0].nodes) > len(graphs[1].nodes) == 1


def test_known_ops_are_documented():
    ops = known_ops()
    assert len(ops) > 150 and ops == sorted(ops)
    assert all(re.fullmatch(r"aten\.\w+\.\w+", name) and line for name, line in ops)
