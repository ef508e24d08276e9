"""Random whole graphs and random boxes, as hypothesis strategies.

The structure (which primitives, which shapes, which functions) is drawn by hypothesis, so that a
failure shrinks; the numbers come from a drawn seed: normal ones of any scale from 1e-6 to 1e6,
powers of two, float32 ones, denormal ones, zeros of both signs.
"""

from __future__ import annotations

import math

import numpy as np
import textbook
from hypothesis import strategies as st

from certify.graph import Builder, Graph
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 1.0, 1.0, 3.0, 30.0, 1e3, 1e6])
ACTS = ("gelu", "relu", "silu", "gelu_tanh", "tanh", "sigmoid", "softplus", "abs", "erf", "sin")
NEED_POSITIVE = ("log", "sqrt", "rsqrt", "reciprocal")
STEPS = ("affine", "gather", "add", "matmul", "apply", "positive", "norm", "softmax", "product")

_TINY = (0.0, -0.0, 5e-324, -5e-324, 2.0**-1022, 1e-300)
CENTERS = st.one_of(
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.floats(-1e6, 1e6),
    st.sampled_from([*_TINY, 1.0, -1.0, 64.0, 1e6, -1e6]),
)
WIDTHS = st.one_of(
    st.just(0.0),
    st.floats(0, 1),
    st.integers(-60, 20).map(lambda k: 2.0**k),
    st.sampled_from([5e-324, 2.0**-1022, 1e-300]),
)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float]:
    """A closed interval, lo <= hi: a point, a few ulps, or as wide as 1e6."""
    center, width = draw(CENTERS), draw(WIDTHS)
    lo, hi = center - width / 2, center + width / 2
    for _ in range(draw(st.integers(0, 2))):
        hi = math.nextafter(hi, math.inf)
    return lo, hi


def numbers(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Constants of one affine map."""
    out = rng.normal(size=shape) * scale
    kind = rng.choice(6, p=[0.55, 0.15, 0.1, 0.1, 0.05, 0.05])
    if kind == 1:
        out = out.astype(np.float32).astype(float)
    if kind == 2:
        out = np.where(rng.random(shape) < 0.5, rng.choice([0.0, -0.0], shape), out)
    if kind == 3:
        out = np.sign(out) * 2.0 ** np.round(np.log2(np.abs(out) + 1e-12))
    if kind == 4:
        out = np.where(rng.random(shape) < 0.5, rng.choice(_TINY, shape), out)
    if kind == 5:  # rows that are alike: what a LayerNorm behind them sees hardly varies
        out = np.broadcast_to(out.reshape(-1)[0] if out.size else 0.0, shape).copy()
    return out


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A random chain of primitives with branches, outputs model, target and difference."""
    rng = np.random.default_rng(draw(SEEDS))
    b = Builder((1,))
    rows, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    start = b.affine(0, weight=numbers(rng, (rows * width, 1), 1.0),
                     bias=numbers(rng, (rows * width,), 1.0))  # fmt: skip
    values = [b.reshape(start, (rows, width))]
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(STEPS))
        values.append(_step(draw, rng, b, values, kind))
    last = b.reshape(values[-1], (math.prod(b.shape(values[-1])),))
    weight = numbers(rng, (1, b.shape(last)[0]), 1.0)
    model = b.affine(last, weight=weight)
    name = draw(st.sampled_from(["exp", "sin", "tanh", "square"]))
    return textbook.difference(b, model, b.apply(FUNCTIONS[name], 0))


def _step(draw: st.DrawFn, rng: np.random.Generator, b: Builder, values: list, kind: str) -> int:
    x = values[-1]
    shape = b.shape(x)
    scale = draw(SCALES)
    match kind:
        case "affine":
            parts = draw(st.sets(st.sampled_from(["weight", "scale", "divisor", "bias"])))
            more: dict = {}
            width = shape[-1]
            if "weight" in parts:
                width = draw(st.integers(1, 3))
                more["weight"] = numbers(rng, (width, shape[-1]), scale)
            for part in ("scale", "bias"):
                if part in parts:
                    more[part] = numbers(rng, (width,), scale)
            if "divisor" in parts:
                more["divisor"] = float(rng.choice([3.0, -7.0, 0.1, 2.0**-20, 1e-6]))
            return b.affine(x, **more)
        case "gather":
            to = draw(st.sampled_from([(1, 2), (2, 2), (3, 1), (2, 3)]))
            return b.gather(x, rng.integers(-1, math.prod(shape), to))
        case "add":
            other = [v for v in values if b.shape(v) == shape]
            return b.add(x, draw(st.sampled_from(other)))
        case "matmul":
            return b.matmul(x, b.gather(x, np.arange(math.prod(shape)).reshape(shape).T))
        case "apply":
            return b.apply(FUNCTIONS[draw(st.sampled_from(sorted(FUNCTIONS)))], x)
        case "positive":
            floor = draw(st.sampled_from([1.0, 1e-5, 1e-12, 1e-300]))
            lifted = b.affine(b.apply(FUNCTIONS["square"], x), bias=floor)
            return b.apply(FUNCTIONS[draw(st.sampled_from(NEED_POSITIVE))], lifted)
        case "norm":
            eps = draw(st.sampled_from([1e-5, 1e-12, 1e-300]))
            gain, bias = (numbers(rng, shape[-1:], 1.0) for _ in range(2))
            return textbook.layer_norm(b, x, gain, bias, eps)
        case "softmax":
            return textbook.softmax(b, b.affine(x, scale=scale))
        case "product":
            return b.multiply(x, x)
    raise ValueError(kind)


@st.composite
def encoders(draw: st.DrawFn) -> Graph:
    """A random encoder, weights of one scale from 1e-6 to 1e6: saturated or nearly constant."""
    rng = np.random.default_rng(draw(SEEDS))
    b, model = textbook.encoder(
        rng,
        layers=draw(st.integers(1, 2)),
        width=draw(st.integers(1, 4)),
        tokens=draw(st.integers(1, 3)),
        act=draw(st.sampled_from(ACTS)),
        pre=draw(st.booleans()),
        scale=draw(SCALES),
        eps=draw(st.sampled_from([1e-5, 1e-12, 1e-300])),
    )
    return textbook.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
