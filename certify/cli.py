"""The command line of `certify`. Torch is imported by the commands that compute, not before."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from certify.cli_options import (
    AbsGap,
    Along,
    ConstantUpTo,
    Ends,
    Gap,
    Jobs,
    Json,
    Lipschitz,
    MiB,
    Model,
    Monotone,
    NoPlateau,
    Norm,
    Output,
    Seconds,
    Segment,
    Target,
    Tau,
    Within,
    chosen,
)
from certify.cli_running import (
    along,
    bar,
    deliver,
    drawable,
    of_one_input,
    placed,
    progress_of_search,
    workers_for,
)
from certify.cli_sweep import sweep
from certify.interrupting import twice
from theory.commands import App
from theory.errors import BadRequest
from theory.files import destination, replace_file
from theory.terminal import INTERNAL_ERROR, enough_memory, fail, table, told

app = App(
    help="Proven bounds for trained networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)


def _cite(wanted: bool) -> None:
    if wanted:
        from certify.report.cite import bibtex

        typer.echo(bibtex(), nl=False)
        raise typer.Exit


@app.command()
@told
@twice
def check(
    model: Model,
    target: Target,
    domain: Ends = None,
    cells: Annotated[
        int,
        typer.Option(help="Number of equal cells; of several inputs, at most."),
    ] = 32,
    width: Annotated[float | None, typer.Option(help="Width of a cell, not their number.")] = None,
    tau: Tau = 0.1,
    within: Within = None,
    constant_up_to: ConstantUpTo = None,
    no_plateau: NoPlateau = False,
    windows: Annotated[
        float | None, typer.Option(help="Plateaus on windows of this width, of any place.")
    ] = None,
    resolution: Annotated[
        bool, typer.Option("--resolution", help="Close the longest plateau's bracket too.")
    ] = False,
    monotone: Monotone = False,
    lipschitz: Lipschitz = None,
    slopes: Annotated[bool, typer.Option("--slopes", help="Bracket the derivative too.")] = False,
    gap: Gap = 0.01,
    abs_gap: AbsGap = 0.0,
    budget: Seconds = 60.0,
    memory: MiB = 4096.0,
    jobs: Jobs = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a cluster that you trust.")
    ] = None,
    semantics: Annotated[
        str, typer.Option(metavar="real|float32", help="Exact arithmetic, or any execution.")
    ] = "real",
    output: Output = None,
    norm: Norm = None,
    segment: Segment = None,
    curve: Along = None,
    json: Json = None,
    certificate: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write a certificate, packed if PATH is .gz.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Have the independent checker prove all again.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Keep the search in this file; go on from it."),
    ] = None,
    report_to: Annotated[
        str | None,
        typer.Option("--report", metavar="PATH.html|.svg", help="Write a page, or a picture."),
    ] = None,
    cite: Annotated[
        bool, typer.Option("--cite", is_eager=True, callback=_cite, help="Print BibTeX and end.")
    ] = False,
) -> None:
    """Bracket the distance of a model from a target, with proof, and decide claims about it.

    Exit code: 0 every claim is proved (without claims: the bracket is closed), 1 a claim is
    refuted, 2 usage or file, 3 undecided, 4 unsupported model, 5 internal error. Ctrl-C ends the
    search and reports what is proved so far; a second one ends the command.
    """
    place = None if json in (None, "-") else destination(json)
    for path in (certificate, report_to):
        if path is not None:
            destination(path)
    if segment is not None and curve is not None:
        raise BadRequest("--segment and --curve exclude each other")
    enough_memory()
    if semantics == "float32" and (certificate is not None or verify):
        raise BadRequest(
            "certificates hold real arithmetic only; leave out --semantics float32, or "
            "--certificate and --verify"
        )
    from certify import checking
    from certify.frontend import load
    from certify.options import Options
    from certify.resuming import kept
    from certify.run import Limits

    number = chosen(output)
    drawn = drawable(report_to, number)
    if norm is not None and number != "all":
        raise BadRequest("--norm measures all outputs together: add --output all")
    if segment is None and curve is None:
        subject, wanted = of_one_input(load(model), report_to) if drawn else model, target
    else:
        subject, wanted = along(model, target, domain, number, curve or segment)
    options = Options(
        domain=domain,
        cells=cells,
        width=width,
        tau=tau,
        within=within,
        constant_up_to=constant_up_to,
        no_plateau=no_plateau,
        windows=windows,
        resolution=resolution,
        monotone=monotone,
        lipschitz=lipschitz,
        slopes=slopes,
        gap=gap,
        abs_gap=abs_gap,
        output=number,
        norm=norm or "max",
        limits=Limits(budget, memory),
        semantics=semantics,
    )
    with kept(resume), workers_for(jobs, dask) as workers, progress_of_search() as watch:
        options = replace(options, limits=Limits(budget, memory, workers=workers))
        report = checking.check(subject, wanted, options, watch, resume=resume)
    from certify.report import data, text
    from certify.report.proof import prove

    keeper = report.options.limits.keeper
    if keeper and keeper.failure:
        typer.echo(f"the search is not kept: {keeper.failure}", err=True)
    try:
        proved = prove(report, certificate, verify)
        if report_to is not None:
            from certify.report import html, picture

            page = picture.render(report) if drawn else html.render(report, proved.data)
            replace_file(report_to, page.encode())
    except BadRequest:  # a full disk takes the certificate, but not the report
        deliver(data.as_data(report), text.render(report), json, place)
        raise
    deliver(data.as_data(report, proved.data), text.render(report) + proved.words, json, place)
    if verify and not proved.data["checked"]:
        says = "the checker does not accept the certificate, for the reason above"
        fail(f"internal error: {says}; please report this model", INTERNAL_ERROR)
    raise typer.Exit(report.exit_code)


app.command()(told(sweep))


@app.command()
@told
def verify(
    certificate: Annotated[str, typer.Argument(metavar="CERTIFICATE", help="Written by check.")],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The certificate must be about this file.")
    ] = None,
    sample: Annotated[
        float, typer.Option(metavar="FRACTION", help="Prove only this part of the leaves.")
    ] = 1.0,
    jobs: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
) -> None:
    """Prove everything that a certificate says again, without the engine that wrote it.

    Exit code: 0 accepted, 1 rejected (the first leaf that fails is named), 2 unreadable.
    """
    from certify.certificate.reading import read
    from certify.certificate.words import in_words
    from certify.checker.check import verify as proved
    from certify.report.certified import stated

    found = read(certificate)
    if model is not None:
        from certify.frontend.network import mismatch

        if why := mismatch(found, model):
            typer.echo(f"REJECTED    {why}")
            raise typer.Exit(1)
    with bar("leaves") as watch:
        result = proved(found, jobs, sample, watch)
    typer.echo(in_words(result))
    if result.accepted:
        typer.echo(stated(found, result, compared=model is not None))
    raise typer.Exit(0 if result.accepted else 1)


@app.command()
@told
def enclose(
    model: Model,
    box: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LO HI", help="The input box; [0, 1] along a segment."),
    ] = None,
    gap: Annotated[float, typer.Option(help="Closed when hi - lo is known to this part.")] = 0.01,
    abs_gap: Annotated[float, typer.Option(help="... or to within this.")] = 0.0,
    budget: Seconds = 60.0,
    memory: MiB = 4096.0,
    jobs: Jobs = 1,
    output: Output = None,
    derivative: Annotated[int, typer.Option(min=0, max=2, help="Of this order; 0: values.")] = 0,
    segment: Segment = None,
    curve: Along = None,
    json: Json = None,
) -> None:
    """Bracket the range of a model's outputs on a box: values reached, and values never passed.

    Exit code: 0 both ends are closed to the gap, 3 they are not within the budget.
    """
    place = None if json in (None, "-") else destination(json)
    enough_memory()
    if segment is not None and curve is not None:
        raise BadRequest("--segment and --curve exclude each other")
    if box is None and segment is None:
        raise BadRequest("give the input box, --box LO HI; only a segment has one, [0, 1], already")
    from certify import ranges
    from certify.options import Options
    from certify.run import Limits
    from theory.targets import interval

    ends = interval(box or (0.0, 1.0), "--box")
    limits = Limits(budget, memory)
    options = Options(domain=ends, cells=1, gap=gap, abs_gap=abs_gap, limits=limits)
    subject = model if segment is None and curve is None else placed(model, curve or segment)[0]
    with workers_for(jobs) as workers, progress_of_search() as watch:
        options = replace(options, limits=Limits(budget, memory, workers=workers))
        number = chosen(output)
        found = ranges.ranges(
            subject, options, None if number == "all" else number, watch, derivative
        )
    deliver(ranges.as_data(found), ranges.render(found), json, place)
    raise typer.Exit(0 if found.closed else 3)


@app.command()
@told
def convert(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="Weights, an ONNX file or a BERT folder.")
    ],
    out: Annotated[str, typer.Option("-o", "--out", metavar="MODEL", help="The file to write.")],
    arch: Annotated[
        str | None,
        typer.Option(
            metavar="PKG.MOD:FACTORY", help="Builds the module; it is imported and called."
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="1,N,...", help="Shape of the input; 1,1 by default.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Where in a checkpoint the weights are.")] = None,
) -> None:
    """Make a model file of weights with an architecture, an ONNX file or a BERT folder.

    Nothing in CHECKPOINT is executed; the module that --arch names is, as you ask for it.
    Exit code: 0 written, 2 usage or unreadable, 4 unsupported; then nothing is written.
    """
    destination(out)
    enough_memory()
    from certify.frontend import convert as conversion

    source = conversion.Source(checkpoint, arch, conversion.parse_shape(shape), key)
    typer.echo(conversion.in_words(*conversion.convert(source, out), out))


@app.command()
@told
def ops() -> None:
    """List the operators of exported programs: supported ones, then those that are not yet."""
    from certify.ops import known_ops, unsupported_ops

    table(("operator", "meaning"), known_ops())
    table(("not supported", "because"), unsupported_ops())


@app.command()
@told
def targets() -> None:
    """List the targets that have a name; expressions such as sin(3*x)+x^2/4 work too."""
    from theory.targets import TARGETS

    rows = [(t.name, t.text, f"[{t.domain[0]:g}, {t.domain[1]:g}]") for t in TARGETS.values()]
    table(("target", "expression", "domain"), rows)


@app.command()
@told
def selftest(
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
) -> None:
    """Test this installation: rounding, exp and log, matrix products, a proof; half a minute.

    Exit code: 0 all is as the engine believes, 5 something is not; then it says what to do.
    """
    enough_memory()
    from certify import selftest as tests

    results = []
    for result in tests.selftest(seed):
        typer.echo(tests.line(result))
        results.append(result)
    failed = [result for result in results if not result.passed]
    if failed:
        fail(tests.advice(failed), INTERNAL_ERROR)


def main() -> None:
    """Entry point of `certify`."""
    app()


if __name__ == "__main__":
    main()
