"""A report as JSON, schema certify-report/1 (see docs/report.md)."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from typing import Any

from certify.checking import Report
from certify.report.words import layer_norm_floor, paragraph, step_width
from theory.claims import OPPOSITE

SCHEMA = "certify-report/1"
PACKAGES = ("plateau", "torch", "numpy", "sympy", "python-flint", "z3-solver")


def number(value: float) -> float | str | None:
    """A float for JSON: infinities as strings, nan (no value) as null."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def guaranteed(**values: float | list[float]) -> dict[str, Any]:
    """Every number twice: decimal for people, float.hex under the same name + _hex."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        many = isinstance(value, list)
        parts = [float(v) for v in (value if many else [value])]
        decimals = [number(v) for v in parts]
        exact = [None if math.isnan(v) else v.hex() for v in parts]
        out[name] = decimals if many else decimals[0]
        out[name + "_hex"] = exact if many else exact[0]
    return out


def versions() -> dict[str, str]:
    """Versions of everything that computed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def as_data(report: Report, certificate: dict[str, Any] | None = None) -> dict[str, Any]:
    """The report as plain dictionaries, lists and numbers.

    certificate: path, sha256 and whether the checker accepted it, if there is one.
    """
    known, found, outcome = report.known, report.plateaus, report.outcome
    lo, hi = report.options.domain
    cells = []
    for i, box in enumerate(report.cells.tolist()):
        variation, target = known.variation[:, i].tolist(), known.target_variation[:, i].tolist()
        error = known.cell_sup[:, i].tolist()
        cells.append(
            {
                "box": box,
                **guaranteed(range=known.range[:, i].tolist()),
                "variation": guaranteed(lo=variation[0], hi=variation[1]),
                "target_variation": guaranteed(lo=target[0], hi=target[1]),
                "sup_error": guaranteed(lo=error[0], hi=error[1]),
                "plateau": found.cells[i].verdict.value,
                "deciding": bool(found.deciding[i]),
            }
        )
    return {
        "schema": SCHEMA,
        "tool": versions(),
        "model": {
            "path": report.model.path,
            "sha256": report.model.sha256,
            "inputs": list((report.model.whole or report.model).inputs),
            "outputs": list(report.model.outputs),
            "parameters": report.model.parameters,
            "curve": None if report.model.curve is None else report.model.curve.data,
        },
        "target": {
            "name": report.target.name,
            "expression": report.target.text,
            "domain": [lo, hi],
        },
        "semantics": report.options.semantics,
        "guaranteed": True,
        "norm": None if report.together is None else report.options.norm,
        "outputs": _outputs(report),
        "float32": _float32(report),
        "sup_error": {
            **guaranteed(lo=known.sup[0], hi=known.sup[1]),
            **guaranteed(witness=list(known.witness)),
            "closed": report.closed,
            "at_witness": _attained(report),
        },
        "plateaus": {
            "tau": report.options.tau,
            "verdict": found.overall().value,
            "deciding": int(found.deciding.sum()),
            "proved": int(found.proved.sum()),
            "refuted": int(found.refuted.sum()),
        },
        "longest_plateau": _longest(report),
        "windows": _windows(report),
        "structure": _structure(report),
        "slopes": _slopes(report),
        "summary": paragraph(report),
        "cells": cells,
        "claims": [
            {
                "label": c.label,
                "says": c.says,
                "verdict": c.verdict.value,
                "reason": c.reason,
                "witness": c.witness,
                "theorem": c.theorem,
            }
            for c in report.claims
        ],
        "crosschecks": [
            {"theorem": c.theorem, "says": c.says, "comparisons": c.count}
            for c in report.crosschecks
        ],
        "sandwich": {
            "samples": report.outcome.samples,
            "violations": 0,  # a violation ends the run as an internal error
            "agreement": number(report.outcome.agreement),
        },
        "search": {
            "boxes": outcome.state.boxes,
            "leaves": len(outcome.state.leaves),
            "seconds": outcome.seconds,
            "seconds_of_earlier_runs": outcome.before,
            "sup_error_closed_after": outcome.closed_after,
            "stopped_by": outcome.stopped_by,
        },
        "certificate": certificate or {"path": None, "sha256": None, "checked": False},
    }


def _attained(report: Report) -> dict[str, Any] | None:
    """Bounds of model and target at the witness; null without one."""
    if report.attained is None:
        return None
    (low, high), (least, most) = report.attained
    return {"model": guaranteed(lo=low, hi=high), "target": guaranteed(lo=least, hi=most)}


def _longest(report: Report) -> dict[str, Any] | None:
    if report.longest is None:
        return None
    lo, hi, window = report.longest
    return {
        **guaranteed(lo=lo, hi=hi),
        "window": None if window is None else guaranteed(ends=list(window)),
        "step_width": step_width(report),
    }


def _outputs(report: Report) -> list[dict[str, Any]] | None:
    """Every output alone, where the report is about all together; else null."""
    if report.together is None:
        return None
    names = "target", "sup_error", "plateaus", "structure", "cells", "claims", "search"
    found = (as_data(part) for part in report.together.parts)
    return [
        {"output": number, **{name: data[name] for name in names}}
        for number, data in enumerate(found)
    ]


def _float32(report: Report) -> dict[str, Any] | None:
    """What a report about executions rests on, and the one in real arithmetic; else null."""
    found = report.float32
    if found is None:
        return None
    real = as_data(found.real)
    names = "sup_error", "plateaus", "longest_plateau", "cells", "claims", "search"
    return {
        **guaranteed(deviation=found.deviation),
        "observed": number(found.observed),
        "replays": found.replays,
        "model": "docs/float32.md",
        "real": {name: real[name] for name in names},
    }


def _windows(report: Report) -> dict[str, Any] | None:
    """Is some window of the width asked for a plateau? null where none was asked for."""
    found = report.sliding
    if found is None:
        return None
    verdict = OPPOSITE[found.verdict].value
    return {"width": report.options.windows, "plateau": verdict, "window": found.witness}


def _structure(report: Report) -> dict[str, Any]:
    found = report.structure
    readout = found.readout
    data: dict[str, Any] = {"smoothness": found.smoothness, "theorem": "D1", "readout": None}
    if readout is not None:
        data["readout"] = {"layer_norm_over": readout.features, "linear_map": readout.head}
        if report.together is not None:
            floors = report.together.floor, report.together.own_floor
            data["readout"] |= guaranteed(floor=floors[0], own_floor=floors[1])
            data["readout"] |= {"theorem": "C2"}
        if readout.range is not None:
            floor = layer_norm_floor(report, readout)
            data["readout"] |= {
                **guaranteed(range=list(readout.range), floor=floor),
                "theorem": "C0" if readout.features == 1 else "C1",
            }
    return data


def _slopes(report: Report) -> dict[str, Any] | None:
    """Brackets of the derivative; null where it was not asked for."""
    found = report.slopes
    if found is None:
        return None
    ranges, cells = found.known.range.T.tolist(), report.cells.tolist()
    return {
        "least": guaranteed(lo=found.least[0], hi=found.least[1]),
        "greatest": guaranteed(lo=found.greatest[0], hi=found.greatest[1]),
        "lipschitz": guaranteed(lo=found.lipschitz[0], hi=found.lipschitz[1]),
        "non_decreasing": [list(run) for run in found.rising],
        "non_increasing": [list(run) for run in found.falling],
        "slow": [list(run) for run in found.slow] if found.target else None,
        "undecided": [list(run) for run in found.unclear] if found.target else None,
        "sup_error": guaranteed(lo=found.known.sup[0], hi=found.known.sup[1])
        if found.target
        else None,
        "cells": [
            {"box": [box], **guaranteed(range=pair)}
            for box, pair in zip(cells, ranges, strict=True)
        ],
        "boxes": found.outcome.state.boxes,
        "seconds": found.outcome.seconds,
    }


def as_text(data: dict[str, Any]) -> str:
    """Strict JSON: no nan, no infinities."""
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
