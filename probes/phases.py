"""The phases of training: iterators over (steps done, module), changing the module in place.

Training data are two float64 tensors of shape (n, 1): points and wanted values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

#: L-BFGS iterations between two validations.
ROUND = 20


def adam(
    module: nn.Module, training: tuple[Tensor, Tensor], *, steps: int, rate: float, decay: float
) -> Iterator[tuple[int, nn.Module]]:
    """Mean square error in float32, with warmup and cosine decay; yields about 40 times."""
    points, wanted = (part.float() for part in training)
    module.train()
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True
    )
    warmup = max(1, steps // 20)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup + 1)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    every = max(1, steps // 40)
    for step in range(1, steps + 1):
        loss = (module(points) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % every == 0 or step == steps:
            yield step, module


def polish(
    module: nn.Module, training: tuple[Tensor, Tensor], *, iterations: int
) -> Iterator[tuple[int, nn.Module]]:
    """L-BFGS in float64 on p-norms of the error, p = 4, 8, 16; yields after every round.

    A p-norm tends to the maximum as p grows, and stays smooth; starting at 4 keeps the few
    worst points from steering alone while the fit is still rough.
    """
    module.double().train()
    done = 0
    for power, share in ((4, 0.4), (8, 0.7), (16, 1.0)):
        optimizer = torch.optim.LBFGS(
            module.parameters(),
            history_size=50,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
        closure = _p_norm(module, optimizer, training, power)
        while done < round(share * iterations):
            budget = min(ROUND, iterations - done)
            optimizer.param_groups[0].update(max_iter=budget, max_eval=2 * budget)
            optimizer.step(closure)
            done += budget
            yield done, module


def _p_norm(
    module: nn.Module, optimizer: torch.optim.Optimizer, training: tuple[Tensor, Tensor], power: int
) -> Callable[[], Tensor]:
    """A closure for L-BFGS: the p-norm of the error, with its gradients in the module."""
    points, wanted = training

    def closure() -> Tensor:
        optimizer.zero_grad()
        error = (module(points) - wanted).abs()
        # Scaled to at most 1, so that no power underflows altogether.
        scale = error.detach().max().clamp_min(1e-300)
        loss = scale * (error / scale).pow(power).mean().pow(1 / power)
        loss.backward()
        return loss

    return closure
