"""`probes run`: sampling and proof of one model, side by side and against each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theory.errors import BadRequest
from theory.files import destination, replace_file

if TYPE_CHECKING:
    from probes.running import Probing


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a file written by certify.export")],
    target: Annotated[str, typer.Option(help="a name (see certify targets) or an expression")],
    domain: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LO HI", help="default: the target's")
    ] = None,
    cells: Annotated[int, typer.Option(help="number of equal cells")] = 32,
    tau: Annotated[float, typer.Option(help="plateau ratio")] = 0.1,
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="to certify values, and again for slopes")
    ] = 3.0,
    output: Annotated[int | None, typer.Option(help="number of the output, if several")] = None,
    json: Annotated[str | None, typer.Option(metavar="PATH|-", help="write it as JSON")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder for the figures; made if missing")
    ] = None,
) -> None:
    """Probe a model by sampling, and hold all that is sampled against what is proved.

    Exit code: 0 all was done, 2 usage or file, 3 the proved bracket of the sup error is not
    closed within the budget, 4 unsupported model, 5 something sampled contradicts something
    proved (the witness is named).
    """
    place = None if json in (None, "-") else destination(json)
    if figures is not None:
        _folder(figures)
    import torch

    from certify.options import Options
    from certify.run import Limits
    from probes import run_text
    from probes.running import run as probe
    from theory.targets import find_target

    torch.set_num_threads(1)
    options = Options(
        domain=domain, cells=cells, tau=tau, output=output, limits=Limits(budget=budget)
    )
    with _status() as watch:
        found = probe(model, find_target(target, domain), options, watch)
    words = run_text.render(found)
    if figures is not None:
        words += "\n" + _draw(found, figures)
    if json is not None:
        from certify.report.data import as_text
        from probes.run_data import as_data

        text = as_text(as_data(found))
        if place is not None:
            replace_file(place, text.encode())
        else:
            typer.echo(text, nl=False)
    if json != "-":
        typer.echo(words)
    raise typer.Exit(found.exit_code)


def _folder(path: Path) -> None:
    """The folder, made if it is not there, tried before the work.

    Raises:
        BadRequest: nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot write to {path}: {error.strerror}") from None
    destination(path / "envelope.svg")


def _draw(found: Probing, folder: Path) -> str:
    from certify.report.text import block
    from probes.run_figures import figures

    made = figures(found)
    for name, data in made.items():
        replace_file(folder / name, data)
    return block("figures", [f"in {folder}: {', '.join(made)}"])


@contextmanager
def _status() -> Iterator:
    """A line on stderr that follows the search, if that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console

    from certify.report.text import progress_line

    with Console(stderr=True).status("searching") as status:
        yield lambda progress: status.update(progress_line(progress))
