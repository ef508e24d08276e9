"""Options that several commands of `certify` have, each written once."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A file written by certify.export.")]
Seconds = Annotated[float, typer.Option(help="Stop after about this many seconds.")]
MiB = Annotated[float, typer.Option(metavar="MIB", help="Memory for the search's tensors.")]
Jobs = Annotated[int, typer.Option(help="Processes; they pay where a run takes long.")]
Json = Annotated[str | None, typer.Option(metavar="PATH|-", help="Write the report as JSON.")]
Output = Annotated[int | None, typer.Option(help="Number of the output, if there are several.")]
Ends = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Lower and upper end; by default the target's own."),
]
Segment = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A.json B.json", help="From input A, t = 0, straight to B, t = 1."),
]
Along = Annotated[
    str | None, typer.Option(metavar="EXPR,...", help="Every input as an expression in t.")
]
Target = Annotated[str, typer.Option(help="A name (see certify targets) or an expression.")]
Tau = Annotated[float, typer.Option(help="Plateau ratio.")]
Within = Annotated[float | None, typer.Option(help="Claim: sup error <= EPS.")]
ConstantUpTo = Annotated[float | None, typer.Option(help="Claim: variation <= ETA on every cell.")]
NoPlateau = Annotated[bool, typer.Option("--no-plateau", help="Claim: no plateau.")]
Monotone = Annotated[bool, typer.Option("--monotone", help="Claim: it is monotone.")]
Lipschitz = Annotated[float | None, typer.Option(metavar="L", help="Claim: no slope exceeds L.")]
Gap = Annotated[float, typer.Option(help="A bracket is closed when hi <= (1 + gap) lo.")]
AbsGap = Annotated[float, typer.Option(help="... or when hi - lo <= this.")]
