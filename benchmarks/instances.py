"""What is measured: models of the zoo, their targets, and gaps. Imports nothing but the stdlib."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Instance:
    """One question: bracket sup |model - target| on [-1, 1] to a relative gap.

    Attributes:
        model: a file of probes/zoo, without its ending.
        target: name of the target.
        gap: relative gap at which the bracket counts as closed.
        heads, activation, pre: what the weights alone do not tell of the encoder: attention
            heads, "gelu" or "relu", and whether LayerNorm comes before each block.
        batch: boxes the peer bounds together.
        first: boxes the peer begins with.
        public: the public figure for the peer on such a model, in words, or "".
    """

    model: str
    target: str
    gap: float
    heads: int
    activation: str = "gelu"
    pre: bool = False
    batch: int = 32
    first: int = 256
    public: str = ""

    @property
    def name(self) -> str:
        """Short and unique."""
        return f"{self.model}-{self.gap:.0e}"

    @property
    def path(self) -> Path:
        """The model file."""
        return ROOT / "probes" / "zoo" / f"{self.model}.pt"


INSTANCES = (
    Instance("exp", "exp", 1e-3, heads=2, public="16 CPU s"),
    Instance("exp", "exp", 1e-5, heads=2),
    Instance("sin3", "sin3", 1e-3, heads=4, activation="relu", public="51 CPU s"),
    Instance(
        "exp4",
        "exp",
        1e-3,
        heads=4,
        pre=True,
        batch=8,
        first=1024,
        public="36 % of the domain in 300 CPU s",
    ),
)


def find(name: str) -> Instance:
    """The instance of that name.

    Raises:
        KeyError: there is none.
    """
    return {i.name: i for i in INSTANCES}[name]
