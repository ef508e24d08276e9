"""ONE post-norm encoder layer that interpolates a function, with linear maps around it.

    python -m probes.witnesses.postnorm        makes exp.cert.json.gz again

Six features hold (x, -x, p, -p, M, -M). Their mean is 0, and their variance is M^2 / 3 up to a
factor 1 + (x^2 + p^2) / M^2, so that both LayerNorms, scaled by M / sqrt(3), leave them as they
are up to a relative error of (x^2 + p^2) / (2 M^2). Attention adds 0. The feed-forward layer turns
x into p: piecewise linear interpolation with ReLU, whose error is at most max |f''| h^2 / 8 for
knots at distance h. Everything is `torch.nn.TransformerEncoderLayer` as it is.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

FEATURES = 6
LARGE = 1000.0  # M: the relative error of a LayerNorm is below 1e-5 for |x|, |p| <= 3
CERTIFICATE = Path(__file__).parent / "exp.cert.json.gz"
WITHIN = 0.0015


class PostNorm(nn.Module):
    """Linear, one post-norm encoder layer, linear; input and output have the shape (1, 1)."""

    def __init__(self, function: Callable[[float], float], knots: int = 33) -> None:
        """Interpolate `function` on [-1, 1]; chords are moved by the middle of their distances."""
        super().__init__()
        self.embed = nn.Linear(1, FEATURES)
        self.layer = nn.TransformerEncoderLayer(
            FEATURES, 1, knots - 1, dropout=0.0, batch_first=True, norm_first=False
        )
        self.head = nn.Linear(FEATURES, 1)
        self.double()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self._embed_and_norms()
            self.head.bias[0] = self._interpolate(function, knots)

    def _embed_and_norms(self) -> None:
        self.embed.weight[:2, 0] = torch.tensor([1.0, -1.0])
        self.embed.bias[4:] = torch.tensor([LARGE, -LARGE])
        for norm in (self.layer.norm1, self.layer.norm2):
            norm.weight.fill_(LARGE / math.sqrt(3))
        self.head.weight[0, 2] = 1.0

    def _interpolate(self, function: Callable[[float], float], knots: int) -> float:
        """Slopes change at the knots: p = sum of (change of slope) relu(x - knot); returns p's
        offset: f(-1) less the middle of the distances between chords and function."""
        places = [-1 + 2 * k / (knots - 1) for k in range(knots)]
        values = [function(t) for t in places]
        steps = zip(places, places[1:], values, values[1:], strict=False)
        slopes = [(d - c) / (b - a) for a, b, c, d in steps]
        sag = [0.0] + [
            (c + d) / 2 - function((a + b) / 2)
            for a, b, c, d in zip(places, places[1:], values, values[1:], strict=False)
        ]
        first, second = self.layer.linear1, self.layer.linear2
        first.weight[:, 0] = 1.0
        for k, place in enumerate(places[:-1]):
            change = slopes[k] - (slopes[k - 1] if k else 0.0)
            first.bias[k] = -place
            second.weight[2, k], second.weight[3, k] = change, -change
        return values[0] - (max(sag) + min(sag)) / 2

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x).unsqueeze(1)).squeeze(1))


def certificate(module: nn.Module, expression: str, within: float) -> bytes:
    """Export the module, check that it is within `within` of a target, and write that down.

    Raises:
        ValueError: it was not proved.
    """
    import certify
    from certify.certificate.writing import as_bytes, as_data
    from certify.checking import check
    from certify.options import Options
    from certify.report.certificate import as_certificate

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "witness.pt"
        certify.export(module.eval(), torch.zeros(1, 1, dtype=torch.float64), path)
        report = check(str(path), expression, Options(cells=4, within=within))
    if report.exit_code:
        raise ValueError(f"not proved: sup error in {report.known.sup}")
    return as_bytes(as_data(as_certificate(report)), packed=True)


def main() -> int:
    """Make the stored certificate again."""
    from theory.files import replace_file

    replace_file(CERTIFICATE, certificate(PostNorm(math.exp), "exp(x)", WITHIN))
    print(f"{CERTIFICATE.name}: {CERTIFICATE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
