"""Which values a graph normalizes; look-alikes are refused, here and in the certificate's copy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from certify import normalized as engine
from certify.certificate import normalized as checker
from certify.frontend import load
from certify.frontend.export import export
from certify.frontend.network import as_network
from certify.graph import Builder
from theory.functions import FUNCTIONS

ROWS, D = 2, 5


def norm(
    *,
    centered=True,
    eps=1e-5,
    divisor=D,
    function="rsqrt",
    square="square",
    weight=None,
    scale=None,
    other=False,
    axis=-1,
    shuffle=None,
    mixed=False,
):
    """A hand-written norm of a (ROWS, D) value, or something that looks like one."""
    b = Builder((ROWS * D,))
    x = b.reshape(0, (ROWS, D))
    if axis == 0:
        x = b.gather(0, np.arange(ROWS * D).reshape(D, ROWS).T)
    whole = D * np.eye(D) - np.ones((D, D))
    c = b.affine(x, weight=whole, divisor=D) if centered else b.affine(x, scale=np.full(D, 1.5))
    of = b.apply(FUNCTIONS[square], x if other else c)
    mean = b.affine(of, weight=np.ones((1, D)) if weight is None else weight, divisor=divisor,
                    scale=scale, bias=eps)  # fmt: skip
    factor = b.apply(FUNCTIONS[function], mean)
    index = np.arange(ROWS) if shuffle is None else np.array(shuffle)
    left = b.gather(factor, index.reshape(ROWS, 1, 1))
    places = np.arange(ROWS * D).reshape(ROWS, 1, D)
    if mixed:  # every row holds entries of both
        places = places.reshape(D, ROWS).T.reshape(ROWS, 1, D)
    unit = b.matmul(left, b.gather(c, places))
    return b.graph(model=b.affine(b.reshape(unit, (ROWS * D,)), weight=np.ones((1, ROWS * D))))


def found_in(graph):
    """What both copies of the test find: the engine's bounds, the checker's squares."""
    ours, theirs = engine.normalized(graph), checker.normalized(as_network(graph))
    assert ours.keys() == theirs.keys()
    for number, (bound, length) in ours.items():
        assert Fraction(bound) ** 2 >= theirs[number]
        assert bound <= math.sqrt(theirs[number]) * (1 + 1e-15) and length >= bound
    return list(ours.values())


@pytest.mark.parametrize(("centered", "square"), [(True, D - 1), (False, D)])
def test_hand_written_norms(centered, square):
    ((bound, length),) = found_in(norm(centered=centered))
    assert Fraction(bound) ** 2 >= square and bound <= math.sqrt(square) * (1 + 1e-15)
    assert Fraction(length) ** 2 >= D and length <= math.sqrt(D) * (1 + 1e-15)


@pytest.mark.parametrize(
    "change",
    [
        {"eps": 0.0},
        {"eps": -1e-5},
        {"eps": None},
        {"divisor": D - 1},
        {"divisor": D + 1},
        {"divisor": 1.0},
        {"function": "reciprocal"},
        {"function": "sqrt"},
        {"square": "abs"},
        {"weight": np.array([[1.0, 1.0, 1.0, 1.0, 0.0]])},
        {"weight": np.full((1, D), 0.5)},
        {"scale": np.array([0.5])},
        {"other": True},
        {"shuffle": [1, 0]},
        {"shuffle": [0, 0]},
        {"mixed": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("centered", [True, False])
def test_look_alikes_are_refused(change, centered):
    """Each of them can have an entry beyond the bound, or is not seen to obey it."""
    assert found_in(norm(centered=centered, **change)) == []


def test_the_axis_is_that_of_the_rows():
    """Columns may be gathered into rows before: the norm is over what the rows then hold."""
    assert len(found_in(norm(axis=0))) == 1


def test_half_a_mean_is_no_mean():
    """x minus twice its mean: an RMSNorm of it is still bounded by sqrt(D), not sqrt(D - 1)."""
    b = Builder((D,))
    x = b.reshape(0, (1, D))
    c = b.affine(x, weight=D * np.eye(D) - 2 * np.ones((D, D)), divisor=D)
    mean = b.affine(b.apply(FUNCTIONS["square"], c), weight=np.ones((1, D)), divisor=D, bias=1e-5)
    unit = b.scale_rows(c, b.apply(FUNCTIONS["rsqrt"], mean))
    graph = b.graph(model=b.affine(b.reshape(unit, (D,)), weight=np.ones((1, D))))
    ((bound, _),) = found_in(graph)
    assert bound**2 > D - 0.5
    assert not any(engine.is_layer_norm(graph, v) for v in engine.normalized(graph))


@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_a_bias_after_the_mean_is_no_centering(offset):
    """c = x - mean + 1/4 is bounded by sqrt(D) only."""
    b = Builder((D,))
    bias = np.full(D, offset) if offset else None
    c = b.affine(b.reshape(0, (1, D)), weight=D * np.eye(D) - np.ones((D, D)), divisor=D, bias=bias)
    mean = b.affine(b.apply(FUNCTIONS["square"], c), weight=np.ones((1, D)), divisor=D, bias=1e-5)
    unit = b.scale_rows(c, b.apply(FUNCTIONS["rsqrt"], mean))
    graph = b.graph(model=b.affine(b.reshape(unit, (D,)), weight=np.ones((1, D))))
    ((bound, _),) = found_in(graph)
    assert (bound**2 > D - 0.5) == bool(offset)


class Norms(nn.Module):
    """Two LayerNorms and an RMSNorm of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 6), nn.Linear(6, 1)
        self.a, self.b, self.c = (
            nn.LayerNorm(6),
            nn.LayerNorm(6, eps=1e-12),
            nn.RMSNorm(6, eps=1e-6),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.c(torch.tanh(self.b(torch.relu(self.a(self.first(x)))))))


def test_torch_norms(tmp_path):
    path = tmp_path / "norms.pt"
    export(Norms().double().eval(), torch.zeros(1, 2, dtype=torch.float64), path)
    bounds = found_in(load(path).graph)
    assert sorted(round(bound**2, 9) for bound, _ in bounds) == [5, 5, 6]
    assert all(Fraction(length) ** 2 >= 6 for _, length in bounds)


def test_the_bounds_hold(ref):
    """At rows of one large entry, where they are nearly reached."""
    for centered in (True, False):
        graph = norm(centered=centered, eps=1e-30)
        ((number, (bound, _)),) = engine.normalized(graph).items()
        x = [0.0] * (ROWS * D)
        x[0], x[D + 1] = 1e8, -3.0
        entries = ref.values(graph, x)[number].reshape(-1)
        assert max(abs(v) for v in entries) <= bound
        assert max(abs(v) for v in entries) > bound * (1 - 1e-9)
