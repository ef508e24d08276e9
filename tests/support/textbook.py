"""What graphs mean, from the textbook: exact fractions for linear maps, mpmath at 400 bits.

Nothing here is imported from the code under test but the names of the primitives.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from mpmath import mp, mpf

from certify.graph import Add, Affine, Apply, Builder, Gather, Graph, Matmul, Node
from theory.functions import FUNCTIONS

NAMES = [
    "exp",
    "log",
    "sin",
    "cos",
    "tanh",
    "erf",
    "square",
    "sqrt",
    "cbrt",
    "reciprocal",
    "rsqrt",
    "relu",
    "abs",
    "sigmoid",
    "softplus",
    "gelu",
    "gelu_tanh",
    "silu",
]


def _gelu_tanh(t):
    u = mp.sqrt(2 / mp.pi) * (t + mpf(44715) / 10**6 * t**3)
    return t / (1 + mp.exp(-2 * u))


def _positive(f):
    return lambda t: f(t) if t > 0 else None


TEXTBOOK = {
    "exp": mp.exp,
    "log": _positive(mp.log),
    "sin": mp.sin,
    "cos": mp.cos,
    "tanh": mp.tanh,
    "erf": lambda t: mp.erf(t) if abs(t) < 100 else mp.sign(t),
    "square": lambda t: t * t,
    "sqrt": lambda t: mp.sqrt(t) if t >= 0 else None,
    "cbrt": lambda t: mp.sign(t) * mp.cbrt(abs(t)),
    "reciprocal": lambda t: 1 / t if t else None,
    "rsqrt": _positive(lambda t: 1 / mp.sqrt(t)),
    "relu": lambda t: max(t, mpf(0)),
    "abs": abs,
    "sigmoid": lambda t: 1 / (1 + mp.exp(-t)),
    "softplus": lambda t: mp.log1p(mp.exp(t)) if t < 600 else t + mp.exp(-t),
    "gelu": lambda t: t * mp.erfc(-t / mp.sqrt(2)) / 2 if abs(t) < 1000 else max(t, mpf(0)),
    "gelu_tanh": lambda t: _gelu_tanh(t) if abs(t) < 1000 else max(t, mpf(0)),
    "silu": lambda t: t / (1 + mp.exp(-t)) if abs(t) < 1e6 else max(t, mpf(0)),
}


def textbook(name, t):
    """f(t), or None where f is not defined."""
    return TEXTBOOK[name](mpf(t))


def exact(array, kind=Fraction):
    """Floats as exact numbers, in an object array of the same shape."""
    if isinstance(array, torch.Tensor):
        array = array.numpy()
    array = np.asarray(array, dtype=float)
    out = np.empty(array.shape, dtype=object)
    for i, value in enumerate(array.reshape(-1).tolist()):
        out.reshape(-1)[i] = kind(value)
    return out


def polynomial(coef, t, kind=Fraction):
    """sum_j coef[j] t**j, coef (K + 1, *shape) floats, t exact."""
    out = exact(coef[-1], kind)
    for c in reversed(list(coef[:-1])):
        out = out * t + exact(c, kind)
    return out


def primitive(p, inputs, kind=mpf):
    """One primitive on object arrays of exact numbers."""
    x = inputs[0]
    match p:
        case Gather(index):
            flat = [*np.asarray(x, dtype=object).reshape(-1), kind(0)]
            out = np.empty(index.shape, dtype=object)
            for i, k in enumerate(index.reshape(-1).tolist()):
                out.reshape(-1)[i] = flat[k]
            return out
        case Affine(weight, scale, divisor, bias):
            if weight is not None:
                x = _dot(x, exact(weight, kind).T, kind)
            if scale is not None:
                x = x * exact(scale, kind)
            x = x / kind(divisor)
            x = x if bias is None else x + exact(bias, kind)
            return np.asarray(x, dtype=object)
        case Add():
            return np.asarray(x + inputs[1], dtype=object)
        case Matmul():
            return _dot(x, inputs[1], kind)
        case Apply(function):
            out = np.empty(x.shape, dtype=object)
            for i, value in enumerate(x.reshape(-1)):
                out.reshape(-1)[i] = TEXTBOOK[function.name](value)
            return out
    raise TypeError(p)


def _dot(a, b, kind):
    lead = a.shape[:-1]
    if b.ndim == 2:
        rows = a.reshape(-1, a.shape[-1])
        out = np.empty((len(rows), b.shape[1]), dtype=object)
        for i, row in enumerate(rows):
            for j in range(b.shape[1]):
                out[i, j] = sum((p * q for p, q in zip(row, b[:, j], strict=True)), kind(0))
        return out.reshape(*lead, b.shape[1])
    return np.stack([_dot(p, q, kind) for p, q in zip(a, b, strict=True)])


def values(graph, x):
    """Every value of a graph, by number, at the number x or at several, one for each input."""
    start = np.empty(math.prod(graph.input_shape), dtype=object)
    start[:] = [mpf(v) for v in x] if isinstance(x, list | tuple) else mpf(x)
    out = [start.reshape(graph.input_shape)]
    for node in graph.nodes:
        out.append(primitive(node.primitive, [out[i] for i in node.inputs]))
    return out


def as_graph(network):
    """The certificate's network as a graph that the reference can evaluate."""
    nodes = []
    for node in network.nodes:

        def full(part, shape=node.shape):
            return None if part is None else np.array(part).reshape(shape)

        primitive = {
            "gather": lambda n=node: Gather(np.array(n.index).reshape(n.shape)),
            "affine": lambda n=node: Affine(
                None if n.weight is None else np.array(n.weight),
                full(n.scale), n.divisor, full(n.bias)),
            "add": lambda n=node: Add(),
            "matmul": lambda n=node: Matmul(),
            "apply": lambda n=node: Apply(FUNCTIONS[n.function]),
        }[node.kind]()  # fmt: skip
        nodes.append(Node(primitive, node.inputs, node.shape))
    return Graph(network.input_shape, tuple(nodes), {"model": network.output})


def within(value, lo, hi):
    """lo <= value <= hi, exactly; lo and hi are floats and not nan."""
    assert not (math.isnan(lo) or math.isnan(hi)), "nan is no bound"
    low = lo == -math.inf or type(value)(lo) <= value
    return low and (hi == math.inf or value <= type(value)(hi))


def layer_norm(b, value, gain, bias, eps=1e-5):
    """LayerNorm over the last axis, as nodes."""
    n = b.shape(value)[-1]
    middle = b.affine(value, weight=n * np.eye(n) - np.ones((n, n)), divisor=n)
    square = b.apply(FUNCTIONS["square"], middle)
    mean = b.affine(square, weight=np.ones((1, n)), divisor=n, bias=eps)
    unit = b.scale_rows(middle, b.apply(FUNCTIONS["rsqrt"], mean))
    return b.affine(unit, scale=gain, bias=bias)


def softmax(b, scores):
    """1 / (1 + sum exp(s_j - s_i)) over the last axis, as nodes."""
    shape = b.shape(scores)
    n = shape[-1]
    if n == 1:
        return b.constant(np.ones(shape))
    one, other = np.nonzero(~np.eye(n, dtype=bool))
    terms = b.affine(scores, weight=np.eye(n)[other] - np.eye(n)[one])
    terms = b.reshape(b.apply(FUNCTIONS["exp"], terms), (*shape, n - 1))
    total = b.affine(terms, weight=np.ones((1, n - 1)), bias=1.0)
    return b.apply(FUNCTIONS["reciprocal"], b.reshape(total, shape))


def encoder(
    rng, *, layers=1, width=4, tokens=2, act="gelu", pre=False, scale=1.0, eps=1e-5, inputs=1
):
    """Grow a random encoder from one or more numbers to one; returns (builder, value)."""
    b = Builder((inputs,))

    def linear(value, n_out):
        n = b.shape(value)[-1]
        w = rng.normal(size=(n_out, n)) * scale / math.sqrt(n)
        return b.affine(value, weight=w, bias=rng.normal(size=n_out) * 0.1)

    def norm(value):
        return layer_norm(b, value, rng.uniform(0.5, 1.5, width), rng.normal(size=width) * 0.1, eps)

    def attention(value):
        q, k, v = (linear(value, width) for _ in range(3))
        turned = b.gather(k, np.arange(tokens * width).reshape(tokens, width).T)
        scores = b.affine(b.matmul(q, turned), divisor=math.sqrt(width))
        return linear(b.matmul(softmax(b, scores), v), width)

    def feed(value):
        return linear(b.apply(FUNCTIONS[act], linear(value, 2 * width)), width)

    start = b.affine(0, weight=rng.normal(size=(tokens * width, inputs)), bias=rng.normal(
        size=tokens * width))  # fmt: skip
    h = b.reshape(start, (tokens, width))
    for _ in range(layers):
        for block in (attention, feed):
            h = b.add(h, block(norm(h))) if pre else norm(b.add(h, block(h)))
    flat = b.reshape(h, (tokens * width,))
    return b, b.affine(flat, weight=rng.normal(size=(1, tokens * width)) / (tokens * width))


def difference(b, model, target):
    """The graph that the search takes; outputs of shape (1,)."""
    return b.graph(model=model, target=target, difference=b.subtract(model, target))
