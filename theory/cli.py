"""The command line of `theory`."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from theory.commands import App
from theory.errors import BadRequest
from theory.functions import FUNCTIONS
from theory.terminal import table, told

app = App(
    help="Statements, their proofs, and the functions they are about.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)
MARKS = {True: "holds", False: "FAILS", None: "-"}


@app.callback()
def theory() -> None:
    """Statements, their proofs, and the functions they are about."""


@app.command(name="list")
@told
def list_() -> None:
    """List the statements; `theory prove` tells their status."""
    from theory.theorem import all_theorems

    rows = [(t.label, t.title, ", ".join(t.uses)) for t in all_theorems().values()]
    table(("statement", "title", "uses"), rows)


@app.command()
@told
def show(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Such as A1.")],
    latex: Annotated[bool, typer.Option("--latex", help="As a LaTeX theorem.")] = False,
) -> None:
    """Show a statement and its proof, each step checked now."""
    from theory.theorem import find_theorem, prove_all

    statement = find_theorem(label)
    proof = list(prove_all((statement.label,)))[-1]
    if latex:
        from theory.pages import as_latex

        typer.echo(as_latex(proof))
        return
    typer.echo(f"{statement.label}  {statement.title}  ({proof.status.value})\n")
    for text in (statement.statement, f"Proof. {statement.proof}"):
        typer.echo(textwrap.fill(text, 92, break_on_hyphens=False) + "\n")
    for step, outcome in proof.outcomes:
        typer.echo(f"  {MARKS[outcome.holds]:<6} {outcome.shown}\n         {step.says}")
    if statement.uses:
        typer.echo(f"\nuses {', '.join(statement.uses)}")
    if statement.source:
        typer.echo(f"source: {statement.source}")


@app.command()
@told
def prove(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL]...", help="All by default.")
    ] = None,
) -> None:
    """Check every step of the statements, and of those they use.

    Exit code: 0 every step holds (conditional statements included, marked), 1 some step fails
    or is not decided.
    """
    from theory.kernel import Cited
    from theory.theorem import find_theorem, prove_all

    wanted = tuple(find_theorem(label).label for label in labels or ())
    failed = count = 0
    for proof in prove_all(wanted):
        typer.echo(f"{proof.status.value.upper():<12} {proof.theorem.label}  {proof.theorem.title}")
        count += len(proof.outcomes)
        for step, outcome in proof.outcomes:
            if outcome.holds is not True and not isinstance(step, Cited):
                failed += 1
                typer.echo(f"             {step.says}\n             {outcome.shown}")
    typer.echo(f"{count} steps, {failed} that do not hold")
    raise typer.Exit(1 if failed else 0)


@app.command()
@told
def resolution(
    target: Annotated[str, typer.Option(help="An increasing target with a row; see the error.")],
    eps: Annotated[float, typer.Option(help="Accuracy.")],
    d: Annotated[int, typer.Option(help="Dimension of a token.")] = 1,
    m: Annotated[int, typer.Option(help="Number of tokens.")] = 1,
    domain: Annotated[tuple[int, int], typer.Option(metavar="LO HI", help="Its ends.")] = (-1, 1),
    lipschitz: Annotated[float | None, typer.Option(help="Of the model, for its limit.")] = None,
) -> None:
    """What accuracy EPS takes: delta*, cells, the construction's layers, pieces, floors."""
    from theory.numbers import numbers

    if not 0 < eps < 1 or d < 1 or m < 1:
        raise BadRequest("--eps must lie between 0 and 1, --d and --m must be at least 1")
    for one in numbers(target, domain, eps, d, m, lipschitz):
        typer.echo(f"{one.name:<36} {one}")


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
