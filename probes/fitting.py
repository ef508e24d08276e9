"""Training a `TokenModel` by a recipe: deterministic, and resumable at every evaluation."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from probes import checkpoints
from probes.family import TokenModel
from probes.recipes import Setting, Training
from probes.schemes import classify, find_scheme, stream

VALIDATION_POINTS = 2048
#: Points per forward pass of an evaluation.
CHUNK = 1024
#: Seconds of training that a killed process may lose, besides those since its last evaluation.
SAVE_EVERY = 5.0

#: Called as progress(mini-batches done, mini-batches in all, best validation score so far).
Progress = Callable[[int, int, float], None]


class Paused(Exception):
    """The time was up before the training was; the checkpoint holds what was done."""


@dataclass(frozen=True)
class Fit:
    """A trained model.

    Attributes:
        model: in evaluation mode, with the best weights of all evaluations, start included.
        score: its validation score: relative root mean square error, or cross entropy in nats.
        step: mini-batches at which it was reached.
        steps: mini-batches trained.
        history: (mini-batches, score) of every evaluation.
    """

    model: TokenModel
    score: float
    step: int
    steps: int
    history: tuple[tuple[int, float], ...]


def fit(
    setting: Setting,
    *,
    checkpoint: Path | None = None,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Train the model of `setting`.

    Every mini-batch and its dropout are drawn from a generator of their own, seeded by the
    setting's seed and their number: a resumed training draws what an unbroken one would have.

    Args:
        setting: what and how.
        checkpoint: file to go on from and to write to; it stays when training ends.
        deadline: `time.monotonic()` at which to stop.
        progress: told of every evaluation.

    Returns:
        The best model of all evaluations. Equal settings give equal weights on the same
        machine with the same number of torch threads, however often training was stopped.

    Raises:
        Paused: the deadline passed; only with a checkpoint is nothing lost.
        BadRequest: the checkpoint is damaged or of other settings, or cannot be written.
    """
    plan = setting.training
    with torch.random.fork_rng(devices=[]):
        run = _Run(setting)
        if checkpoint and (saved := checkpoints.read(checkpoint, setting.key)):
            try:
                run.restore(saved)
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError,
                    ValueError) as error:  # fmt: skip
                raise checkpoints.damaged(checkpoint, f"its state is incomplete: {error}") from None
        written = time.monotonic()
        while not run.ended():
            run.advance()
            if run.step % plan.every and run.step != plan.steps:
                continue
            run.evaluate()
            if progress:
                progress(run.step, plan.steps, run.score)
            late = deadline is not None and time.monotonic() >= deadline and not run.ended()
            if checkpoint and (late or time.monotonic() - written >= SAVE_EVERY):
                checkpoints.write(checkpoint, setting.key, run.state())
                written = time.monotonic()
            if late:
                raise Paused
    return run.fit()


def answers(model: TokenModel, inputs: Tensor) -> Tensor:
    """What the stored float32 weights answer, computed in float64.

    Args:
        model: on which device and in which mode it is does not matter.
        inputs: float64, shape (count, m, d).

    Returns:
        float64, shape (count, n, d or K).
    """
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        return torch.cat([exact(chunk) for chunk in inputs.split(CHUNK)])


def optimizer_of(model: TokenModel, plan: Training) -> torch.optim.Optimizer:
    """Adam with coupled decay of everything, or AdamW with decay of matrices only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if plan.coupled:
        return torch.optim.Adam(parameters, lr=plan.rate, weight_decay=plan.decay, fused=True)
    # Norms and biases are vectors; start token and positions are tables of them.
    tables = {id(getattr(model, n, None)) for n in ("start", "positions", "answer_positions")}
    spared = [p for p in parameters if p.dim() < 2 or id(p) in tables]
    decayed = [p for p in parameters if not (p.dim() < 2 or id(p) in tables)]
    groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.rate, weight_decay=plan.decay, fused=True)


def rate_factor(step: int, plan: Training) -> float:
    """Share of the peak rate for mini-batch number `step`, from 0."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    rest = max(1, plan.steps - plan.warmup)
    return 0.5 * (1 + math.cos(math.pi * (step - plan.warmup) / rest))


class _Run:
    """A training in progress: the one place here with state that changes."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self._plan = setting, setting.training
        self._scheme = find_scheme(setting.scheme)
        torch.manual_seed(stream(setting.seed, "weights"))
        self._model = TokenModel(setting.model)
        self._optimizer = optimizer_of(self._model, self._plan)
        self._validation = self._draw(VALIDATION_POINTS, "validation")
        self.step, self._stale = 0, 0
        self.score, self._best_step = math.inf, 0
        self._best: dict[str, Tensor] = {}
        self._history: list[tuple[int, float]] = []
        self.evaluate()

    def ended(self) -> bool:
        return self.step >= self._plan.steps or self._stale >= self._plan.patience

    def advance(self) -> None:
        """One mini-batch."""
        inputs, wanted = self._draw(self._plan.batch, "batch", self.step)
        torch.manual_seed(stream(self._setting.seed, "dropout", self.step))
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.rate * rate_factor(self.step, self._plan)
        self._model.train()
        found = self._model.forced(inputs, wanted)
        self._optimizer.zero_grad()
        self._loss(found, wanted).backward()
        if self._plan.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._plan.clip)
        self._optimizer.step()
        self.step += 1

    def evaluate(self) -> None:
        """Score the model on the validation points, and keep its weights if none were better."""
        inputs, wanted = self._validation
        self._model.eval()
        with torch.no_grad():
            found = torch.cat([self._model(chunk) for chunk in inputs.split(CHUNK)])
        loss = float(self._loss(found, wanted))
        if not self._setting.model.classes:
            spread = (wanted - wanted.mean(dim=0)).square().mean()
            loss = math.sqrt(loss / float(spread))
        self._history.append((self.step, loss))
        self._stale += 1
        if loss < self.score:
            self.score, self._best_step, self._stale = loss, self.step, 0
            self._best = copy.deepcopy(self._model.state_dict())

    def _draw(self, count: int, *purpose: object) -> tuple[Tensor, Tensor]:
        setting = self._setting
        seed = stream(setting.seed, *purpose)
        inputs, outputs = self._scheme.sample(count, setting.model.d, seed)
        if setting.model.classes:
            return inputs.float(), classify(outputs, setting.model.classes)
        return inputs.float(), outputs.float()

    def _loss(self, found: Tensor, wanted: Tensor) -> Tensor:
        if self._setting.model.classes:
            return functional.cross_entropy(found.flatten(0, 1), wanted.flatten())
        return (found - wanted).square().mean()

    def state(self) -> dict[str, object]:
        """What `restore` needs, for `checkpoints.write`."""
        return {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
            "step": self.step,
            "stale": self._stale,
            "score": self.score,
            "best_step": self._best_step,
            "history": self._history,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from a `state`."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._best = state["best"]
        self.step, self._stale = state["step"], state["stale"]
        self.score, self._best_step = state["score"], state["best_step"]
        self._history = [tuple(entry) for entry in state["history"]]

    def fit(self) -> Fit:
        """What training reached."""
        self._model.load_state_dict(self._best)
        self._model.eval()
        return Fit(self._model, self.score, self._best_step, self.step, tuple(self._history))
