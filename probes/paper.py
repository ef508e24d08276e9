"""The paper's experiments: a grid of settings, each trained and measured once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch

from probes import failure
from probes.certified import Certified
from probes.encoder import parameter_count
from probes.family import ARCHITECTURES
from probes.fitting import Paused, answers, fit
from probes.metrics import classification, regression
from probes.recipes import RECIPES, Setting, setting
from probes.schemes import classify, find_scheme, stream
from probes.store import Store
from theory.errors import BadRequest

CLASSES = 5
#: Models with more numbers are not written out: certifying them is out of reach.
LARGEST_SAVED = 2**22


@dataclass(frozen=True)
class Grid:
    """Which settings to run.

    Attributes:
        dimensions: d of the task.
        layers: of encoder and decoder.
        seeds: how many.
        full: both schemes for every architecture and task, instead of scheme one, one small
            mixed case and classification by the full transformer.

    Raises:
        BadRequest: a number is not positive.
    """

    dimensions: tuple[int, ...] = (4, 16)
    layers: tuple[int, ...] = (2,)
    seeds: int = 2
    full: bool = False

    def __post_init__(self) -> None:
        for name, numbers in (
            ("dimensions", self.dimensions),
            ("layers", self.layers),
            ("seeds", (self.seeds,)),
        ):
            if not numbers or min(numbers) < 1:
                raise BadRequest(f"{name} must be positive, not {', '.join(map(str, numbers))}")
        if min(self.dimensions) < 2:
            raise BadRequest("dimensions must be at least 2, for two attention heads")

    @classmethod
    def everything(cls) -> Grid:
        """The large grid, for hours and days."""
        return cls((4, 8, 16, 32, 64, 256), (2, 4, 6), 5, full=True)

    def settings(self) -> list[Setting]:
        """All settings, cheap ones and first seeds first."""
        found = [
            setting(recipe, scheme, d, seed=seed, model=_shape(architecture, layers, classes))
            for scheme, architecture, classes, d in self._tasks()
            for recipe, layers, seed in product(RECIPES, self.layers, range(self.seeds))
            if not (recipe == "obstructed" and classes)
        ]
        return sorted(found, key=lambda s: (_cost(s) * (s.seed + 1), s.key))

    def _tasks(self) -> Iterator[tuple[str, str, int | None, int]]:
        if self.full:
            schemes, tasks = ("scheme-one", "mixed"), (None, CLASSES)
            yield from product(schemes, ARCHITECTURES, tasks, self.dimensions)
            return
        yield from product(("scheme-one",), ARCHITECTURES, (None,), self.dimensions)
        yield from product(("scheme-one",), ("transformer",), (CLASSES,), self.dimensions)
        yield "mixed", "transformer", None, min(self.dimensions)


def _shape(architecture: str, layers: int, classes: int | None) -> dict[str, Any]:
    return {"architecture": architecture, "layers": layers, "classes": classes}


def _cost(one: Setting) -> float:
    """Roughly the arithmetic of a training, for the order of work only."""
    model, plan = one.model, one.training
    tokens = model.inputs + (model.outputs if model.architecture == "transformer" else 0)
    # A layer costs something however narrow it is: overhead of about this many numbers.
    return plan.steps * plan.batch * tokens * model.layers * (model.width**2 + 64**2)


@dataclass(frozen=True)
class Outcome:
    """A setting and what was measured, or None where it has not been run.

    Attributes:
        setting: what was run.
        result: "task" ("regression" or "classification"), "measured" (the fields of
            `probes.metrics.Regression` or `Classification`), "parameters", "score", "step",
            "steps", "torch" and "model" (the model file's name, or None).
        certified: what is proved of a regression model, one entry for each data curve; empty
            where that was not asked for.
    """

    setting: Setting
    result: dict[str, Any] | None
    certified: tuple[Certified, ...] = ()


#: Called as progress(models done, models in all, words on the one in training, share of it).
Progress = Callable[[int, int, str, float], None]


def run(
    grid: list[Setting], store: Store, *, budget: float, progress: Progress | None = None
) -> list[Outcome]:
    """Train and measure what the store does not hold yet, until the budget is spent.

    Args:
        grid: the settings, in the order of work.
        store: opened.
        budget: seconds; the training that they end in is saved and goes on next time.
        progress: told of every evaluation.

    Returns:
        An outcome for every setting, in the same order.

    Raises:
        BadRequest: a file of the store is damaged or cannot be written.
    """
    deadline = time.monotonic() + budget
    found = {one.key: store.get(one.content()) for one in grid}
    for one in grid:
        done = sum(result is not None for result in found.values())
        if found[one.key] is not None:
            continue

        def follow(step: int, steps: int, _: float, done: int = done, one: Setting = one) -> None:
            if progress:
                progress(done, len(grid), one.words, step / steps)

        try:
            found[one.key] = measure(one, store, deadline=deadline, progress=follow)
        except Paused:
            break
        if time.monotonic() >= deadline:
            break
    return [Outcome(one, found[one.key]) for one in grid]


def measure(
    one: Setting,
    store: Store,
    *,
    deadline: float | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> dict[str, Any]:
    """Train the model of a setting, measure it on the test set, and keep all in the store.

    The model that is measured, and written for certification, is the one that its file would
    give back: what training did not register is drawn anew.

    Returns:
        The result; see `Outcome`.

    Raises:
        Paused: the deadline passed during training; the checkpoint holds what was done.
        BadRequest: a file is damaged or cannot be written.
    """
    checkpoint = store.checkpoint(one.key)
    trained = fit(one, checkpoint=checkpoint, deadline=deadline, progress=progress)
    model = trained.model.reloaded(one.seed)
    inputs, wanted = test_set(one)
    found = answers(model, inputs)
    if one.model.classes:
        measured = classification(found, classify(wanted, one.model.classes))
    else:
        measured = regression(found, wanted, obstructed=one.model.obstructed)
    numbers = parameter_count(model)
    saved = not one.model.classes and numbers <= LARGEST_SAVED
    if saved:
        from certify.frontend.export import export

        export(model, inputs[:1].float(), store.model(one.key))
    result = {
        "task": "classification" if one.model.classes else "regression",
        "measured": asdict(measured),
        "parameters": numbers,
        "score": trained.score,
        "step": trained.step,
        "steps": trained.steps,
        "torch": torch.__version__,
        "model": store.model(one.key).name if saved else None,
    }
    # The result comes last: where it is, everything else is.
    store.put(one.content(), result)
    checkpoint.unlink(missing_ok=True)
    return result


def test_set(one: Setting) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and outputs of the test points; equal for all settings with one scheme and d."""
    seed = stream(0, "test", one.scheme)
    return find_scheme(one.scheme).sample(one.tests, one.model.d, seed)


def failure_curves(store: Store) -> dict[tuple[int, float], dict[str, Any]]:
    """The failure rate against N for every d and error of `probes.failure`, kept in the store."""
    curves = {}
    for relative, d in product(failure.ERRORS, failure.DIMENSIONS):
        content = failure.settings(d, relative)
        found = store.get(content)
        if found is None:
            found = failure.curve(d, relative)
            store.put(content, found)
        curves[d, relative] = found
    return curves
