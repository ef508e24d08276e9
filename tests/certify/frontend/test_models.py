"""Many small models: the graph computes what the torch module computes in float64."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.agree import agree
from certify.frontend.export import export

WIDTH = 4


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def sinusoids(tokens):
    angle = torch.arange(tokens)[:, None] / 100 ** (torch.arange(0, WIDTH, 2) / WIDTH)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Encoder(nn.Module):
    """A regressor with the parts that the zoo of this project has."""

    def __init__(self, tokens=3, activation="gelu", *, pre=False, readout="mean", place="learned"):
        super().__init__()
        self.tokens, self.readout, self.place = tokens, readout, place
        self.into = nn.Linear(1, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 2, 6, activation=activation, batch_first=True, norm_first=pre
        )
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        if place == "learned":
            self.position = nn.Parameter(torch.randn(tokens, WIDTH))
        else:
            self.register_buffer("position", sinusoids(tokens))
        self.start = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.out = nn.Linear(WIDTH * (tokens if readout == "flat" else 1), 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.7)

    def forward(self, x):
        h = self.into(x[:, :1]).unsqueeze(1).expand(-1, self.tokens, -1) + self.position
        if self.readout == "class":
            h = torch.cat([self.start.expand(x.shape[0], -1, -1), h], dim=1)
        h = self.body(h)
        pooled = {"mean": lambda: h.mean(1), "last": lambda: h[:, -1], "class": lambda: h[:, 0]}
        return self.out(h.flatten(1) if self.readout == "flat" else pooled[self.readout]())


class Causal(nn.Module):
    def __init__(self, tokens):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 6, batch_first=True)
        self.body = nn.TransformerEncoder(self.layer, 1, enable_nested_tensor=False)
        self.into = nn.Linear(1, WIDTH)
        self.register_buffer("mask", torch.triu(torch.full((tokens, tokens), -math.inf), 1))

    def forward(self, x):
        return self.body(self.into(x.unsqueeze(-1)), mask=self.mask, is_causal=True)


class Full(nn.Module):
    """nn.Transformer: encoder, decoder, cross attention, causal mask."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(1, WIDTH)
        self.body = nn.Transformer(WIDTH, 2, 1, 1, 6, batch_first=True)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, x):
        h = self.into(x.unsqueeze(-1))
        mask = nn.Transformer.generate_square_subsequent_mask(h.shape[1])
        return self.out(self.body(h, h, tgt_mask=mask, tgt_is_causal=True))[:, -1]


class HandWritten(nn.Module):
    """Attention with a registered mask, einsum, rotated halves, RMS norm and a gate."""

    def __init__(self, tokens=3):
        super().__init__()
        self.into, self.qkv = nn.Linear(1, WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.register_buffer("keep", torch.ones(tokens, tokens).tril().bool())

    def forward(self, x):
        h = self.norm(self.into(x.unsqueeze(-1)))
        q, k, v = self.qkv(h).chunk(3, -1)
        q = torch.cat([-q[..., WIDTH // 2 :], q[..., : WIDTH // 2]], -1)
        scores = torch.einsum("bqd,bkd->bqk", q, k) / math.sqrt(WIDTH)
        weights = scores.masked_fill(~self.keep, -math.inf).softmax(-1)
        h = h + F.silu(v) * torch.matmul(weights, v)
        return (h * h).sum((1, 2), keepdim=True)[..., 0]


class NeedWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.into = nn.Linear(1, WIDTH)

    def forward(self, x):
        h = self.into(x.unsqueeze(-1))
        out, weights = self.attention(h, h, h, need_weights=True)
        return out.sum(-1) + weights[:, 0]


MLP = nn.Sequential(
    nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 8), nn.ReLU(inplace=True),
    nn.LayerNorm(8), nn.Linear(8, 2), nn.Softplus(),
)  # fmt: skip

VARIANTS = {
    "post norm": (Encoder(), (1, 1)),
    "pre norm": (Encoder(pre=True), (1, 4)),
    "gelu tanh": (Encoder(activation=gelu_tanh), (1, 1)),
    "relu": (Encoder(activation="relu", readout="last"), (1, 1)),
    "silu": (Encoder(activation=F.silu, readout="flat"), (1, 1)),
    "tanh, sinusoids": (Encoder(activation=torch.tanh, place="fixed"), (1, 1)),
    "class token": (Encoder(readout="class"), (1, 1)),
    "one token": (Encoder(tokens=1), (1, 1)),
    "four tokens": (Encoder(tokens=4, readout="flat", pre=True), (1, 1)),
    "nine tokens": (Encoder(tokens=9), (1, 1)),
    "causal": (Causal(3), (1, 3)),
    "causal, many": (Causal(10), (1, 10)),
    "full transformer": (Full(), (1, 3)),
    "hand-written": (HandWritten(), (1, 3)),
    "need weights": (NeedWeights(), (1, 3)),
    "mlp": (MLP, (1, 1)),
    "vector": (nn.Sequential(nn.Linear(1, 3), nn.Sigmoid(), nn.Linear(3, 1)), (1,)),
}


def check(model, module, shape):
    reference = copy.deepcopy(module).double().eval()
    points = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.backends.mha.set_fastpath_enabled(False)
    expected = torch.stack([reference(x).detach() for x in points])
    torch.backends.mha.set_fastpath_enabled(True)
    out = evaluate(model.graph, points)["model"]
    assert model.inputs == shape and out.shape == expected.shape
    assert model.outputs == tuple(expected.shape[1:])
    assert model.parameters == sum(p.numel() for p in module.parameters())
    assert torch.allclose(out, expected, rtol=1e-10, atol=1e-10)
    assert agree(model, points) < 1e-12


@pytest.mark.parametrize("name", VARIANTS)
def test_graph_equals_module(name, tmp_path):
    module, shape = VARIANTS[name]
    export(module, torch.zeros(shape), tmp_path / "m.pt")
    check(load(tmp_path / "m.pt"), module, shape)


@pytest.mark.parametrize("name", ["post norm", "causal", "full transformer", "mlp"])
@pytest.mark.parametrize("decompose", [False, True])
def test_saved_by_torch(name, decompose, tmp_path):
    module, shape = VARIANTS[name]
    program = torch.export.export(module.eval(), (torch.zeros(shape),))
    program = program.run_decompositions({}) if decompose else program
    torch.export.save(program, tmp_path / "m.pt2")
    check(load(tmp_path / "m.pt2"), module, shape)


def test_core_decompositions(tmp_path):
    module, shape = VARIANTS["post norm"]
    program = torch.export.export(module.eval(), (torch.zeros(shape),)).run_decompositions()
    torch.export.save(program, tmp_path / "m.pt2")
    check(load(tmp_path / "m.pt2"), module, shape)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_stored_types(dtype, tmp_path):
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).to(dtype)
    export(module, torch.zeros(1, 1, dtype=dtype), tmp_path / "m.pt")
    check(load(tmp_path / "m.pt"), module, (1, 1))


def test_strided_and_tied_weights(tmp_path):
    class Strided(nn.Module):
        def __init__(self):
            super().__init__()
            whole = torch.randn(6, 4)
            self.first = nn.Parameter(whole[1:4, ::2].t())
            self.second = self.first

        def forward(self, x):
            return F.linear(F.linear(x, self.first) @ self.second, self.first).sum(-1)

    module = Strided()
    export(module, torch.zeros(1, 3), tmp_path / "m.pt")
    check(load(tmp_path / "m.pt"), module, (1, 3))


def test_origin_names_module_and_line(model_file):
    origins = {node.origin for node in load(model_file).graph.nodes}
    assert any(o.startswith("into (") for o in origins)
    assert all("conftest.py:" in o and not o.startswith("/") for o in origins)
