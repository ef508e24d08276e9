"""Graphs of one primitive of any scale, for laws about primitives."""

from __future__ import annotations

import graphs
import numpy as np

from certify.graph import Builder, Graph
from theory.functions import FUNCTIONS


def numbers(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Of any scale that float64 has, zeros and denormal ones among them."""
    with np.errstate(over="ignore"):
        out = graphs.numbers(rng, shape, scale)
    return np.where(np.isfinite(out), out, 0.0)


def line(b: Builder, rng: np.random.Generator, size: int, scale: float) -> int:
    """size numbers that depend on the input."""
    return b.affine(0, weight=numbers(rng, (size, 1), scale), bias=numbers(rng, (size,), scale))


def gather(b: Builder, rng: np.random.Generator, scale: float) -> int:
    return b.gather(line(b, rng, 4, scale), rng.integers(-1, 4, (2, 3)))


def affine(b: Builder, rng: np.random.Generator, scale: float) -> int:
    more = {n: numbers(rng, (2,), scale) for n in ("scale", "bias") if rng.random() < 0.6}
    divisor = float(rng.choice([1.0, 3.0, -7.0, 2.0**-20, 1e-300, 1e300]))
    weight = numbers(rng, (2, 3), scale)
    return b.affine(line(b, rng, 3, 1.0), weight=weight, divisor=divisor, **more)


def add(b: Builder, rng: np.random.Generator, scale: float) -> int:
    return b.add(line(b, rng, 2, scale), line(b, rng, 2, scale))


def matmul(b: Builder, rng: np.random.Generator, scale: float) -> int:
    sides = (b.reshape(line(b, rng, 6, scale), shape) for shape in ((2, 3), (3, 2)))
    return b.matmul(*sides)


def apply(b: Builder, rng: np.random.Generator, scale: float) -> int:
    return b.apply(FUNCTIONS[str(rng.choice(sorted(FUNCTIONS)))], line(b, rng, 3, scale))


PRIMITIVES = {"Gather": gather, "Affine": affine, "Add": add, "Matmul": matmul, "Apply": apply}


def graph(kind: str, seed: int, scale: float) -> Graph:
    """One entry of one primitive of random lines."""
    b = Builder((1,))
    value = PRIMITIVES[kind](b, np.random.default_rng(seed), scale)
    size = int(np.prod(b.shape(value)))
    return b.graph(model=b.gather(value, np.array([seed % size])))
