"""`check` for every execution in float32 that the stated model allows.

The real function is bracketed first; then every leaf gets a bound on the deviation of executions,
and points are float32 numbers. A verdict PROVED holds for every execution; REFUTED names a
float32 input where every execution fails. torch's own run is replayed and must lie inside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from certify.checking import Checked, Report, check
from certify.claiming import claims_of
from certify.crosschecks import Evidence, cross_check
from certify.errors import BadRequest
from certify.evaluate import evaluate
from certify.float32.leaves import Executed, as_state, execute, leaf_at
from certify.float32.lowering import lower_float32
from certify.frontend import Model
from certify.frontend.agree import InternalError, interpret
from certify.frontend.target import model_graph
from certify.goal import brackets
from certify.options import Options
from certify.run import Progress
from certify.search import MODEL, State
from certify.verdict import plateaus
from certify.windows import as_windows
from theory.targets import Target

REPLAYS = 128  # random float32 inputs beside the proven points


@dataclass(frozen=True, eq=False)
class Float32:
    """What a report about executions rests on.

    Attributes:
        real: the report in real arithmetic.
        deviation: proven bound on |execution - real value| over the domain.
        observed: the largest |torch's run - real value| at the replayed inputs, the real value
            known to within the brackets at points only (float64 otherwise).
        replays: inputs at which torch was run.
    """

    real: Report
    deviation: float
    observed: float
    replays: int


def check_float32(
    model: Model, target: Target, options: Options, watch: Callable[[Progress], None]
) -> Report:
    """The report about every execution; its field `float32` holds the real one.

    Raises:
        BadRequest: an option is about real arithmetic only.
        Unsupported: an operator has no bound in float32.
        InternalError: torch's own run leaves the stated model.
    """
    refuse(model, options)
    graph = model_graph(replace(model, graph=lower_float32(model.program)), options.output)
    real = check(model, target, replace(options, semantics="real"), watch)
    began = time.perf_counter()
    limit = _enough(real, options)
    outcome = real.outcome
    executed = execute(outcome.problem, graph, outcome.state.leaves, limit, options.limits.budget)
    state = as_state(outcome.problem, graph, executed, outcome.state)
    observed, count = replay(model, real, state)
    known = brackets(state, len(outcome.cells))
    seconds = time.perf_counter() - began
    parts = {f.name: getattr(outcome, f.name) for f in fields(outcome)}
    closed = bool(options.goal.closed(*torch.tensor(known.sup, dtype=torch.float64)))
    late = seconds >= options.limits.budget
    parts |= {
        "state": state,
        "known": known,
        "seconds": outcome.seconds + seconds,
        "stopped_by": "closed" if closed else "budget" if late else "resolution",
        "closed_after": outcome.seconds + seconds if closed else None,
        "samples": outcome.samples + count,
    }
    return _report(real, Checked(**parts), Float32(real, _most(executed), observed, count))


def refuse(model: Model, options: Options) -> None:
    """Refuse what is not defined or not proved for executions.

    Raises:
        BadRequest: naming the option.
    """
    names = options.of_one_variable
    names += ["--segment and --curve"] if model.whole is not None else []
    names += ["a model of several inputs"] if math.prod(model.inputs) > 1 else []
    if names:
        raise BadRequest(
            f"{', '.join(names)}: with --semantics float32 only errors, variations and plateaus of "
            "cells are bounded, for a model of one input; leave that or --semantics float32 out"
        )


def _enough(real: Report, options: Options) -> float:
    """Errors of executions that need no more splitting."""
    lo, hi = real.known.sup
    if options.within is not None and hi <= options.within:
        return options.within
    return max(lo * (1 + options.gap / 2), lo + options.abs_gap)


def _most(executed: Executed) -> float:
    return float(executed.deviation.max())


def _report(real: Report, outcome: Checked, float32: Float32) -> Report:
    """The same verdicts, from brackets that hold for executions."""
    options = replace(real.options, semantics="float32")
    known = outcome.known
    found = plateaus(known, options.tau)
    windows = as_windows(outcome.state, known)
    evidence = Evidence(known, outcome.state.points, real.structure, real.target, None)
    return replace(
        real,
        options=options,
        outcome=outcome,
        plateaus=found,
        windows=windows,
        longest=windows.longest(options.tau),
        claims=tuple(claims_of(options, real.target, outcome, found, None, None)),
        crosschecks=cross_check(evidence),
        float32=float32,
    )


def replay(model: Model, real: Report, state: State) -> tuple[float, int]:
    """Run torch in float32 at every proven point and at random inputs, and compare.

    Returns:
        the largest distance from the real value seen, and how many inputs were run.

    Raises:
        InternalError: a result lies outside what the stated model allows.
    """
    points, problem = state.points, real.outcome.problem
    lo, hi = float(problem.cells.min()), float(problem.cells.max())
    t = torch.rand(REPLAYS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fresh = (lo + (hi - lo) * t).float().double()
    fresh = fresh[(fresh >= lo) & (fresh <= hi)]
    around = state.leaves.bounds[MODEL][:, leaf_at(state.leaves, fresh)]
    x = torch.cat([points.x[:, 0], fresh])
    bounds = torch.cat([points.bounds[MODEL], around], 1)
    got = run(model, x, real.options.output or 0)
    outside = ~((bounds[0] <= got) & (got <= bounds[1]))
    if bool(outside.any()):
        i = int(torch.nonzero(outside)[0])
        raise InternalError(
            f"torch in float32 gives {float(got[i])!r} at x = {float(x[i])!r}, outside "
            f"[{float(bounds[0, i])!r}, {float(bounds[1, i])!r}]: the stated model of float32 "
            "execution (docs/float32.md) does not hold here; please report this model"
        )
    plain = evaluate(problem.graph, x.reshape(-1, *problem.graph.input_shape))["model"]
    return float((got - plain.reshape(-1)).abs().max()), len(x)


def run(model: Model, x: Tensor, output: int) -> Tensor:
    """torch's own execution in float32 of the archive's operators, at float32 inputs (P,)."""
    inputs = x.reshape(-1, *model.inputs)
    outs = [interpret(model.program, one, torch.float32).reshape(-1)[output] for one in inputs]
    return torch.stack(outs).double()
