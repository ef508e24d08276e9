"""Derivatives of graphs: against torch's autograd, against 400 bits, and as enclosures."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from certify.derivative import derive
from certify.domains.taylor import Taylor
from certify.errors import Unsupported
from certify.evaluate import evaluate
from certify.frontend.target import target_node
from certify.graph import Builder, enclose
from theory.expressions import parse

SMOOTH = st.sampled_from(["gelu", "silu", "tanh", "softplus"])
EVERY = st.sampled_from(["gelu", "silu", "tanh", "relu", "abs"])
SEEDS = st.integers(0, 10**6)


def encoder(ref, seed, **more):
    b, model = ref.encoder(np.random.default_rng(seed), layers=1, **more)
    return b.graph(model=model)


def value(ref, graph, t):
    return ref.values(graph, mpf(t))[graph.outputs["model"]].reshape(-1)[0]


@given(seed=SEEDS, act=SMOOTH, pre=st.booleans())
@settings(max_examples=10)
def test_against_differences_at_400_bits(ref, seed, act, pre):
    graph = encoder(ref, seed, act=act, pre=pre)
    first, t = derive(graph), np.random.default_rng(seed).uniform(-1, 1)
    slope = evaluate(first, torch.tensor([[t]], dtype=torch.float64))["model"]
    curve = evaluate(derive(first), torch.tensor([[t]], dtype=torch.float64))["model"]
    with mp.workprec(400):
        for ours, order in ((slope, 1), (curve, 2)):
            true = mpmath.diff(lambda s: value(ref, graph, s), mpf(t), order)
            assert abs(float(ours) - true) <= 1e-9 * (1 + abs(true))


@given(seed=SEEDS, act=EVERY, pre=st.booleans(), width=st.integers(-12, -1))
@settings(max_examples=15)
def test_difference_quotients_lie_inside(ref, seed, act, pre, width):
    """Across kinks too: a quotient of exact values lies between the bounds of the box."""
    rng = np.random.default_rng(seed)
    graph = encoder(ref, seed, act=act, pre=pre)
    lo = rng.uniform(-1, 1)
    hi = lo + 2.0**width
    domain = Taylor(6)
    model = enclose(derive(graph), torch.tensor([[lo, hi]]).double(), domain=domain)["model"]
    low, high = (float(end) for end in domain.range(model))
    places = sorted(rng.uniform(lo, hi, 6))
    values = [value(ref, graph, t) for t in places]
    for a, b, f, g in zip(places, places[1:], values, values[1:], strict=False):
        assert mpf(low) <= (g - f) / (mpf(b) - mpf(a)) <= mpf(high)


def test_a_network_of_torch(zoo_exp):
    """The same as autograd, through attention and LayerNorm."""
    module, graph = zoo_exp
    x = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(-1, 1).requires_grad_()
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    ours = evaluate(derive(graph), x.detach().unsqueeze(-1))["model"].reshape(-1, 1)
    assert torch.allclose(ours, slope, rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module")
def zoo_exp(tmp_path_factory):
    import certify
    from certify.frontend.target import model_graph

    torch.manual_seed(3)
    layer = torch.nn.TransformerEncoderLayer(6, 2, 8, 0.0, "gelu", batch_first=True)

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.layer = torch.nn.Linear(1, 12), layer
            self.head = torch.nn.Linear(6, 1)

        def forward(self, x):
            tokens = self.embed(x).unflatten(-1, (2, 6))
            return self.head(self.layer(tokens).mean(-2))

    module = Small().double().eval()
    path = tmp_path_factory.mktemp("small") / "small.pt"
    certify.export(module, torch.zeros(1, 1, dtype=torch.float64), path)
    return module, model_graph(certify.load(path), None)


def of_target(text):
    builder = Builder((1,))
    return builder.graph(model=target_node(builder, parse(text), 0))


@pytest.mark.parametrize("text", ["sign(x)", "x + sign(x)"])
def test_jumps_are_refused(text):
    with pytest.raises(Unsupported, match="no slopes"):
        derive(of_target(text))


def test_a_kink_has_no_second_derivative():
    with pytest.raises(Unsupported, match="no slopes"):
        derive(derive(of_target("relu(x)")))


def test_what_does_not_depend_on_x_has_slope_zero_exactly():
    domain = Taylor(4)
    model = enclose(derive(of_target("0*x + 1/3")), torch.tensor([[-1.0, 1.0]]).double(),
                    domain=domain)["model"]  # fmt: skip
    assert all(float(end) == 0 for end in domain.range(model))


def test_several_variables_are_refused():
    builder = Builder((2,))
    with pytest.raises(ValueError, match="one input"):
        derive(builder.graph(model=builder.gather(0, np.array([0]))))
