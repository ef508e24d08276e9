"""The deviation covers every execution: sampled ones, and rests of second order alone."""

import math

import numpy as np
import pytest
import torch

from certify.evaluate import step
from certify.float32 import backward
from certify.float32.backward import deviation
from certify.float32.lowering import lower_float32
from certify.graph import Builder, Graph, Node, Rounded
from theory.functions import FUNCTIONS

POINT = torch.tensor([[0.0, 0.0]], dtype=torch.float64)


def noisy(builder, value, size):
    """value + u with |u| <= size."""
    return builder.rounded(value, (), lambda out: torch.full_like(out[0], size))


def execution(graph: Graph, x: torch.Tensor, generator, times: float = 1.0) -> torch.Tensor:
    """One execution at points (P,): every rounding as large as allowed there, of random sign."""
    values = {0: x.reshape(-1, *graph.input_shape)}
    for number, node in enumerate(graph.nodes, start=1):
        inputs = [values[i] for i in node.inputs]
        values[number] = step(node, inputs)
        if isinstance(node.primitive, Rounded):
            error = node.primitive.error(*((v, v) for v in inputs)) / times
            sign = torch.randint(0, 2, values[number].shape, generator=generator) * 2 - 1
            values[number] = values[number] + sign * error * (1 - 1e-9)
    return values[graph.outputs["model"]].reshape(-1)


def louder(graph: Graph, times: float) -> Graph:
    """The graph with all rounding errors multiplied."""
    nodes = [
        Node(Rounded(lambda *r, e=n.primitive.error: times * e(*r)), n.inputs, n.shape)
        if isinstance(n.primitive, Rounded)
        else n
        for n in graph.nodes
    ]
    return Graph(graph.input_shape, tuple(nodes), graph.outputs)


@pytest.mark.parametrize("times", [1.0, 100.0])
@pytest.mark.parametrize("width", [0.0, 0.02])
def test_sampled_executions_stay_within(exported, width, times, seeded):
    graph = louder(lower_float32(exported.program), times)
    lo = torch.tensor([-0.9, -0.3, 0.1, 0.7], dtype=torch.float64)
    order = 6 if width else 0
    found = deviation(graph, torch.stack([lo, lo + width], 1), order=order)
    assert bool(torch.isfinite(found).all())
    real = graph
    most = torch.zeros(4, dtype=torch.float64)
    for _ in range(40):
        x = (lo + width * torch.rand(4, generator=seeded).double()).clamp(max=1)
        values = {0: x.reshape(-1, *real.input_shape)}
        for number, node in enumerate(real.nodes, start=1):
            values[number] = step(node, [values[i] for i in node.inputs])
        plain = values[real.outputs["model"]].reshape(-1)
        most = torch.maximum(most, (execution(graph, x, seeded) - plain).abs())
    assert bool((most <= found).all())
    assert bool((most > found / 100).all())


def test_passes_for_every_entry_are_sound_and_help(exported, monkeypatch, seeded):
    graph = louder(lower_float32(exported.program), 100.0)
    box = torch.tensor([[0.3, 0.31]], dtype=torch.float64)
    monkeypatch.setattr(backward, "WIDE", math.inf)
    rough = deviation(graph, box)
    monkeypatch.setattr(backward, "WIDE", 0.0)
    monkeypatch.setattr(backward, "GROWTH", 1.0)
    monkeypatch.setattr(backward, "CHUNK", 1)
    sharp = deviation(graph, box)
    assert sharp <= rough * (1 + 1e-9)
    x = torch.full((200,), 0.305, dtype=torch.float64)
    spread = execution(graph, x, seeded)
    assert (spread.max() - spread.min()) <= 2 * sharp


def test_a_square_at_zero_has_only_its_rest():
    builder = Builder((1,))
    graph = builder.graph(model=builder.apply(FUNCTIONS["square"], noisy(builder, 0, 0.5)))
    assert 0.25 <= deviation(graph, POINT, order=0).item() < 0.26


def test_a_product_at_zero_has_only_its_rest():
    builder = Builder((1,))
    a, b = noisy(builder, 0, 0.5), noisy(builder, 0, 0.25)
    graph = builder.graph(model=builder.multiply(a, b))
    assert 0.125 <= deviation(graph, POINT, order=0).item() < 0.13


@pytest.mark.parametrize("at", [-0.25, 0.0, 0.25])
def test_relu_across_its_kink(at):
    builder = Builder((1,))
    graph = builder.graph(model=builder.apply(FUNCTIONS["relu"], noisy(builder, 0, 0.5)))
    found = deviation(graph, POINT + at, order=0).item()
    exact = max(abs(max(at + u, 0) - max(at, 0)) for u in (-0.5, 0.5))
    assert exact <= found
    box = torch.tensor([[at - 0.1, at + 0.1]], dtype=torch.float64)
    assert deviation(graph, box).item() >= exact


def test_a_value_that_relu_and_another_function_read():
    """x relu(x): the tube of x serves a product too, and must not be cut to one side."""
    builder = Builder((1,))
    x = noisy(builder, 0, 0.5)
    graph = builder.graph(model=builder.multiply(x, builder.apply(FUNCTIONS["relu"], x)))
    for at in (-0.1, 0.0, 0.1):
        real = at * max(at, 0)
        exact = max(abs((at + u) * max(at + u, 0) - real) for u in np.linspace(-0.5, 0.5, 101))
        assert exact <= deviation(graph, POINT + at, order=0).item()


@pytest.mark.parametrize("at", [-0.1, 0.0, 0.1])
def test_relu_past_its_kink_where_the_tube_is_read_twice(at):
    builder = Builder((1,))
    x = noisy(builder, 0, 0.5)
    nothing = builder.affine(builder.multiply(x, x), scale=np.zeros(1))
    graph = builder.graph(model=builder.add(builder.apply(FUNCTIONS["relu"], x), nothing))
    exact = max(abs(max(at + u, 0) - max(at, 0)) for u in (-0.5, 0.5))
    assert exact <= deviation(graph, POINT + at, order=0).item() < 10


def test_an_unknown_factor_makes_the_product_unknown():
    builder = Builder((1,))
    rough = noisy(builder, 0, math.inf)
    graph = builder.graph(model=builder.multiply(rough, builder.constant(np.ones(1))))
    assert deviation(graph, POINT + 0.5, order=0).item() == math.inf


def test_operators_read_what_was_computed():
    """The second rounding is relative to a value that the first one changed."""
    builder = Builder((1,))
    x = noisy(builder, 0, 0.5)
    y = builder.rounded(x, (), lambda out: 0.1 * torch.maximum(out[0].abs(), out[1].abs()))
    found = deviation(builder.graph(model=y), POINT, order=0).item()
    assert found >= 0.5 + 0.1 * 0.5


def test_unknown_stays_unknown():
    builder = Builder((1,))
    graph = builder.graph(model=noisy(builder, 0, math.inf))
    assert deviation(graph, POINT, order=0).item() == math.inf
    broken = builder.graph(model=noisy(builder, 0, math.nan))
    assert deviation(broken, POINT, order=0).item() == math.inf


def test_the_input_itself_deviates_by_nothing():
    builder = Builder((1,))
    assert deviation(builder.graph(model=0), POINT).item() == 0
