"""Transformers as people write them: imported, compared with torch in float64, and enclosed."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from certify.domains.taylor import Taylor
from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.agree import agree
from certify.frontend.export import export
from certify.frontend.unroll import Unrolled
from certify.graph import Affine, Graph, Node, enclose

WIDTH, TOKENS, HEADS = 4, 3, 2


class Embedded(nn.Module):
    """Numbers become tokens, and every token a number."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(1, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x):
        return self.out(self.body(self.into(x.unsqueeze(-1))))[..., 0]


class Full(Embedded):
    """nn.Transformer, its masks handed over without any hint."""

    def __init__(self, masks, **options):
        super().__init__()
        self.transformer = nn.Transformer(WIDTH, HEADS, 2, 2, 6, batch_first=True, **options)
        square = nn.Transformer.generate_square_subsequent_mask(TOKENS)
        self.register_buffer("causal", square)
        self.register_buffer("hide", square < 0)
        self.register_buffer("padding", torch.arange(TOKENS)[None] == TOKENS - 1)
        self.start = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.masks = masks

    def body(self, h):
        masks = {
            "causal": {"tgt_mask": self.causal},
            "bool": {"tgt_mask": self.hide, "src_mask": self.hide},
            "all": {"src_mask": self.causal, "tgt_mask": self.causal, "memory_mask": self.causal},
            "padding": {
                "src_key_padding_mask": self.padding,
                "memory_key_padding_mask": self.padding,
                "tgt_mask": nn.Transformer.generate_square_subsequent_mask(h.shape[1]),
            },
        }
        if self.masks == "start":
            return self.transformer(h, self.start.expand(h.shape[0], -1, -1))
        return self.transformer(h, h, **masks[self.masks])


class Readout(Full):
    """No head: what the final norm gives."""

    def forward(self, x):
        h = self.into(x.unsqueeze(-1))
        return self.transformer(h, self.start.expand(x.shape[0], -1, -1))[:, 0]


class Pair(nn.Module):
    """Source and the tokens so far -> one token for each of those."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(1, WIDTH)
        self.transformer = nn.Transformer(WIDTH, HEADS, 1, 1, 6, batch_first=True)

    def forward(self, x, y):
        mask = nn.Transformer.generate_square_subsequent_mask(y.shape[1]).to(y.dtype)
        return self.transformer(self.into(x.unsqueeze(-1)), y, tgt_mask=mask)


class SequenceFirst(Embedded):
    """The layout (tokens, batch, width), encoder with a mask and a final norm."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 6)
        self.stack = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(WIDTH))

    def body(self, h):
        mask = nn.Transformer.generate_square_subsequent_mask(TOKENS).to(h.dtype)
        return self.stack(h.transpose(0, 1), mask=mask).transpose(0, 1)


class Decoder(Embedded):
    """A decoder over a memory that is stored."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 6, batch_first=True, norm_first=True)
        self.stack = nn.TransformerDecoder(layer, 2, norm=nn.LayerNorm(WIDTH))
        self.register_buffer("memory", torch.randn(1, 2, WIDTH))

    def body(self, h):
        return self.stack(h, self.memory, tgt_mask=torch.full((3, 3), -math.inf).triu(1).to(h))


class Attention(Embedded):
    """nn.MultiheadAttention with everything it offers."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(
            WIDTH, HEADS, kdim=2, vdim=3, add_bias_kv=True, add_zero_attn=True, batch_first=True
        )

    def body(self, h):
        hide = torch.tensor([[False, True, False]])
        out, weights = self.attention(
            h, h[..., :2], h[..., 1:], key_padding_mask=hide, average_attn_weights=False
        )
        return out + weights.sum((1, 3))[..., None]


class Llama(Embedded):
    """RMS norm by hand, rotary positions, grouped queries, SwiGLU, a causal mask of -inf."""

    def __init__(self):
        super().__init__()
        self.q, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(WIDTH, WIDTH // HEADS, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, 6, bias=False) for _ in range(2))
        self.down = nn.Linear(6, WIDTH, bias=False)
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)
        angle = torch.outer(torch.arange(TOKENS), 10000.0 ** -torch.arange(0, 1, 1.0))
        self.register_buffer("cos", torch.cat([angle, angle], -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angle, angle], -1).sin(), persistent=False)

    def norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight

    def rotated(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat((-b, a), -1) * self.sin

    def body(self, h):
        n, d = h.shape[1], WIDTH // HEADS
        y = self.norm(h)
        q = self.rotated(self.q(y).view(1, n, HEADS, d).transpose(1, 2))
        k = self.rotated(self.k(y).view(1, n, 1, d).transpose(1, 2)).expand(-1, HEADS, -1, -1)
        v = self.v(y).view(1, n, 1, d).transpose(1, 2).repeat_interleave(HEADS, 1)
        mask = torch.full((n, n), -math.inf).triu(1).to(h.dtype)
        p = F.softmax((q @ k.transpose(-2, -1)) / math.sqrt(d) + mask, dim=-1)
        h = h + self.o((p @ v).transpose(1, 2).contiguous().view(1, n, WIDTH))
        y = self.norm(h)
        return h + self.down(F.silu(self.gate(y)) * self.up(y))


class Interleaved(Embedded):
    """Rotation of neighboring pairs, frequencies as powers, scores masked in place."""

    def body(self, h):
        place = torch.arange(h.shape[1], dtype=h.dtype)
        angle = torch.einsum("i,j->ij", place, 100.0 ** -(torch.arange(0, WIDTH, 2).to(h) / WIDTH))
        a, b = h[..., 0::2], h[..., 1::2]
        pair = [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()]
        q = torch.stack(pair, -1).flatten(-2)
        scores = torch.bmm(q, q.mT)
        scores[:, 0, 1:] = -math.inf
        return scores.softmax(-1) @ h


class Gpt(Embedded):
    """One matrix for q, k and v, a registered triangle, position embeddings, tanh GELU."""

    def __init__(self):
        super().__init__()
        self.place = nn.Embedding(TOKENS, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 8), nn.GELU(approximate="tanh"), nn.Linear(8, WIDTH), nn.Dropout(0.1)
        )
        self.register_buffer("triangle", torch.ones(TOKENS, TOKENS).tril().view(1, 1, 3, 3))

    def body(self, h):
        b, t, c = h.shape
        h = h + self.place(torch.arange(t).unsqueeze(0))
        heads = (
            p.view(b, t, HEADS, -1).transpose(1, 2) for p in self.qkv(self.first(h)).split(c, 2)
        )
        q, k, v = heads
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        scores = scores.masked_fill(self.triangle[:, :, :t, :t] == 0, -math.inf)
        mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(b, t, c)
        h = h + self.project(mixed)
        return h + self.mlp(self.second(h))


class Einsums(Embedded):
    """All products by einsum, class token, relative positions, the smallest float as a mask."""

    def __init__(self):
        super().__init__()
        self.start = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.qkv = nn.Parameter(torch.randn(3, HEADS, WIDTH, 2))
        self.o = nn.Parameter(torch.randn(HEADS, 2, WIDTH))
        self.relative = nn.Embedding(2 * TOKENS + 1, HEADS)

    def body(self, h):
        h = torch.cat([h, self.start.expand(len(h), -1, -1)], 1)
        q, k, v = torch.einsum("bnd,thde->tbhne", h, self.qkv)
        place = torch.arange(h.shape[1])
        far = (place[None] - place[:, None]).clamp(-TOKENS, TOKENS) + TOKENS
        scores = torch.einsum("...ne,...me->...nm", q, k) + self.relative(far).permute(2, 0, 1)
        keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        p = torch.where(keep, scores, torch.finfo(scores.dtype).min).softmax(-1)
        return h + torch.einsum("bhnm,bhme,hed->bnd", p, v, self.o)


class ByHand(Embedded):
    """Softmax with its maximum subtracted, layer norm from mean and std, log-softmax, GLU."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(WIDTH, 2 * WIDTH)

    def body(self, h):
        scores = torch.bmm(h, h.mT) / 2
        scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -math.inf)
        e = (scores - scores.amax(-1, keepdim=True)).exp()
        h = h + (e / e.sum(-1, keepdim=True)) @ h
        h = (h - h.mean(-1, keepdim=True)) / (h.std(-1, keepdim=True) + 0.1)
        return F.glu(self.gate(h), -1) + h.log_softmax(-1) + F.normalize(h, dim=-1)


class LinearAttention(Embedded):
    """No softmax: elu + 1 as a feature map."""

    def body(self, h):
        q, k = F.elu(h) + 1, F.elu(h) + 1
        weight = torch.einsum("bnd,bne->bde", k, h)
        total = 1 / (torch.einsum("bnd,bd->bn", q, k.sum(1)) + 1e-6)
        return torch.einsum("bnd,bde,bn->bne", q, weight, total)


class Fourier(nn.Module):
    """Sinusoid features of the input, pre-norm, one head."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rate", 2.0 ** torch.arange(3))
        self.into, self.out = nn.Linear(7, WIDTH), nn.Linear(WIDTH, 1)
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, 1, 8, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, x):
        angle = x[..., None] * self.rate
        features = torch.cat([x[..., None], angle.sin(), angle.cos()], -1)
        return self.out(self.layer(self.into(features))).sum(1)


class Patches(nn.Module):
    """Tokens by a convolution, group norm, a squeeze and excitation gate."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv1d(1, WIDTH, 2, stride=1, padding=1)
        self.mix = nn.Conv1d(WIDTH, WIDTH, 3, padding=1, groups=2, padding_mode="replicate")
        self.norm, self.out = nn.GroupNorm(2, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x):
        h = self.norm(self.patch(x.unsqueeze(1)))
        h = F.mish(self.mix(h)) * F.hardswish(h.mean(-1, keepdim=True))
        return self.out(h.transpose(1, 2)).amax(1)


class Blocks(nn.Module):
    """An answer written into a tensor piece by piece."""

    def __init__(self):
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Linear(TOKENS, TOKENS))

    def forward(self, x):
        y = torch.zeros(1, TOKENS, TOKENS, dtype=x.dtype)
        y[:, 0] = self.layer(x).sigmoid()
        y[:, 1:, 0] = y[:, 0, :1] * x[:, 1:]
        y[:, :, [2, 1]] += x[:, None, :2]
        return F.pad(y, (1, 0)).flatten(1)


MODELS = {
    "transformer, causal": Full("causal"),
    "transformer, bool masks": Full("bool", norm_first=True),
    "transformer, all masks": Full("all", activation="gelu"),
    "transformer, padding": Full("padding"),
    "transformer, start token": Full("start"),
    "transformer, no head": Readout("start", norm_first=True),
    "autoregressive": Unrolled(Pair(), nn.Parameter(torch.randn(1, 1, WIDTH)), 3),
    "sequence first": SequenceFirst(),
    "decoder": Decoder(),
    "multi-head attention": Attention(),
    "llama": Llama(),
    "interleaved": Interleaved(),
    "gpt": Gpt(),
    "einsums": Einsums(),
    "by hand": ByHand(),
    "linear attention": LinearAttention(),
    "fourier": Fourier(),
    "patches": Patches(),
    "blocks": Blocks(),
}


@pytest.fixture(autouse=True)
def ordinary_path():
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


def prepared(name):
    module = copy.deepcopy(MODELS[name])
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.6, generator=generator)
    return module.eval()


def along(graph, base, way):
    """The graph behind x = base + t * way: one variable, as any model can be certified."""
    first = Node(Affine(weight=way.reshape(-1, 1), bias=base), (0,), graph.input_shape)
    rest = [replace(n, inputs=tuple(i + 1 for i in n.inputs)) for n in graph.nodes]
    return Graph((1, 1), (first, *rest), {"model": graph.outputs["model"] + 1})


@pytest.mark.parametrize("name", MODELS)
def test_imported_and_enclosed(name, tmp_path):
    module = prepared(name)
    export(module, torch.zeros(1, TOKENS), tmp_path / "m.pt")
    model = load(tmp_path / "m.pt")
    module.double()
    points = torch.randn(6, 1, TOKENS, dtype=torch.float64)
    expected = torch.stack([module(x).detach() for x in points])
    out = evaluate(model.graph, points)["model"]
    assert out.shape == expected.shape
    assert torch.allclose(out, expected, rtol=1e-10, atol=1e-10)
    assert agree(model, points) < 1e-12

    rng = np.random.default_rng(9)
    base, way = rng.normal(size=(2, TOKENS))
    lo = rng.uniform(-1, 1, 12)
    boxes = torch.from_numpy(np.stack([lo, lo + 10.0 ** rng.uniform(-6, -0.5, 12)], 1))
    domain = Taylor(4)
    low, high = domain.range(enclose(along(model.graph, base, way), boxes, domain=domain)["model"])
    assert not (low.isnan() | high.isnan()).any() and bool((high < np.inf).any())
    for share in (0.0, 0.3, 1.0):
        t = boxes[:, 0] + share * (boxes[:, 1] - boxes[:, 0])
        x = torch.from_numpy(base) + t.reshape(-1, 1, 1) * torch.from_numpy(way)
        values = torch.stack([module(row).detach() for row in x])
        # torch's float64 values carry rounding that the real function does not have
        slack = 1e-12 * (1 + values.abs())
        assert bool(((low <= values + slack) & (values - slack <= high)).all())


def test_export_puts_torch_back(tmp_path):
    detect = nn.modules.transformer._detect_is_causal_mask
    export(prepared("transformer, causal"), torch.zeros(1, TOKENS), tmp_path / "m.pt")
    assert nn.modules.transformer._detect_is_causal_mask is detect


@pytest.mark.parametrize("start, steps", [(torch.zeros(1, 4), 1), (torch.zeros(1, 1, 4), 0)])
def test_unrolled_refuses(start, steps):
    with pytest.raises(ValueError, match="start has the shape"):
        Unrolled(Pair(), start, steps)
