"""What graphs mean at single inputs, from the textbook, in Arb balls: a second reference.

A ball certainly contains the value, whatever cancels on the way, so that no number of bits has
to be believed; where a ball is too wide to say anything the bits are doubled. Formulas are
written here, and nothing is imported from the code under test but the names of the primitives.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from flint import arb, ctx

from certify.graph import Add, Affine, Apply, Gather, Graph, Matmul

LEAST = arb(2) ** -1100
NOT_DEFINED = arb("nan")
NOTHING = arb(0, (-(arb(2) ** 39)).exp())  # holds 1 / t for every t beyond e**(2**40)
BITS = (256, 1024, 4096)


def _positive(f: Callable[[arb], arb]) -> Callable[[arb], arb]:
    """f where its argument is certainly positive; nothing is said elsewhere."""
    return lambda t: f(t) if t > 0 else NOT_DEFINED


def _exp(t: arb) -> arb:
    """Beyond 2**40 Arb gives up: inf then stands for some number above e**(2**40)."""
    return t.exp() if t < arb(2) ** 40 else arb("inf") if t > arb(2) ** 40 else NOT_DEFINED


def _abs(t: arb) -> arb:
    return abs(t)


def _relu(t: arb) -> arb:
    return (t + abs(t)) / 2


def _sigmoid(t: arb) -> arb:
    """1 / (1 + e^-t), or e^t / (1 + e^t) for t < 0, so that nothing overflows."""
    small = (-abs(t)).exp()
    return 1 / (1 + small) if t >= 0 else small / (1 + small) if t < 0 else 1 / (1 + (-t).exp())


def _softplus(t: arb) -> arb:
    return _relu(t) + (-abs(t)).exp().log1p()


def _normal(t: arb) -> arb:
    """The distribution function of the normal law."""
    return (-t / arb(2).sqrt()).erfc() / 2


def _gelu_tanh(t: arb) -> arb:
    u = (2 / arb.pi()).sqrt() * (t + arb(44715) / 10**6 * t * t * t)
    return t * _sigmoid(2 * u)


def _cbrt(t: arb) -> arb:
    if t.is_zero():
        return arb(0)
    return t.root(3) if t > 0 else -((-t).root(3)) if t < 0 else NOT_DEFINED


def _log(t: arb) -> arb:
    return t.log() if t > 0 else NOT_DEFINED


FUNCTIONS: dict[str, Callable[[arb], arb]] = {
    "exp": _exp,
    "log": _log,
    "sin": arb.sin,
    "cos": arb.cos,
    "tanh": lambda t: 1 - 2 * _sigmoid(-2 * t),
    "erf": arb.erf,
    "square": lambda t: t * t,
    "sqrt": lambda t: t.sqrt() if t >= 0 else NOT_DEFINED,
    "cbrt": _cbrt,
    "reciprocal": lambda t: NOTHING if _huge(t) else NOT_DEFINED if t.contains(0) else 1 / t,
    "rsqrt": _positive(lambda t: NOTHING if _huge(t) else t.rsqrt()),
    "relu": _relu,
    "abs": _abs,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "gelu": lambda t: t * _normal(t),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda t: t * _sigmoid(t),
}


def _huge(t: arb) -> bool:
    """Some number above e**(2**40), or below its negative."""
    return not t.is_finite() and bool(t > 1 or t < -1)


def balls(array: object) -> np.ndarray:
    """Floats as exact balls, in an object array of the same shape."""
    array = np.asarray(array, dtype=float)
    out = np.empty(array.shape, dtype=object)
    for i, value in enumerate(array.reshape(-1).tolist()):
        out.reshape(-1)[i] = arb(value)
    return out


def primitive(p: object, inputs: list[np.ndarray]) -> np.ndarray:
    """One primitive on object arrays of balls."""
    x = inputs[0]
    match p:
        case Gather(index):
            flat = [*x.reshape(-1), arb(0)]
            return _filled(index.shape, [flat[k] for k in index.reshape(-1).tolist()])
        case Affine(weight, scale, divisor, bias):
            if weight is not None:
                x = _dot(x, balls(weight).T)
            x = x if scale is None else x * balls(scale)
            x = x / arb(divisor)
            return np.asarray(x if bias is None else x + balls(bias), dtype=object)
        case Add():
            return np.asarray(x + inputs[1], dtype=object)
        case Matmul():
            return _dot(x, inputs[1])
        case Apply(function):
            f = FUNCTIONS[function.name]
            return _filled(x.shape, [f(t) for t in x.reshape(-1)])
    raise TypeError(p)


def _filled(shape: tuple[int, ...], entries: list[arb]) -> np.ndarray:
    out = np.empty(shape, dtype=object)
    for i, entry in enumerate(entries):
        out.reshape(-1)[i] = entry
    return out


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b over the last axis of a; b is one matrix, or one for each leading index."""
    if b.ndim > 2:
        return np.stack([_dot(p, q) for p, q in zip(a, b, strict=True)])
    rows = a.reshape(-1, a.shape[-1])
    out = [sum((p * q for p, q in zip(row, column, strict=True)), arb(0))
           for row in rows for column in b.T]  # fmt: skip
    return _filled((*a.shape[:-1], b.shape[1]), out)


def values(graph: Graph, x: float) -> list[np.ndarray]:
    """Balls of every value of a graph at the number x, by number, at the current precision."""
    out = [_filled(graph.input_shape, [arb(x)] * math.prod(graph.input_shape))]
    for node in graph.nodes:
        out.append(primitive(node.primitive, [out[i] for i in node.inputs]))
    return out


def at(graph: Graph, x: float, *, sharp: float = 2.0**-60) -> dict[str, list[arb]]:
    """Balls of every output at x, with as many bits as it takes to know them to `sharp`.

    A ball that is nan says that the graph is not defined there, or not known to be.
    """
    for bits in BITS:
        with ctx.workprec(bits):
            every = values(graph, x)
            out = {n: list(every[i].reshape(-1)) for n, i in graph.outputs.items()}
            if all(
                b.is_finite() and b.rad() <= sharp * abs(b) + LEAST for v in out.values() for b in v
            ):
                break
    return out


def outside(ball: arb, lo: float, hi: float) -> bool:
    """Whether the value is certainly not in [lo, hi]; an end that is nan excludes everything."""
    if math.isnan(lo) or math.isnan(hi) or lo > hi:
        return True
    if ball.is_nan():
        return False
    with ctx.workprec(BITS[-1]):
        low, high = ball.lower(), ball.upper()
        return bool(high < arb(lo)) or bool(low > arb(hi))
