"""What torch's encoders mean, from the textbook, in Arb balls, read off the module's weights.

A reference for the whole way from a module to a graph: nothing of the frontend is used. The
formulas are those of Vaswani et al., Attention is all you need, 2017, and of torch's
documentation (post-norm or pre-norm, biased variance in LayerNorm).
"""

from __future__ import annotations

import numpy as np
from balls import FUNCTIONS, balls
from flint import arb


def _linear(x: np.ndarray, weight, bias) -> np.ndarray:
    return x.dot(balls(weight.detach().numpy()).T) + balls(bias.detach().numpy())


def _layer_norm(x: np.ndarray, norm) -> np.ndarray:
    n = x.shape[1]
    rows = []
    for row in x:
        mean = sum(row, arb(0)) / n
        variance = sum(((v - mean) * (v - mean) for v in row), arb(0)) / n
        root = (variance + arb(norm.eps)).sqrt()
        rows.append([(v - mean) / root for v in row])
    gain, bias = balls(norm.weight.detach().numpy()), balls(norm.bias.detach().numpy())
    return np.array(rows, dtype=object) * gain + bias


def _attention(x: np.ndarray, block) -> np.ndarray:
    width, heads = x.shape[1], block.num_heads
    size = width // heads
    parts = _linear(x, block.in_proj_weight, block.in_proj_bias)
    out = np.empty_like(x)
    for head in range(heads):
        q, k, v = (parts[:, i * width + head * size :][:, :size] for i in range(3))
        scores = q.dot(k.T) / arb(size).sqrt()
        for i, row in enumerate(scores):
            weights = [1 / sum(((s - t).exp() for s in row), arb(0)) for t in row]
            out[i, head * size : (head + 1) * size] = np.array(weights, dtype=object).dot(v)
    return _linear(out, block.out_proj.weight, block.out_proj.bias)


def _feed(x: np.ndarray, layer) -> np.ndarray:
    name = layer.activation.__name__
    hidden = _linear(x, layer.linear1.weight, layer.linear1.bias)
    hidden = np.vectorize(FUNCTIONS[name], otypes=[object])(hidden)
    return _linear(hidden, layer.linear2.weight, layer.linear2.bias)


def value(module, x: float) -> arb:
    """The output of a `certify.testing.encoders` module at x, at the current precision."""
    start = _linear(np.array([arb(x)], dtype=object), module.start.weight, module.start.bias)
    h = start.reshape(module.tokens, module.width)
    for layer in module.layers.layers:
        blocks = ((_attention, layer.self_attn, layer.norm1), (_feed, layer, layer.norm2))
        for block, weights, norm in blocks:
            if layer.norm_first:
                h = h + block(_layer_norm(h, norm), weights)
            else:
                h = _layer_norm(h + block(h, weights), norm)
    mean = sum(h, np.full(module.width, arb(0), dtype=object)) / arb(module.tokens)
    (out,) = _linear(mean, module.head.weight, module.head.bias)
    return out
