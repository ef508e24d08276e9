"""Boxes of several inputs: how much wider the certified variation is than the true one.

An 8-input pre-norm encoder (2 tokens of width 4, 2 layers) on 1,000 random boxes of half-width
0.005 inside [-1, 1]^8, all in one search; and a 4-input encoder (linear embedding to width 16, 2
layers) on the whole of [-1, 1]^4 against a target.

    python -m benchmarks.boxes [eight] [four]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import sympy as sp
import torch
from torch import Tensor, nn

import certify
from certify.checking import check
from certify.frontend.target import compare
from certify.goal import Goal
from certify.options import Options
from certify.run import Limits, search
from certify.search import Problem

STARTS, CLIMB = 24, 60  # points of each box, and steps from each, for the true variation


class Encoder(nn.Module):
    """Tokens of the given width, or numbers embedded linearly, through pre-norm layers."""

    def __init__(self, tokens: int, width: int, embedded: bool, layers: int = 2) -> None:
        super().__init__()
        self.tokens = tokens
        self.embed = nn.Linear(1, width) if embedded else nn.Identity()
        layer = nn.TransformerEncoderLayer(
            width, 1, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(tokens * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, inputs)."""
        tokens = self.embed(x.reshape(len(x), self.tokens, -1))
        return self.head(self.layers(tokens).reshape(len(x), -1))


def saved(module: nn.Module, inputs: int) -> str:
    """The module as a model file in a new folder."""
    path = Path(tempfile.mkdtemp()) / "model.pt"
    certify.export(module.eval(), torch.zeros(1, inputs), path)
    return str(path)


def true_variation(module: nn.Module, boxes: Tensor) -> Tensor:
    """max - min on every box (B, n, 2) by projected ascent from many starts, in float64."""
    module = module.double()
    lo, hi = boxes.unsqueeze(1).unbind(-1)
    generator = torch.Generator().manual_seed(1)
    ends = []
    for sign in (1, -1):
        t = torch.rand((len(boxes), STARTS, boxes.shape[1]), generator=generator).double()
        t[:, : STARTS // 2] = t[:, : STARTS // 2].round()
        x, rate = lo + (hi - lo) * t, 0.5
        best = torch.full((len(boxes),), -torch.inf, dtype=torch.float64)
        for step in range(CLIMB):
            x = x.detach().requires_grad_()
            value = sign * module(x.reshape(-1, x.shape[-1])).reshape(x.shape[:2])
            (slope,) = torch.autograd.grad(value.sum(), x)
            best = torch.maximum(best, value.detach().amax(1))
            # Mostly linear: the corner uphill first, then ever smaller steps along the slope.
            to = torch.where(slope > 0, hi, lo) if step < 4 else x + slope.sign() * (hi - lo) * rate
            x, rate = torch.minimum(torch.maximum(to, lo), hi), rate * (0.9 if step > 4 else 1)
        ends.append(best)
    return ends[0] + ends[1]


def eight(seed: int = 0, count: int = 1000, budget: float = 60.0) -> str:
    """The first question; one line of a table."""
    torch.manual_seed(seed)
    module = Encoder(tokens=2, width=4, embedded=False)
    model = certify.load(saved(module, 8))
    generator = torch.Generator().manual_seed(seed)
    middle = (torch.rand((count, 8), generator=generator, dtype=torch.float64) * 2 - 1) * 0.995
    boxes = torch.stack([middle - 0.005, middle + 0.005], -1)
    problem = Problem(compare(model, sp.Integer(0), None), boxes)
    began = time.process_time()
    outcome = search(problem, Goal(gap=0.04, sup=False, plateaus=False), Limits(budget))
    spent = time.process_time() - began
    lower, upper = outcome.known.variation
    ratio = upper / true_variation(module, boxes)
    if bool((ratio < 1 - 1e-9).any()) or bool(ratio.isnan().any()):
        raise AssertionError("a true variation exceeds its bound")
    marks = [float(ratio.quantile(q)) for q in (0.5, 0.95, 1.0)]
    shown = " | ".join(f"{mark:.4g}" for mark in marks)
    closed = int((upper <= 1.04 * lower).sum())
    return (
        f"| {seed} | {shown} | {closed} | {outcome.state.boxes} | {outcome.stopped_by} | "
        f"{outcome.seconds:.1f} | {spent:.1f} |"
    )


def four(budget: float = 600.0) -> str:
    """The second question: a trained encoder and its target on all of [-1, 1]^4."""
    torch.manual_seed(0)
    module, target = Encoder(tokens=4, width=16, embedded=True), "sin(x1)*x2 + x3*x4"
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        x = torch.rand(256, 4) * 2 - 1
        wanted = torch.sin(x[:, 0]) * x[:, 1] + x[:, 2] * x[:, 3]
        loss = ((module(x).squeeze(1) - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    lines, marks = [], [10.0, 60.0, 150.0, 300.0, budget]

    def watch(progress) -> None:
        while marks and progress.seconds > marks[0]:
            lo, hi = progress.known.sup
            lines.append(f"| {marks.pop(0):g} | {lo:.6g} | {hi:.6g} | {progress.boxes} |")

    options = Options(gap=0.05, limits=Limits(budget))
    report = check(saved(module, 4), target, options, watch)
    lo, hi = report.known.sup
    end = f"| {report.outcome.seconds:.0f}, {report.outcome.stopped_by} | {lo:.6g} | {hi:.6g} | "
    lines.append(end + f"{report.outcome.state.boxes} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    asked = set(sys.argv[1:]) or {"eight", "four"}
    if "eight" in asked:
        print("| seed | median | 95 % | worst | closed to 4 % | boxes | stopped by | s | CPU s |")
        print("|---|---|---|---|---|---|---|---|---|")
        for seed in (0, 1):
            print(eight(seed), flush=True)
    if "four" in asked:
        print("\n| after s | sup at least | at most | boxes |\n|---|---|---|---|")
        print(four(), flush=True)


if __name__ == "__main__":
    main()
