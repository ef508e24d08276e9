"""Training a small encoder to a small *sup* error: Adam first, then a smooth maximum."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from probes.encoder import Encoder, EncoderConfig, parameter_count
from probes.phases import adam, polish
from probes.recipes import need_rates
from probes.values import Target, refined, values
from theory.errors import BadRequest

VALIDATION_POINTS = 4001
#: Points per forward pass of a validation: small enough to stay in the processor's cache.
CHUNK = 512

#: Called as progress(steps done, steps in all, best sup error so far).
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Options:
    """How long and on what to train.

    Attributes:
        steps: Adam steps on the mean square error, with warmup and cosine decay.
        polish: L-BFGS iterations on a smooth maximum of the error, after Adam.
        rate: peak learning rate of AdamW.
        decay: weight decay of AdamW.
        points: Chebyshev points trained on.
        seed: of the initial weights; nothing else is random.

    Raises:
        BadRequest: a number is out of range.
    """

    steps: int = 2000
    polish: int = 300
    rate: float = 3e-3
    decay: float = 0.0
    points: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("polish", 0), ("points", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise BadRequest(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.seed >= 2**63:
            raise BadRequest(f"seed must be below 2**63, not {self.seed}")
        need_rates(self.rate, self.decay)


@dataclass(frozen=True)
class Report:
    """What training reached.

    Attributes:
        sup_error: largest abs(model - target) on the validation grid, the stored float32
            weights evaluated in float64. A sample, not a bound: the true sup error is about
            this or more.
        witness: the grid point where it is attained.
        parameters: trained numbers in the model.
        seconds: wall-clock time.
        history: (step, sup error) of every validation, Adam's and L-BFGS's.
    """

    sup_error: float
    witness: float
    parameters: int
    seconds: float
    history: tuple[tuple[int, float], ...]


def train(
    config: EncoderConfig,
    target: Target,
    *,
    domain: tuple[float, float] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> tuple[nn.Module, Report]:
    """Fit an encoder to `target` and return the best weights seen.

    Args:
        config: the encoder's shape.
        target: what to fit; its `expression` is evaluated in float64.
        domain: (lo, hi); None takes the target's.
        options: how long and on what; None takes the defaults.
        progress: told of every validation.

    Returns:
        A float32 module in evaluation mode, (batch, 1) -> (batch, 1), with the smallest sup
        error of all validations, and the report on it. Equal arguments give equal weights on
        the same machine with the same number of torch threads.

    Raises:
        BadRequest: the domain is empty, or the target is not finite on it or beyond float32.
    """
    options = options or Options()
    started = time.perf_counter()
    frame = _Frame.around(target, *(domain or target.domain))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        first = Encoder(config).eval()
    best = _Best(frame, first)
    if not math.isfinite(best.sup_error):
        lo, hi = frame.domain
        raise BadRequest(
            f"{target.name} on [{lo:g}, {hi:g}] is out of reach of float32 weights; "
            "choose a domain and values of ordinary size"
        )

    def follow(phase: Iterator[tuple[int, Encoder]], before: int) -> None:
        for done, candidate in phase:
            best.offer(before + done, candidate)
            if progress:
                progress(before + done, options.steps + options.polish, best.sup_error)

    data = frame.training(target, options.points)
    follow(adam(best.copy(), data, steps=options.steps, rate=options.rate, decay=options.decay), 0)
    follow(polish(best.copy(), data, iterations=options.polish), options.steps)
    seconds = time.perf_counter() - started
    history = tuple(best.history)
    return best.scaled, Report(
        best.sup_error, best.witness, parameter_count(first), seconds, history
    )


def sup_error(module: nn.Module, points: Tensor, wanted: Tensor) -> tuple[float, float]:
    """The largest abs(module - wanted) on a grid and where it is, computed in float64.

    Args:
        module: (batch, 1) -> (batch, 1).
        points: float64, shape (n, 1).
        wanted: float64, shape (n, 1).

    Returns:
        (error, point); (inf, point) where the module is not finite.
    """
    exact = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        found = torch.cat([exact(chunk) for chunk in points.split(CHUNK)])
        error = (found - wanted).abs().nan_to_num(nan=math.inf)
    worst = int(error.argmax())
    return float(error[worst, 0]), float(points[worst, 0])


@dataclass(frozen=True)
class _Frame:
    """The rectangle that training maps to [-1, 1] x [-1, 1], so that one rate fits all targets.

    Attributes:
        domain: (lo, hi).
        heights: (low, high) of the target on the domain.
        validation: points and target values, float64, shape (n, 1) each, not scaled.
    """

    domain: tuple[float, float]
    heights: tuple[float, float]
    validation: tuple[Tensor, Tensor]

    @classmethod
    def around(cls, target: Target, lo: float, hi: float) -> _Frame:
        if not -math.inf < lo < hi < math.inf:
            raise BadRequest(f"a domain needs finite LO < HI, not {lo} and {hi}")
        points = refined(target, np.linspace(lo, hi, VALIDATION_POINTS), 400)
        wanted = values(target, points)
        low, high = float(wanted.min()), float(wanted.max())
        if low == high:
            # A constant has no height of its own to be scaled by.
            low, high = low - max(1.0, abs(low)), high + max(1.0, abs(high))
        return cls((lo, hi), (low, high), (_column(points), _column(wanted)))

    def training(self, target: Target, count: int) -> tuple[Tensor, Tensor]:
        """Chebyshev points and what else `refined` adds, scaled, float64, shape (n, 1) each."""
        (lo, hi), (low, high) = self.domain, self.heights
        angles = np.linspace(0.0, math.pi, count)
        chebyshev = (lo + hi) / 2 - (hi - lo) / 2 * np.cos(angles)
        points = refined(target, np.clip(chebyshev, lo, hi), 50)
        wanted = values(target, points)
        return (
            _column((points - (lo + hi) / 2) / ((hi - lo) / 2)),
            _column((wanted - (low + high) / 2) / ((high - low) / 2)),
        )


class _Best:
    """The weights with the smallest sup error so far, cloned from the module in training.

    Attributes:
        scaled: the float32 module on the target's own domain, which is what is judged.
    """

    def __init__(self, frame: _Frame, first: Encoder) -> None:
        self._frame = frame
        self.sup_error, self.witness = math.inf, math.nan
        self.history: list[tuple[int, float]] = []
        self._unscaled, self.scaled = first, first
        self.offer(0, first)

    def offer(self, step: int, module: Encoder) -> None:
        scaled = module.rescaled(self._frame.domain, self._frame.heights).float().eval()
        error, where = sup_error(scaled, *self._frame.validation)
        self.history.append((step, error))
        if error < self.sup_error:
            self.sup_error, self.witness = error, where
            self._unscaled, self.scaled = copy.deepcopy(module), scaled

    def copy(self) -> Encoder:
        """The best weights on [-1, 1] x [-1, 1], to train on from."""
        return copy.deepcopy(self._unscaled)


def _column(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(numbers)[:, None]
