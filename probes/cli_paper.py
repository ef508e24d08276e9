"""`probes paper`: run the experiments, keep every result, write tables, figure and page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probes.cli_tokens import bar
from theory.errors import BadRequest
from theory.files import replace_file
from theory.terminal import INTERRUPTED, enough_memory, fail

if TYPE_CHECKING:
    from probes.paper import Grid, Outcome
    from probes.store import Store

MINUTES_20 = 1200.0
MOST_CURVES = 100


def paper(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="folder of results; made if it is not there")
    ] = Path("paper-results"),
    full: Annotated[
        bool, typer.Option("--full", help="the large grid: days; budget unlimited by default")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="of training; default 1200")
    ] = None,
    dims: Annotated[
        str | None, typer.Option(metavar="D,D,...", help="dimensions of the task; default 4,16")
    ] = None,
    layers: Annotated[str | None, typer.Option(metavar="L,L,...", help="default 2")] = None,
    seeds: Annotated[int | None, typer.Option(help="how many; default 2, with --full 5")] = None,
    threads: Annotated[int, typer.Option(help="torch threads; more seldom helps")] = 1,
    certify_budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="to certify a model along a curve; 0: do not")
    ] = 10.0,
    certify_curves: Annotated[int, typer.Option(help="data curves for each model")] = 1,
) -> None:
    """Run the paper's experiments: as released, fair, and obstructed by LayerNorm.

    Every regression model up to d = 16 is then certified along data curves, within
    --certify-budget for each.

    Every result is kept in the folder under the hash of its settings and never measured twice.
    Stopped or killed, the same command goes on: the training it was in from its last save.
    """
    if budget is not None and not budget > 0:
        raise BadRequest(f"budget must be positive, not {budget}")
    if not 1 <= threads <= 1024:
        raise BadRequest(f"threads must be between 1 and 1024, not {threads}")
    if not 0 <= certify_budget < math.inf:
        raise BadRequest(f"certify-budget must be 0 or positive and finite, not {certify_budget}")
    if not 1 <= certify_curves <= MOST_CURVES:
        raise BadRequest(
            f"certify-curves must be between 1 and {MOST_CURVES}, not {certify_curves}"
        )
    enough_memory()
    seconds = (math.inf if full else MINUTES_20) if budget is None else budget

    import torch

    from probes.certifying import certify_all
    from probes.paper import run
    from probes.store import Store

    settings = _grid(full, dims, layers, seeds).settings()
    torch.set_num_threads(threads)
    try:
        with Store(output).opened() as store:
            with bar() as show:

                def follow(done: int, total: int, words: str, share: float) -> None:
                    if show:
                        show(f"{done} of {total} models; {words}", (done + share) / total)

                def prove(done: int, total: int, words: str) -> None:
                    if show:
                        show(f"{done} of {total} curves certified; {words}", done / total)

                outcomes = run(settings, store, budget=seconds, progress=follow)
                if certify_budget:
                    outcomes = certify_all(
                        outcomes, store, budget=certify_budget, curves=certify_curves,
                        progress=prove,
                    )  # fmt: skip
            written = _write(outcomes, store)
    except KeyboardInterrupt:
        fail(f"interrupted: the same command goes on from what {output} holds", INTERRUPTED)
    typer.echo(_summary(outcomes, written))


def _grid(full: bool, dims: str | None, layers: str | None, seeds: int | None) -> Grid:
    from dataclasses import replace

    from probes.paper import Grid

    grid = Grid.everything() if full else Grid()
    if dims is not None:
        grid = replace(grid, dimensions=numbers("dims", dims))
    if layers is not None:
        grid = replace(grid, layers=numbers("layers", layers))
    return grid if seeds is None else replace(grid, seeds=seeds)


def numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers with commas, each once; `name` is the option."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise BadRequest(f"--{name} takes whole numbers with commas, not {text!r}") from None


def _write(outcomes: list[Outcome], store: Store) -> list[tuple[str, str]]:
    """The tables, the figure and the page; rows of what was written, for the summary."""
    from probes import figures
    from probes.findings import page
    from probes.paper import failure_curves
    from probes.tables import as_csv, curves_csv, groups, regression_table

    curves = failure_curves(store)
    files = {"results.csv": as_csv(outcomes), "failure.csv": curves_csv(curves)}
    files["results.md"] = regression_table(groups(outcomes))
    rows = []
    figure = None
    try:
        drawn = figures.failure_figure(curves)
        figure = "failure.svg"
        replace_file(store.folder / figure, drawn)
        rows.append(("figure", str(store.folder / figure)))
    except figures.Missing as problem:
        rows.append(("figure", f"not drawn: {problem}"))
    files["findings.md"] = page(outcomes, curves, figure)
    for name, text in files.items():
        replace_file(store.folder / name, text.encode())
    tables = ", ".join(str(store.folder / name) for name in files if name != "findings.md")
    return [("findings", str(store.folder / "findings.md")), ("tables", tables), *rows]


def _summary(outcomes: list[Outcome], written: list[tuple[str, str]]) -> str:
    done = sum(outcome.result is not None for outcome in outcomes)
    rows = [("models", f"{done} of {len(outcomes)}"), *written]
    if done < len(outcomes):
        rows.append(("unfinished", "the budget is spent; the same command goes on"))
    return "\n".join(f"{name:<12}{value}" for name, value in rows)
