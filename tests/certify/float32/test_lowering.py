"""Which programs have a float32 semantics, and what becomes of them."""

import numpy as np
import pytest
import torch
from torch import nn

import certify
from certify.errors import Unsupported
from certify.float32.lowering import EXACT, lower_float32, supported
from certify.float32.rules import RULES, is_single
from certify.graph import Rounded
from certify.ops import TABLE, VIEWS


def graph_of(module, folder):
    path = folder / "m.pt"
    certify.export(module.eval(), torch.zeros(1, 1), path)
    return lower_float32(certify.load(path).program)


class Body(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x)


def test_tables_name_known_operators_once():
    assert set(RULES) <= set(TABLE)
    assert set(TABLE) >= EXACT
    assert not set(RULES) & EXACT
    assert not (set(RULES) | EXACT) & VIEWS
    assert set(supported()) <= set(TABLE)


@pytest.mark.parametrize(
    ("body", "roundings"),
    [
        (lambda x: torch.tanh(x) + 0.1, 2),
        (lambda x: x.relu().neg().abs().reshape(1).expand(3).sum().reshape(1, 1), 1),
        (lambda x: x.clamp(-0.5, 0.5), 0),
        (lambda x: torch.cat([x, x * 0.3], 1).softmax(-1)[:, :1], 2),
        (lambda x: (x * torch.tensor([[1.0, 2.0]])).mean(1, keepdim=True), 2),
        (lambda x: torch.where(torch.tensor([[True]]), x, -x), 0),
    ],
)
def test_operators_round_once_each(body, roundings, tmp_path):
    graph = graph_of(Body(body), tmp_path)
    assert sum(isinstance(n.primitive, Rounded) for n in graph.nodes) == roundings


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (lambda x: torch.expm1(x), "expm1"),
        (lambda x: x.clamp(-0.1, 0.5), "0.1"),
        (lambda x: x**-2, "power"),
        (lambda x: x + torch.tensor([[2**24 + 1]]).to(torch.float32), "constant"),
    ],
)
def test_operators_without_a_bound_are_named(body, named, tmp_path):
    with pytest.raises(Unsupported, match="float32") as told:
        graph_of(Body(body), tmp_path)
    assert named in str(told.value)


def test_models_in_float64_are_refused(tmp_path):
    certify.export(nn.Linear(1, 1).double(), torch.zeros(1, 1).double(), tmp_path / "m.pt")
    with pytest.raises(Unsupported, match=r"float64.*model\.float\(\)"):
        lower_float32(certify.load(tmp_path / "m.pt").program)


def test_float32_numbers_are_told_apart():
    assert is_single(0.5) and is_single(-np.inf) and is_single(0.0) and is_single(True)
    assert is_single(np.array([1.0, 2.0**-126])) and is_single(3)
    assert not is_single(0.1) and not is_single(2.0**-127) and not is_single(1e300)
    assert not is_single(2**24 + 1)
