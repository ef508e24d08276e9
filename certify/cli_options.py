"""Options that several commands of `certify` have, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

from theory.errors import BadRequest

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A file written by certify.export.")]
Seconds = Annotated[float, typer.Option(help="Stop after about this many seconds.")]
MiB = Annotated[float, typer.Option(metavar="MIB", help="Memory for the search's tensors.")]
Jobs = Annotated[int, typer.Option(help="Processes; they pay where a run takes long.")]
Json = Annotated[str | None, typer.Option(metavar="PATH|-", help="Write the report as JSON.")]
Output = Annotated[
    str | None,
    typer.Option(metavar="INDEX|all", help="Which output, if there are several; all together."),
]
Norm = Annotated[
    str | None, typer.Option(metavar="max|2", help="Of all outputs together; max by default.")
]
Ends = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="One interval for every input; default: the target's own."),
]
Segment = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A.json B.json", help="From input A, t = 0, straight to B, t = 1."),
]
Along = Annotated[
    str | None, typer.Option(metavar="EXPR,...", help="Every input as an expression in t.")
]
Target = Annotated[
    str,
    typer.Option(help="A name (see certify targets) or an expression; one an output, with commas."),
]
Tau = Annotated[float, typer.Option(help="Plateau ratio.")]
Within = Annotated[float | None, typer.Option(help="Claim: sup error <= EPS.")]
ConstantUpTo = Annotated[float | None, typer.Option(help="Claim: variation <= ETA on every cell.")]
NoPlateau = Annotated[bool, typer.Option("--no-plateau", help="Claim: no plateau.")]
Monotone = Annotated[bool, typer.Option("--monotone", help="Claim: it is monotone.")]
Lipschitz = Annotated[float | None, typer.Option(metavar="L", help="Claim: no slope exceeds L.")]
Gap = Annotated[float, typer.Option(help="A bracket is closed when hi <= (1 + gap) lo.")]
AbsGap = Annotated[float, typer.Option(help="... or when hi - lo <= this.")]


def chosen(output: str | None) -> int | str | None:
    """The number of an output, "all", or None.

    Raises:
        BadRequest: it is neither.
    """
    if output is None or output == "all":
        return output
    try:
        return int(output)
    except ValueError:
        raise BadRequest(f'--output must be a number or "all", not "{output}"') from None
