"""What can be asked of a model, and the cells that a domain is cut into."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from certify.certificate import ALL
from certify.errors import BadRequest
from certify.goal import Goal
from certify.run import Limits
from theory.norms import NORMS

MOST_CELLS = 100_000


@dataclass(frozen=True)
class Options:
    """What to ask of a model.

    Attributes:
        domain: (lo, hi), or None for the target's own.
        cells: number of equal cells; in n variables a grid of the most k**n <= cells.
        width: width of a cell in every variable, instead of their number.
        tau: plateau ratio, 0 <= tau < 1.
        within: claim sup |model - target| <= within.
        constant_up_to: claim that the model varies by at most this on every cell.
        no_plateau: claim that no cell is a tau-plateau.
        windows: width of the windows, of any place, that are looked at for plateaus instead of
            the cells.
        resolution: close the bracket of the longest plateau too, with the whole budget.
        monotone: claim that the model is monotone on the domain.
        lipschitz: claim that the model's slopes are at most this.
        slopes: bracket the model's derivative; the two claims before imply it.
        gap, abs_gap: when a bracket counts as closed.
        output: which of several outputs; "all" for all of them together, measured by `norm`.
        norm: "max" or "2", of the vector of all outputs.
        limits: budget and memory.
        semantics: "real" arithmetic, or every execution in "float32" (certify/float32).

    Raises:
        BadRequest: a number is out of range.
    """

    domain: tuple[float, float] | None = None
    cells: int = 32
    width: float | None = None
    tau: float = 0.1
    within: float | None = None
    constant_up_to: float | None = None
    no_plateau: bool = False
    windows: float | None = None
    resolution: bool = False
    monotone: bool = False
    lipschitz: float | None = None
    slopes: bool = False
    gap: float = 0.01
    abs_gap: float = 0.0
    output: int | str | None = None
    norm: str = "max"
    limits: Limits = field(default_factory=Limits)
    semantics: str = "real"

    def __post_init__(self) -> None:
        def need(name: str, good: bool, what: str, value: object) -> None:
            if not good:
                raise BadRequest(f"{name} must be {what}, not {value}")

        inf = float("inf")
        kinds = "real", "float32"
        need("--semantics", self.semantics in kinds, "real or float32", self.semantics)
        need("--norm", self.norm in NORMS, " or ".join(NORMS), self.norm)
        number = self.output is None or type(self.output) is int
        need("--output", number or self.output == ALL, 'a number or "all"', self.output)
        if self.output != ALL:
            need("--norm", self.norm == "max", "max without --output all", self.norm)
        need("--cells", 1 <= self.cells <= MOST_CELLS, f"between 1 and {MOST_CELLS}", self.cells)
        if self.width is not None:
            need("--width", 0 < self.width < inf, "a positive number", self.width)
        need("--tau", 0 <= self.tau < 1, "at least 0 and below 1", self.tau)
        need("--gap", 0 < self.gap < inf, "a positive number", self.gap)
        need("--abs-gap", 0 <= self.abs_gap < inf, "0 or a positive number", self.abs_gap)
        if self.windows is not None:
            need("--windows", 0 < self.windows < inf, "a positive number", self.windows)
        claimed = {
            "--within": self.within,
            "--constant-up-to": self.constant_up_to,
            "--lipschitz": self.lipschitz,
        }
        for name, value in claimed.items():
            if value is not None:
                need(name, 0 <= value < inf, "0 or a positive number", value)
        need("--budget", 0 < self.limits.budget < inf, "a positive number", self.limits.budget)
        need("--memory", 16 <= self.limits.memory < inf, "at least 16 (MiB)", self.limits.memory)

    @property
    def goal(self) -> Goal:
        """When the search may stop."""
        thresholds = self.within, self.constant_up_to, self.tau
        asked = self.resolution or self.windows is not None
        return Goal(self.gap, self.abs_gap, *thresholds, width=self.windows, asked=asked)

    def size(self, term: str) -> str:
        """The absolute value of a term, or its norm where it has an entry for every output."""
        return f"||{term}||_{self.norm}" if self.output == ALL else f"|{term}|"

    @property
    def measure(self) -> str:
        """The norm by its name."""
        return "max norm" if self.norm == "max" else f"{self.norm}-norm"

    @property
    def subject(self) -> str:
        """What varies, and that it does."""
        norm = f", in the {self.measure}," if self.output == ALL else ""
        return f"output{'s' if norm else ''}{norm} var{'y' if norm else 'ies'}"

    @property
    def of_one_variable(self) -> list[str]:
        """The options given that speak of windows and slopes: of one variable, in real numbers."""
        asked = {
            "--windows": self.windows is not None,
            "--resolution": self.resolution,
            "--monotone": self.monotone,
            "--lipschitz": self.lipschitz is not None,
            "--slopes": self.slopes,
        }
        return [name for name, given in asked.items() if given]

    @property
    def wants_slopes(self) -> bool:
        """Whether the derivative matters."""
        return self.slopes or self.monotone or self.lipschitz is not None


def partition(lo: float, hi: float, options: Options, variables: int = 1) -> Tensor:
    """The cells of [lo, hi]^n, (C, n, 2): a grid of equal ones, or of the given width with
    shorter last ones."""
    edges = _edges(lo, hi, options, variables)
    if (len(edges) - 1) ** variables > MOST_CELLS:
        raise BadRequest(
            f"--width {options.width:g} makes more than {MOST_CELLS} cells of [{lo:g}, {hi:g}]"
            f"^{variables}"
        )
    sides = torch.stack([edges[:-1], edges[1:]], 1)
    number = torch.arange(len(sides))
    grid = torch.cartesian_prod(*[number] * variables).reshape(-1, variables)
    return sides[grid]


def _edges(lo: float, hi: float, options: Options, variables: int) -> Tensor:
    """Where the cells end in one variable."""
    count = options.cells
    if variables > 1:  # the largest k with k**n <= cells
        count = 1
        while (count + 1) ** variables <= options.cells:
            count += 1
    if options.width is not None:
        exact = (hi / 2 - lo / 2) / options.width * 2
        if exact > MOST_CELLS:
            raise BadRequest(
                f"--width {options.width:g} makes {exact:.3g} cells of [{lo:g}, {hi:g}]; at most "
                f"{MOST_CELLS} are possible"
            )
        count = max(1, round(exact) if abs(exact - round(exact)) < 1e-9 else int(exact) + 1)
    if options.width is None:
        inner = [lo + k * ((hi - lo) / count) for k in range(1, count)]
        if not math.isfinite(hi - lo):
            inner = [lo * (1 - k / count) + hi * (k / count) for k in range(1, count)]
    else:
        inner = [lo + k * options.width for k in range(1, count)]
    ends = sorted({lo, hi, *(e for e in inner if lo < e < hi)})
    if options.width is None and len(ends) != count + 1:
        raise BadRequest(f"[{lo!r}, {hi!r}] is too narrow for {count} cells; ask for fewer")
    return torch.tensor(ends, dtype=torch.float64)
