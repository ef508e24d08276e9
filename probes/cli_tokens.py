"""`probes train` for the paper's token targets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from theory.errors import BadRequest
from theory.files import alone, destination
from theory.terminal import INTERRUPTED, fail

if TYPE_CHECKING:
    from probes.fitting import Fit
    from probes.recipes import Setting

MODEL = ("width", "heads", "ffn", "layers", "activation", "norm", "architecture", "positions",
         "classes")  # fmt: skip
TRAINING = ("steps", "rate", "decay", "batch")

#: Called as show(words, share done).
Show = Callable[[str, float], None]


def train_tokens(given: dict[str, Any], output: Path) -> None:
    """Train by a recipe for every seed and write the best model.

    Args:
        given: the options that the user gave; the recipe sets the others.
        output: the model file, already tried.

    Raises:
        BadRequest: an option is out of range, does not fit the others, or a file fails.
    """
    import torch

    from certify.frontend.export import export
    from probes.recipes import setting
    from probes.schemes import find_scheme

    seeds = given.get("seeds", 1)
    if seeds < 1:
        raise BadRequest(f"seeds must be at least 1, not {seeds}")
    checkpoint = given.get("checkpoint")
    if checkpoint and seeds > 1:
        raise BadRequest("--checkpoint is for one training; leave --seeds at 1")
    if checkpoint and destination(checkpoint) == destination(output):
        raise BadRequest("--checkpoint and --output must be two files")
    model = {name: given[name] for name in MODEL if name in given}
    training = {name: given[name] for name in TRAINING if name in given}
    tried = [
        setting(
            given.get("recipe", "fair"), given["target"], given.get("d", 4),
            seed=seed, model=model, training=training,
        )
        for seed in range(given.get("seed", 0), given.get("seed", 0) + seeds)
    ]  # fmt: skip
    torch.set_num_threads(given.get("threads", 1))
    try:
        with _held(checkpoint):
            best, fitted, scores = _best(tried, checkpoint)
    except KeyboardInterrupt:
        if checkpoint is None or not checkpoint.exists():
            raise
        fail(f"interrupted: the same command goes on from {checkpoint}", INTERRUPTED)
    scored = fitted.model.reloaded(best.seed)
    shape = (1, find_scheme(best.scheme).inputs, best.model.d)
    export(scored, torch.zeros(shape), output)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    typer.echo(_summary(output, best, fitted, scores, _measured(best, scored)))


def _held(checkpoint: Path | None) -> AbstractContextManager:
    """The checkpoint for this process alone."""
    if checkpoint is None:
        return nullcontext()
    place = destination(checkpoint)
    busy = f"another process trains with {checkpoint}; wait for it, or name another --checkpoint"
    return alone(place.with_name(f".{place.name}.lock"), busy)


def _best(
    tried: list[Setting], checkpoint: Path | None
) -> tuple[Setting, Fit, list[tuple[int, float]]]:
    """The setting with the best validation score, its fit, and all seeds' scores."""
    from probes.fitting import fit

    kept, scores = None, []
    with bar() as show:
        for one in tried:

            def follow(step: int, steps: int, score: float, one: Setting = one) -> None:
                if show:
                    show(f"{step}/{steps}  score {score:.3g}  {one.words}", step / steps)

            found = fit(one, checkpoint=checkpoint, progress=follow)
            scores.append((one.seed, found.score))
            if kept is None or found.score < kept[1].score:
                kept = (one, found)
    return *kept, scores


def _measured(one: Setting, model: Any) -> list[tuple[str, str]]:
    """What the test set says, as rows of the summary."""
    from probes.fitting import answers
    from probes.metrics import classification, regression
    from probes.paper import test_set
    from probes.schemes import classify

    inputs, wanted = test_set(one)
    found = answers(model, inputs)
    if one.model.classes:
        score = classification(found, classify(wanted, one.model.classes))
        constant = f"the best constant answer {score.constant_accuracy:.4g}"
        return [("accuracy", f"{score.accuracy:.4g}; {constant}")]
    score = regression(found, wanted, obstructed=one.model.obstructed)
    floor = "" if score.floor is None else f"; no less than {score.floor:.3g} is possible (C3)"
    return [
        ("RMSE/sd", f"{score.relative_rmse:.3g} on {len(wanted)} test points{floor}"),
        ("sup error", f"{score.sup_error:.3g} on the same points, sampled, not proven"),
        ("failures", f"{score.failure_rate:.4g}; half are expected at RMSE/sd "
         f"{score.threshold:.3g}"),
    ]  # fmt: skip


def _summary(
    output: Path,
    one: Setting,
    fitted: Fit,
    scores: list[tuple[int, float]],
    measured: list[tuple[str, str]],
) -> str:
    from probes.encoder import parameter_count

    kind = "cross entropy" if one.model.classes else "RMSE/sd"
    rows = [
        ("model", str(output)),
        ("setting", one.words),
        *measured,
        ("validation", ", ".join(f"seed {seed}: {kind} {score:.3g}" for seed, score in scores)),
        ("trained", f"{fitted.steps} mini-batches; the best weights are of {fitted.step}"),
        ("parameters", str(parameter_count(fitted.model))),
    ]
    if not one.model.registered:
        rows.append(("not kept", "start token and learned positions: the file has new random ones"))
    return "\n".join(f"{name:<12}{value}" for name, value in rows)


@contextmanager
def bar() -> Iterator[Show | None]:
    """A progress bar on stderr if that is a terminal, and otherwise nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=1.0)
        yield lambda words, share: shown.update(task, description=words, completed=share)
