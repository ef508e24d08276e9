"""Small modules whose answers are known: stairs, two values, constants, lines."""

import torch

import certify


class Stairs(torch.nn.Module):
    """exp by eight steps, each of them a steep tanh: flat on [-1 + k/4, -1 + (k + 1)/4]."""

    def __init__(self, steep=2000.0):
        super().__init__()
        edges = torch.linspace(-1, 1, 9)
        middles = torch.exp((edges[:-1] + edges[1:]) / 2)
        self.first, self.second = torch.nn.Linear(1, 7), torch.nn.Linear(7, 1)
        with torch.no_grad():
            self.first.weight.fill_(steep)
            self.first.bias.copy_(-steep * edges[1:-1])
            self.second.weight.copy_(middles.diff()[None] / 2)
            self.second.bias.fill_((middles[0] + middles[-1]) / 2)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class TwoValues(torch.nn.Module):
    """A post-norm encoder layer of width 2 without head: theorem C0."""

    def __init__(self, features=2, outputs=1):
        super().__init__()
        torch.manual_seed(1)
        self.embed, self.outputs = torch.nn.Linear(1, features), outputs
        self.layer = torch.nn.TransformerEncoderLayer(features, 1, 8, 0.0, "gelu", batch_first=True)

    def forward(self, x):
        return self.layer(self.embed(x).unsqueeze(1)).squeeze(1)[:, : self.outputs]


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
