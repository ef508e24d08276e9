"""The paper's data: input tokens of one uniform token, output tokens of those, elementwise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from theory.errors import BadRequest

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Scheme:
    """How tokens come from the first one, x1 in [-1, 1]^d. Every formula is elementwise.

    Attributes:
        name: what the user calls it.
        inputs: m, the number of input tokens.
        outputs: n, the number of output tokens.
        formulas: x1 -> (m input tokens, n output tokens), arrays of the shape of x1.
    """

    name: str
    inputs: int
    outputs: int
    formulas: Callable[[np.ndarray], tuple[Arrays, Arrays]]

    def tokens(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All tokens of given first ones; also what runs along a curve of inputs.

        Args:
            first: float64, shape (points, d), in [-1, 1].

        Returns:
            Inputs (points, m, d) and outputs (points, n, d), float64.
        """
        inputs, outputs = self.formulas(first)
        return np.stack(inputs, axis=1), np.stack(outputs, axis=1)

    def sample(self, count: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
        """Tokens of `count` points x1 ~ U[-1, 1]^d.

        Returns:
            Inputs (count, m, d) and outputs (count, n, d), float64; equal arguments give equal
            numbers, and the state of torch's own generator is neither used nor changed.
        """
        generator = torch.Generator().manual_seed(seed)
        first = 2 * torch.rand(count, d, generator=generator, dtype=torch.float64) - 1
        inputs, outputs = self.tokens(first.numpy())
        return torch.from_numpy(inputs), torch.from_numpy(outputs)


def _scheme_one(x1: np.ndarray) -> tuple[Arrays, Arrays]:
    x2 = np.cbrt(x1)
    return [x1, x2], [x1 + x2]


def _mixed(x1: np.ndarray) -> tuple[Arrays, Arrays]:
    x2 = np.cbrt(x1)
    x3 = 2 * np.log(2 + x1) + x2 / 10
    x4 = np.exp(x2) + x3
    y1 = (x1 + x2 + x3 + x4) / 5
    y2 = (x1 * y1 + np.exp(x2) + x3 + np.log(x4)) / 5
    y3 = (x1 + y2 + y1 + x2**2 + x3 * x4) / 5
    return [x1, x2, x3, x4], [y1, y2, y3]


SCHEMES = {
    "scheme-one": Scheme("scheme-one", 2, 1, _scheme_one),
    "mixed": Scheme("mixed", 4, 3, _mixed),
}


def find_scheme(name: str) -> Scheme:
    """The scheme called `name`.

    Raises:
        BadRequest: there is none.
    """
    if name not in SCHEMES:
        raise BadRequest(f"no data scheme {name!r}; choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name]


def diagonal(classes: int) -> np.ndarray:
    """The K-way task's labels: the K points (c, ..., c), c evenly spaced from -1 to 1.

    The nearest of them depends on mean(y) alone. This spacing is a reconstruction: it is the
    one that gives the shares of the middle class which the released code shows.

    Args:
        classes: K, at least 2.

    Returns:
        The c, float64, shape (K,), ascending.
    """
    return np.linspace(-1.0, 1.0, classes)


def classify(outputs: Tensor, classes: int) -> Tensor:
    """The number of the nearest label of every output token.

    Args:
        outputs: shape (..., d).
        classes: K, at least 2.

    Returns:
        int64, shape (...); the lower label where two are equally near.
    """
    middles = torch.from_numpy((diagonal(classes)[1:] + diagonal(classes)[:-1]) / 2)
    return torch.searchsorted(middles, outputs.double().mean(dim=-1).contiguous())


def stream(seed: int, *names: object) -> int:
    """A seed for one purpose, so that no two purposes share random numbers.

    Args:
        seed: the experiment's.
        names: what the numbers are for, such as ("batch", 17).

    Returns:
        A number in [0, 2^63).
    """
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
