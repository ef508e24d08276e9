"""Gathers as moves of tensors, whatever stands in front of a value's own axes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from certify.graph import Gather


def mover(node: Gather, size: int) -> Callable[[Tensor, int], Tensor]:
    """move(t, lead): the gather of a tensor with `lead` axes before those of a value of `size`."""
    pick, zero = places(node, size)

    def move(t: Tensor, lead: int) -> Tensor:
        if pick is not None:
            t = t.reshape(*t.shape[:lead], size).index_select(lead, pick.to(t.device))
            t = t if zero is None else t.masked_fill(zero.to(t.device), 0.0)
        return t.reshape(*t.shape[:lead], *node.index.shape)

    return move


@functools.lru_cache(maxsize=4096)
def places(node: Gather, size: int) -> tuple[Tensor | None, Tensor | None]:
    """Flat places to read, None for a mere reshape; and where to put zeros, None for nowhere."""
    flat = torch.from_numpy(node.index.reshape(-1))
    if flat.numel() == size and bool((flat == torch.arange(size)).all()):
        return None, None
    zero = flat < 0
    return flat.clamp(min=0), zero if bool(zero.any()) else None
