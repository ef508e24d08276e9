"""The command `certify sweep`: many models, one table. Registered by `certify/cli.py`."""

from __future__ import annotations

import csv
import io
import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli_options import (
    AbsGap,
    ConstantUpTo,
    Ends,
    Gap,
    Lipschitz,
    Monotone,
    NoPlateau,
    Output,
    Target,
    Tau,
    Within,
    chosen,
)
from theory.errors import BadRequest
from theory.files import destination, replace_file
from theory.terminal import INTERRUPTED, fail, table

if TYPE_CHECKING:
    from certify.sweep import Job, Row

COLUMNS = ("model", "sha256", "verdict", "exit_code", "sup_error_lo", "sup_error_hi", "witness",
           "plateau", "longest_plateau_lo", "longest_plateau_hi", "claims", "boxes", "seconds",
           "stopped_by", "reason")  # fmt: skip


def sweep(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Model files.")],
    target: Target,
    domain: Ends = None,
    cells: Annotated[int, typer.Option(help="Number of equal cells.")] = 32,
    tau: Tau = 0.1,
    within: Within = None,
    constant_up_to: ConstantUpTo = None,
    no_plateau: NoPlateau = False,
    monotone: Monotone = False,
    lipschitz: Lipschitz = None,
    gap: Gap = 0.01,
    abs_gap: AbsGap = 0.0,
    budget: Annotated[float, typer.Option(help="Seconds for each model, about.")] = 60.0,
    memory: Annotated[float, typer.Option(metavar="MIB", help="For each search's tensors.")] = 4096,
    jobs: Annotated[int, typer.Option(help="Processes, each checking one model at a time.")] = 1,
    output: Output = None,
    cache: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where results are kept.")
    ] = ".certify-sweep",
    again: Annotated[bool, typer.Option("--again", help="Compute also what is kept.")] = False,
    to_csv: Annotated[
        str | None, typer.Option("--csv", metavar="PATH|-", help="Write the table as CSV.")
    ] = None,
    to_json: Annotated[
        str | None, typer.Option("--json", metavar="PATH|-", help="Write the rows as JSON.")
    ] = None,
) -> None:
    """Check many models against one target; a model that fails is one row, with its reason.

    Results are kept, by the content of model, target and options; started again, only what is
    missing is computed. Exit code: the worst of all: 5, 4, 2, then 1, then 3, then 0.
    """
    places = {path: destination(path) for path in (to_csv, to_json) if path not in (None, "-")}
    if to_csv == to_json == "-":
        raise BadRequest("--csv - and --json - both write to standard output; name a file for one")
    if jobs < 1:
        raise BadRequest(f"--jobs must be at least 1, not {jobs}")
    number = chosen(output)
    if number == "all":
        raise BadRequest(
            "a sweep is about one output, --output INDEX; all together are for certify check"
        )
    from certify import sweep as sweeping
    from certify.options import Options
    from certify.run import Limits
    from theory.targets import find_target

    options = Options(domain=domain, cells=cells, tau=tau, within=within,
                      constant_up_to=constant_up_to, no_plateau=no_plateau, monotone=monotone,
                      lipschitz=lipschitz, gap=gap, abs_gap=abs_gap, output=number,
                      limits=Limits(budget, memory))  # fmt: skip
    wanted = find_target(target, domain)
    work = [sweeping.Job(path, wanted, options) for path in models]
    rows, kept = _rows(work, sweeping.Kept(cache), jobs, again)
    code = sweeping.worst([row["exit_code"] for row in rows])
    if to_csv is not None:
        _deliver(as_csv(rows), to_csv, places)
    if to_json is not None:
        _deliver(_as_json(rows, work[0], code), to_json, places)
    if "-" not in (to_csv, to_json):
        _print(rows)
        if kept:
            typer.echo(f"{kept} of {len(rows)} results were kept in {cache}; --again computes all")
    raise typer.Exit(code)


def _rows(work: list[Job], kept: Any, jobs: int, again: bool) -> tuple[list[Row], int]:
    """All rows in the order of the models, and how many were known before."""
    from certify.sweep import sweep as swept

    found: dict[int, Row] = {}
    old = 0
    try:
        for i, row, known in swept(work, kept, jobs, again=again):
            found[i] = row
            old += known
            if sys.stderr.isatty():
                typer.echo(f"{len(found)} of {len(work)}  {_name(row)}: {row['verdict']}", err=True)
    except KeyboardInterrupt:
        says = f"interrupted: {len(found)} of {len(work)} results are kept in {kept.folder}"
        fail(f"{says}; the same command goes on from there", INTERRUPTED)
    return [found[i] for i in range(len(work))], old


def _name(row: Row) -> str:
    from certify.report.clean import shown

    return shown(row["model"])


def _print(rows: list[Row]) -> None:
    from certify.report.clean import shown
    from certify.report.numbers import interval

    lines = []
    for row in rows:
        sup = row["sup_error"]
        error = interval(float(sup["lo"]), float(sup["hi"]), most=6) if sup else ""
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        claims = ", ".join(f"{label} {verdict}" for label, verdict in row["claims"].items())
        why = shown(" ".join(row["reason"].split()))[:120]
        line = (_name(row), row["verdict"], error, row["plateau"] or "", seconds, claims or why)
        lines.append(line)
    head = ("model", "verdict", "sup error in", "plateau", "s", "claims, or why")
    table(head, lines if sys.stdout.isatty() else [head, *lines])


def as_csv(rows: list[Row]) -> str:
    """One line a model. Numbers are Python's shortest decimals, exact; a path that a spreadsheet
    would take for a formula gets ./ in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        sup, longest = row["sup_error"] or {}, row["longest_plateau"] or {}
        model = row["model"]
        flat = row | {
            "model": f"./{model}" if model.startswith(("=", "+", "-", "@")) else model,
            "sup_error_lo": sup.get("lo"),
            "sup_error_hi": sup.get("hi"),
            "witness": " ".join(repr(v) for v in sup.get("witness") or () if v is not None),
            "longest_plateau_lo": longest.get("lo"),
            "longest_plateau_hi": longest.get("hi"),
            "claims": "; ".join(f"{k} {v}" for k, v in row["claims"].items()),
        }
        writer.writerow(["" if flat[name] is None else flat[name] for name in COLUMNS])
    return out.getvalue()


def _as_json(rows: list[Row], job: Job, code: int) -> str:
    from certify.report.data import versions
    from certify.sweep import SCHEMA, asked

    target = {"name": job.target.name, "expression": job.target.text, "domain": job.target.domain}
    data = {"schema": SCHEMA, "tool": versions(), "target": target, "options": asked(job.options),
            "exit_code": code, "rows": rows}  # fmt: skip
    return jsons.dumps(data, indent=1, allow_nan=False) + "\n"


def _deliver(text: str, path: str, places: dict[str, Path]) -> None:
    if path == "-":
        typer.echo(text, nl=False)
    else:
        replace_file(places[path], text.encode(errors="surrogateescape"))
