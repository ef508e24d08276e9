"""A third opinion: small ReLU networks as exact piecewise linear formulas, decided by Z3 alone.

The model is encoded from the module's weights, not from the graph: if-then-else over the reals.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import z3
from torch import nn

from certify.checker.check import verify
from certify.checking import check
from certify.frontend.export import export
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from theory.claims import real


class Residual(nn.Module):
    """A ReLU encoder block of one token without normalization: attention over one token is its
    value projection, an affine map; then a residual feed-forward layer."""

    def __init__(self, width):
        super().__init__()
        self.embed, self.value = nn.Linear(1, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        h = self.embed(x)
        h = h + self.value(h)
        h = h + self.down(torch.relu(self.up(h)))
        return self.head(h)


def linear(layer, values):
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [z3.Sum([real(w) * v for w, v in zip(row, values, strict=True)]) + real(b) for row, b in
            rows]  # fmt: skip


def encoded(module, x):
    h = linear(module.embed, [x])
    h = [a + b for a, b in zip(h, linear(module.value, h), strict=True)]
    hidden = [z3.If(u > 0, u, real(0)) for u in linear(module.up, h)]
    h = [a + b for a, b in zip(h, linear(module.down, hidden), strict=True)]
    return linear(module.head, h)[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_sup_error_is_bracketed(tmp_path, seed):
    """sup |model - |x|| on [-1, 1]: no input exceeds hi, some input reaches lo; exactly."""
    torch.manual_seed(seed)
    module = Residual(3).double().eval()
    export(module, torch.zeros(1, 1).double(), tmp_path / "m.pt")
    report = check(str(tmp_path / "m.pt"), "abs(x)", Options(cells=4, limits=Limits(30)))
    lo, hi = report.known.sup
    x = z3.Real("x")
    error = encoded(module, x) - z3.If(x > 0, x, -x)
    domain = [x >= -1, x <= 1]

    def possible(*formulas):
        solver = z3.Solver()
        solver.add(*domain, *formulas)
        return solver.check()

    assert possible(z3.Or(error > real(hi), -error > real(hi))) == z3.unsat
    assert possible(z3.Or(error >= real(lo), -error >= real(lo))) == z3.sat
    tighter = Fraction(hi) * Fraction(97, 100)  # closed to 1 %: the opinion can contradict
    assert possible(z3.Or(error > real(tighter), -error > real(tighter))) == z3.sat
    for cell, (least, most) in zip(report.cells[:, 0].tolist(), report.known.range.T.tolist(),
                                   strict=True):  # fmt: skip
        inside = x >= real(cell[0]), x <= real(cell[1])
        model = encoded(module, x)
        assert possible(*inside, z3.Or(model < real(least), model > real(most))) == z3.unsat
    result = verify(as_certificate(report), jobs=1)
    assert result.accepted, result.reason
