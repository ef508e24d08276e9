"""The command line of `theory`."""

from __future__ import annotations

import typer

from theory.functions import FUNCTIONS
from theory.terminal import table, told

app = typer.Typer(
    help="Statements, their proofs, and the functions they are about.",
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def theory() -> None:
    """Statements, their proofs, and the functions they are about."""


@app.command()
@told
def functions() -> None:
    """List the univariate functions and their expressions."""
    table(
        ("function", "expression in x"),
        [(name, str(function.expression)) for name, function in FUNCTIONS.items()],
    )


def main() -> None:
    """Entry point of `theory`."""
    app()


if __name__ == "__main__":
    main()
