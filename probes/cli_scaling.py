"""`probes scaling`: train small encoders, certify each, and set them beside the construction."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probes.cli_paper import numbers
from probes.cli_tokens import bar
from theory.errors import BadRequest
from theory.files import replace_file
from theory.terminal import INTERRUPTED, fail

if TYPE_CHECKING:
    from probes.scaling import Grid, Point
    from probes.store import Store


def scaling(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="folder of results; made if it is not there")
    ] = Path("scaling-results"),
    target: Annotated[str, typer.Option(help="a name or an expression in x")] = "exp",
    layers: Annotated[str | None, typer.Option(metavar="L,L,...", help="default 1,2,4")] = None,
    widths: Annotated[str | None, typer.Option(metavar="W,W,...", help="default 4,8,16")] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="S,S,...", help="of AdamW; default 25,100,400,1600")
    ] = None,
    seeds: Annotated[int, typer.Option(help="how many of each")] = 1,
    certify_budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="to certify one encoder")
    ] = 10.0,
    budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="begin nothing later; default: none")
    ] = None,
    threads: Annotated[int, typer.Option(help="torch threads; more seldom helps")] = 1,
) -> None:
    """Certified accuracy and resolution of small encoders against layers, width and training.

    Every result is kept in the folder under the hash of its settings and never computed twice.
    Stopped or killed, the same command goes on and loses at most the encoder in work. The
    default takes about 10 minutes.
    """
    if budget is not None and not budget > 0:
        raise BadRequest(f"budget must be positive, not {budget}")
    if not 1 <= threads <= 1024:
        raise BadRequest(f"threads must be between 1 and 1024, not {threads}")

    import torch

    from probes.scaling import Grid, run
    from probes.store import Store

    grid = Grid(target=target, seeds=seeds, budget=certify_budget)
    for name, text in (("layers", layers), ("widths", widths), ("steps", steps)):
        if text is not None:
            grid = replace(grid, **{name: numbers(name, text)})
    torch.set_num_threads(threads)
    try:
        with Store(output).opened() as store:
            with bar() as show:

                def follow(done: int, total: int, words: str) -> None:
                    if show:
                        show(f"{done} of {total} encoders; {words}", done / total)

                points = run(grid, store, budget=budget or math.inf, progress=follow)
            written = _write(grid, points, store)
    except KeyboardInterrupt:
        fail(f"interrupted: the same command goes on from what {output} holds", INTERRUPTED)
    done = sum(p is not None for p in points)
    rows = [("encoders", f"{done} of {len(points)}"), *written]
    if done < len(points):
        rows.append(("unfinished", "the budget is spent; the same command goes on"))
    typer.echo("\n".join(f"{name:<12}{value}" for name, value in rows))


def _write(grid: Grid, points: list[Point | None], store: Store) -> list[tuple[str, str]]:
    """Table, figure and page; rows of what was written, for the summary."""
    from probes import scaling_tables
    from probes.optional import Missing
    from probes.scaling_figure import scaling_figure

    folder, figure, rows = store.folder, None, []
    try:
        drawn = scaling_figure(points)
        figure = "scaling.svg"
        replace_file(folder / figure, drawn)
        rows.append(("figure", str(folder / figure)))
    except Missing as problem:
        rows.append(("figure", f"not drawn: {problem}"))
    replace_file(folder / "scaling.csv", scaling_tables.as_csv(points).encode())
    replace_file(folder / "scaling.md", scaling_tables.page(grid, points, figure).encode())
    tables = ", ".join(str(folder / name) for name in ("scaling.md", "scaling.csv"))
    return [("tables", tables), *rows]
