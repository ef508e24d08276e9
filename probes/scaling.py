"""Certified accuracy and resolution against layers, width and training steps; kept in a store."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch

from probes.encoder import EncoderConfig
from probes.store import Store, content_key
from probes.training import Options as Training
from probes.training import train
from theory.errors import BadRequest
from theory.resolution import yun_layers
from theory.targets import Target, find_target

#: Raised when equal settings would give other numbers.
REVISION = 1
CELLS, TAU = 32, 0.1


@dataclass(frozen=True)
class Grid:
    """Which encoders to train and certify.

    Attributes:
        target: a name or expression.
        layers, widths, steps: every combination is trained; steps are AdamW's.
        seeds: how many of each.
        budget: seconds for the certification of one model.

    Raises:
        BadRequest: a number is out of range.
    """

    target: str = "exp"
    layers: tuple[int, ...] = (1, 2, 4)
    widths: tuple[int, ...] = (4, 8, 16)
    steps: tuple[int, ...] = (25, 100, 400, 1600)
    seeds: int = 1
    budget: float = 10.0

    def __post_init__(self) -> None:
        for name in ("layers", "widths", "steps"):
            numbers = getattr(self, name)
            if not numbers or min(numbers) < 1:
                raise BadRequest(f"{name} must be positive, not {', '.join(map(str, numbers))}")
        if not 1 <= self.seeds <= 1000:
            raise BadRequest(f"seeds must be between 1 and 1000, not {self.seeds}")
        if not 0 < self.budget < math.inf:
            raise BadRequest(f"certify-budget must be positive and finite, not {self.budget}")
        find_target(self.target)
        for layers, width in product(self.layers, self.widths):
            _shape(layers, width)

    def settings(self) -> list[Setting]:
        """All settings, cheap ones and first seeds first."""
        every = product(range(self.seeds), self.steps, self.layers, self.widths)
        found = [Setting(self.target, layers, width, steps, seed)
                 for seed, steps, layers, width in every]  # fmt: skip
        return sorted(found, key=lambda s: (s.seed, s.steps * s.layers, s.width))


@dataclass(frozen=True)
class Setting:
    """One encoder: everything that its weights depend on."""

    target: str
    layers: int
    width: int
    steps: int
    seed: int = 0

    @property
    def config(self) -> EncoderConfig:
        """Its shape; all but layers and width as `probes train` has it."""
        return _shape(self.layers, self.width)

    @property
    def training(self) -> Training:
        """AdamW alone, so that there is one number of steps."""
        return Training(steps=self.steps, polish=0, seed=self.seed)

    def content(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return {"experiment": "scaling", "revision": REVISION, "target": self.target,
                "config": asdict(self.config), "training": asdict(self.training)}  # fmt: skip

    @property
    def words(self) -> str:
        """For messages and progress."""
        return f"{self.layers} layers, width {self.width}, {self.steps} steps, seed {self.seed}"


def _shape(layers: int, width: int) -> EncoderConfig:
    return EncoderConfig(layers=layers, width=width, heads=2 if width % 2 == 0 else 1)


@dataclass(frozen=True)
class Point:
    """What is proved of one encoder.

    Attributes:
        setting: which.
        parameters: trained numbers.
        sampled: largest error on the validation grid of the training, not proved.
        sup: proved bracket of the sup error; hi is inf where no bound was found.
        longest: proved bracket of the width of the longest tau-plateau of any place.
        step: delta*(sup's upper end), the width of the steps of the paper's construction; None
            where the theory has no closed form.
        stopped: why the certification ended: "closed", "budget", "resolution" or "memory".
        side: width of the domain.
    """

    setting: Setting
    parameters: int
    sampled: float
    sup: tuple[float, float]
    longest: tuple[float, float]
    step: float | None
    stopped: str
    side: float

    @property
    def predicted(self) -> float | None:
        """Layers of the paper's construction at this accuracy (Yun-2), for d = m = 1: the least
        that it takes, its order's constant taken as 1."""
        return None if self.step is None else float(yun_layers(1, 1, self.step, self.side))


#: Called as progress(done, in all, words).
Progress = Callable[[int, int, str], None]


def run(
    grid: Grid, store: Store, *, budget: float = math.inf, progress: Progress | None = None
) -> list[Point | None]:
    """Train and certify what the store does not hold yet, until the budget is spent.

    Args:
        grid: what to run.
        store: opened.
        budget: seconds after which no further encoder is begun.
        progress: told before every one.

    Returns:
        A point for every setting, in order; None where it was not reached.

    Raises:
        InternalError: the certifier contradicts itself.
        KeyboardInterrupt: Ctrl-C; what was finished is kept.
        BadRequest: a file of the store is damaged or cannot be written.
    """
    deadline, target = time.monotonic() + budget, find_target(grid.target)
    settings, out = grid.settings(), []
    for number, one in enumerate(settings):
        if progress:
            progress(number, len(settings), one.words)
        late = time.monotonic() >= deadline
        trained = store.get(one.content())
        if trained is None and not late:
            trained = _train(one, target, store)
        proved = None if trained is None else _certified(one, target, grid.budget, store, late)
        out.append(None if proved is None else _point(one, trained, proved, target))
    return out


def _train(one: Setting, target: Target, store: Store) -> dict[str, Any]:
    """Train, write the model and then the result: where it is, the model is."""
    from certify.frontend.export import export

    module, report = train(one.config, target, options=one.training)
    export(module, torch.zeros(1, 1), store.model(content_key(one.content())))
    result = {"parameters": report.parameters, "sampled": report.sup_error,
              "torch": torch.__version__}  # fmt: skip
    store.put(one.content(), result)
    return result


def _certified(
    one: Setting, target: Target, budget: float, store: Store, late: bool
) -> dict[str, Any] | None:
    """From the store, or proved and put there; None if it is late."""
    from certify.checking import check
    from certify.options import Options
    from certify.report.words import step_width
    from certify.run import Limits

    file = store.model(content_key(one.content()))
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise BadRequest(
            f"cannot read {file}: {error.strerror}; remove its result to train again"
        ) from None
    content = {"experiment": "scaling, certified", "revision": REVISION, "sha256": digest,
               "target": one.target, "cells": CELLS, "tau": TAU, "budget": budget}  # fmt: skip
    found = store.get(content)
    if found is not None or late:
        return found
    options = Options(cells=CELLS, tau=TAU, resolution=True, limits=Limits(budget=budget))
    report = check(str(file), target, options)
    if report.outcome.stopped_by == "interrupt":
        raise KeyboardInterrupt
    ends = {"sup": report.known.sup, "longest": report.longest[:2]}
    result = {name: [v if math.isfinite(v) else None for v in pair] for name, pair in ends.items()}
    result |= {"step": step_width(report), "stopped": report.outcome.stopped_by,
               "seconds": report.outcome.seconds}  # fmt: skip
    store.put(content, result)
    return result


def _point(one: Setting, trained: dict[str, Any], proved: dict[str, Any], target: Target) -> Point:
    def pair(name: str) -> tuple[float, float]:
        lo, hi = (math.inf if end is None else end for end in proved[name])
        return lo, hi

    lo, hi = target.domain
    parts = pair("sup"), pair("longest"), proved["step"], proved["stopped"], hi - lo
    return Point(one, trained["parameters"], trained["sampled"], *parts)
