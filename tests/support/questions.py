"""A small encoder against exp as a problem, and leaves compared bit for bit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import textbook
import torch

from certify.search import Leaves, Problem
from theory.functions import FUNCTIONS


def problem(layers: int = 1, cells: int = 4) -> Problem:
    """An untrained encoder minus exp on [-1, 1]."""
    b, model = textbook.encoder(np.random.default_rng(1), layers=layers)
    graph = textbook.difference(b, model, b.apply(FUNCTIONS["exp"], 0))
    edges = torch.linspace(-1, 1, cells + 1, dtype=torch.float64)
    return Problem(graph, torch.stack([edges[:-1], edges[1:]], 1))


def same(one: Leaves, two: Leaves) -> bool:
    """Bit for bit, nan and signed zeros included."""
    pairs = [(getattr(one, f.name), getattr(two, f.name)) for f in fields(Leaves)]
    return all(a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)
