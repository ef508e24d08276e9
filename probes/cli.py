"""The command `probes`. Heavy imports wait inside the commands, so that `--help` is quick."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theory.errors import BadRequest
from theory.files import destination
from theory.terminal import told

if TYPE_CHECKING:
    from torch import nn

    from probes.training import Progress, Report

app = typer.Typer(
    help="Train small transformers and probe them by sampling.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def probes() -> None:
    """Train small transformers and probe them by sampling."""


@app.command()
@told
def train(
    target: Annotated[str, typer.Option(help="a name, or an expression in x")],
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
) -> None:
    """Train a small encoder to a target and write it as an exported program.

    Equal options give equal weights on the same machine.
    """
    file = destination(output)
    if not 1 <= threads <= 1024:
        raise BadRequest(f"threads must be between 1 and 1024, not {threads}")

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
