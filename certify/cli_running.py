"""What the commands of `certify` share while they run: who computes, progress, and the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from theory.errors import BadRequest
from theory.files import replace_file

if TYPE_CHECKING:
    from certify.frontend import Model
    from certify.workers import Workers
    from theory.targets import Target

NO_PICTURE = "a picture is drawn of one {} (PATH.html writes a page of several)"


def deliver(data: dict, words: str, json: str | None, place: Path | None) -> None:
    """JSON to its place, words to stdout; with --json - nothing but JSON."""
    from certify.report.data import as_text

    try:
        if place is not None:
            replace_file(place, as_text(data).encode())
    finally:
        typer.echo(as_text(data) if json == "-" else words, nl=json != "-")


def drawable(path: str | None, output: int | str | None) -> bool:
    """Whether a report asked for by this name is a picture, and not a page.

    Raises:
        BadRequest: it is neither, or a picture of all outputs together.
    """
    name = (path or ".html").lower()
    if not name.endswith((".html", ".htm", ".svg")):
        raise BadRequest(f"--report writes a page, PATH.html, or a picture, PATH.svg; not {path}")
    picture = name.endswith(".svg")
    if picture and output == "all":
        raise BadRequest(f"--report {path}: {NO_PICTURE.format('output')}, --output INDEX")
    return picture


def of_one_input(model: Model, path: str) -> Model:
    """The model itself, where a picture can be drawn of it.

    Raises:
        BadRequest: it has several inputs.
    """
    inputs = prod(model.inputs)
    if inputs > 1:
        along = "--segment or --curve goes along a line or a curve through them"
        raise BadRequest(
            f"--report {path}: {NO_PICTURE.format('input')}; {model.path} has {inputs}: {along}"
        )
    return model


def along(
    model: str,
    target: str,
    domain: tuple[float, float] | None,
    output: int | str | None,
    path: str | tuple[str, str],
) -> tuple:
    """The model along a curve, or a segment between two files, and the target there, or those of
    all outputs."""
    from theory.curves import target_along
    from theory.several import entry, vector

    found, texts = placed(model, path)
    domain = domain or (None if isinstance(path, str) else (0.0, 1.0))

    def one(text: str, number: int) -> Target:
        return target_along(text, texts, number, domain)

    outputs = prod(found.outputs)
    if output == "all":
        return found, vector(target, outputs, one)
    return found, one(entry(target, output or 0, outputs), output or 0)


def placed(model: str, path: str | tuple[str, str]) -> tuple:
    """The model along a curve or a segment, and every input as an expression in t."""
    from certify.frontend import curve, load

    found = curve.curve(path) if isinstance(path, str) else curve.straight(*path)
    return curve.along(load(model), found), found.texts


def workers_for(jobs: int, dask: str | None = None) -> Workers:
    """Who encloses boxes; a context that ends with them."""
    if jobs < 1:
        raise BadRequest(f"--jobs must be at least 1, not {jobs}")
    import torch

    from certify.workers import Here, Processes

    torch.set_num_threads(1)
    if dask is None:
        return Here() if jobs == 1 else Processes(jobs)
    from certify.cluster import Cluster

    return Cluster(dask)


@contextmanager
def progress_of_search() -> Iterator:
    """A line on stderr that follows the search, if that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console

    from certify.report.text import progress_line

    with Console(stderr=True).status("searching") as status:
        yield lambda progress: status.update(progress_line(progress))


@contextmanager
def bar(what: str) -> Iterator:
    """A bar on stderr, if that is a terminal; told (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
