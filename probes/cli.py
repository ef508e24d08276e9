"""The command `probes`. Heavy imports wait inside the commands, so that `--help` is quick."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probes.cli_paper import paper
from probes.cli_run import run
from probes.cli_scaling import scaling
from probes.cli_tokens import train_tokens
from theory.commands import App
from theory.errors import BadRequest
from theory.files import destination
from theory.terminal import enough_memory, told

if TYPE_CHECKING:
    from torch import nn

    from probes.training import Progress, Report

app = App(
    help="Train small transformers and probe them by sampling.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def probes() -> None:
    """Train small transformers and probe them by sampling."""


app.command()(told(paper))
app.command()(told(run))
app.command()(told(scaling))

#: Options of the paper's token targets, and options of targets of one number, alone.
TOKENS_ONLY = ("recipe", "architecture", "d", "positions", "classes", "seeds", "batch",
               "checkpoint")  # fmt: skip
NUMBER_ONLY = ("domain", "tokens", "polish")


@app.command()
@told
def train(
    context: typer.Context,
    target: Annotated[str, typer.Option(help="a name, an expression in x, or scheme-one or mixed")],
    output: Annotated[Path, typer.Option("--output", "-o", help="model file to write")],
    domain: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LO HI", help="default: the target's")
    ] = None,
    layers: Annotated[int, typer.Option(help="encoder layers")] = 2,
    width: Annotated[int, typer.Option(help="features per token")] = 16,
    heads: Annotated[int, typer.Option(help="attention heads; a divisor of the width")] = 2,
    ffn: Annotated[
        int | None, typer.Option(help="hidden features of a block; default 2 * width")
    ] = None,
    tokens: Annotated[int, typer.Option(help="tokens the input is spread over")] = 4,
    activation: Annotated[str, typer.Option(help="gelu, relu, silu, tanh or gelu_tanh")] = "gelu",
    norm: Annotated[str, typer.Option(help="LayerNorm after (post) or before (pre)")] = "post",
    steps: Annotated[int, typer.Option(help="AdamW steps")] = 2000,
    polish: Annotated[int, typer.Option(help="L-BFGS iterations on the largest errors")] = 300,
    rate: Annotated[float, typer.Option(help="peak learning rate of AdamW")] = 3e-3,
    decay: Annotated[float, typer.Option(help="weight decay of AdamW")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the initial weights")] = 0,
    threads: Annotated[int, typer.Option(help="torch threads; more seldom helps")] = 1,
    recipe: Annotated[
        str,
        typer.Option(
            help="released, fair or obstructed (D = d, no head)",
        ),
    ] = "fair",
    architecture: Annotated[str, typer.Option(help="encoder or transformer")] = "transformer",
    d: Annotated[int, typer.Option("--dim", "-d", help="features of the task's tokens")] = 4,
    positions: Annotated[str, typer.Option(help="sinusoid or learned")] = "sinusoid",
    classes: Annotated[int | None, typer.Option(help="K of K-way classification")] = None,
    seeds: Annotated[int, typer.Option(help="seeds tried, from --seed on; the best stays")] = 1,
    batch: Annotated[int, typer.Option(help="points in a mini-batch")] = 128,
    checkpoint: Annotated[
        Path | None, typer.Option(help="file to save to, and to go on from after a stop")
    ] = None,
) -> None:
    """Train a small transformer to a target and write it as an exported program.

    A target of one number gets an encoder fitted to a small sup error. The targets scheme-one
    and mixed, with their tokens of --dim numbers, get an encoder or full transformer trained by
    a recipe; --recipe, --architecture, --dim, --positions, --classes, --seeds, --batch and
    --checkpoint are for them alone, and where --width, --ffn, --steps, --rate or --decay is not
    given the recipe sets it. Equal options give equal weights on the same machine.
    """
    file = destination(output)
    enough_memory()
    if not 1 <= threads <= 1024:
        raise BadRequest(f"threads must be between 1 and 1024, not {threads}")
    given = _given(context)
    if target in ("scheme-one", "mixed"):
        _refuse(given, NUMBER_ONLY, f"the target {target}")
        train_tokens(given, output)
        return
    _refuse(given, TOKENS_ONLY, "a target of one number, only for scheme-one and mixed")

    import torch

    from probes import training
    from probes.encoder import EncoderConfig
    from theory.targets import find_target

    config = EncoderConfig(layers, width, heads, ffn, tokens, activation, norm)
    options = training.Options(steps=steps, polish=polish, rate=rate, decay=decay, seed=seed)
    found = find_target(target, domain)
    torch.set_num_threads(threads)
    with _bar(steps + polish) as progress:
        model, report = training.train(config, found, options=options, progress=progress)
    save(model, file)
    check = ["certify", "check", str(output), "--target", target]
    if domain:
        check += ["--domain", *map(repr, domain)]
    typer.echo(_summary(output, report, shlex.join(check)))


def _given(context: typer.Context) -> dict[str, Any]:
    """The options that the user gave, by the names of the parameters."""
    source = context.get_parameter_source
    return {n: v for n, v in context.params.items() if source(n).name == "COMMANDLINE"}


def _refuse(given: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name in given:
            option = "dim" if name == "d" else name
            raise BadRequest(f"--{option} has no meaning for {what}")


def save(model: nn.Module, file: Path) -> None:
    """Write `model`, (1, 1) -> (1, 1), to `file`, whole or not at all.

    Raises:
        BadRequest: the file cannot be written.
    """
    import torch

    from certify.frontend.export import export

    export(model, torch.zeros(1, 1), file)


@contextmanager
def _bar(total: int) -> Iterator[Progress | None]:
    """A progress bar on stderr if that is a terminal, and otherwise nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  sup error {task.fields[error]:.2e}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total, error=float("inf"))

        def follow(done: int, _: int, error: float) -> None:
            shown.update(task, completed=done, error=error)

        yield follow


def _summary(output: Path, report: Report, check: str) -> str:
    rows: list[tuple[str, str]] = [
        ("model", str(output)),
        ("sup error", f"{report.sup_error:.3g} at x = {report.witness:.6g}, sampled, not proven"),
        ("parameters", str(report.parameters)),
        ("seconds", f"{report.seconds:.1f}"),
        ("check it", check),
    ]
    return "\n".join(f"{name:<12}{value}" for name, value in rows)


def main() -> None:
    """Entry point of `probes`."""
    app()


if __name__ == "__main__":
    main()
