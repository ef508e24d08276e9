"""Attention is found in the graph and is what torch says, in both forms of softmax."""

import pytest
import torch
from known_models import Exp, loaded

import certify
from probes.attention import attention


class Heads(torch.nn.Module):
    """One attention over n tokens, with the weights for reference."""

    def __init__(self, n):
        super().__init__()
        torch.manual_seed(n)
        self.n = n
        self.embed = torch.nn.Linear(1, 4 * n)
        self.query, self.key = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    def weights(self, x):
        h = 3 * self.embed(x).view(1, self.n, 4)
        return torch.softmax(self.query(h) @ self.key(h).transpose(1, 2), -1)

    def forward(self, x):
        h = self.embed(x).view(1, self.n, 4)
        return (self.weights(x) @ h).sum(dim=(1, 2)).view(1, 1)


@pytest.mark.parametrize("n", [2, 4, 9])
def test_the_largest_weights_are_those_of_torch(n, tmp_path):
    module = Heads(n).double().eval()
    certify.export(module, torch.zeros(1, 1, dtype=torch.float64), tmp_path / "m.pt")
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    (found,) = attention(certify.load(tmp_path / "m.pt").graph, x)
    with torch.no_grad():
        top = torch.stack([module.weights(v.view(1, 1)).amax(-1).flatten() for v in x])
    assert found.keys == n
    for ours, theirs in zip((found.mean, found.least, found.most),
                            (top.mean(1), top.amin(1), top.amax(1)), strict=True):  # fmt: skip
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


class Gate(torch.nn.Module):
    """Reciprocals that are no softmax."""

    def forward(self, x):
        h = torch.cat([x, x + 1], dim=1)
        return (1 / (2 + torch.exp(h))).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("module", [Exp(), Gate()])
def test_what_only_looks_like_softmax_is_not_taken_for_one(module, tmp_path):
    model = loaded(module, tmp_path)
    assert attention(model.graph, torch.linspace(-1, 1, 5, dtype=torch.float64)) == ()
