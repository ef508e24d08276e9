"""Small modules whose answers are known: stairs, two values, constants, lines."""

import torch

import certify
from probes.witnesses.plateaus import Stairs, TwoValues

__all__ = ["Exp", "Line", "Relu", "Stairs", "TwoValues", "loaded"]


class Line(torch.nn.Module):
    def __init__(self, slope=2.0, offset=0.1):
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, x):
        return self.slope * x + self.offset


class Exp(torch.nn.Module):
    def forward(self, x):
        return torch.exp(x)


class Relu(torch.nn.Module):
    """Three kinks, at -1/2, 0 and 1/4; slopes 0, 1, 3 and -1."""

    def forward(self, x):
        return torch.relu(x + 0.5) + 2 * torch.relu(x) - 4 * torch.relu(x - 0.25)


def loaded(module, folder):
    """The module exported in float64 and read back."""
    path = folder / f"{type(module).__name__}.pt"
    certify.export(module.double().eval(), torch.zeros(1, 1, dtype=torch.float64), path)
    return certify.load(path)
