"""The command line of `theory`."""

from __future__ import annotations

import sys

import typer

from theory.errors import PlateauError
from theory.functions import FUNCTIONS

app = typer.Typer(help="Statements, their proofs, and the functions they are about.")


@app.callback()
def theory() -> None:
    """Statements, their proofs, and the functions they are about."""


@app.command()
def functions() -> None:
    """List the univariate functions and their expressions."""
    rows = [(name, str(function.expression)) for name, function in FUNCTIONS.items()]
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        for name, expression in rows:
            typer.echo(f"{name:<{width}}  {expression}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("function", "expression in x")
    for name, expression in rows:
        table.add_row(name, Text(expression))
    Console().print(table)


def main() -> None:
    """Run the command line; a problem with the caller's input is a message, not a traceback."""
    try:
        app()
    except PlateauError as problem:
        typer.echo(f"theory: {problem}", err=True)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
