"""`probes run` as JSON, schema probes-run/1: each number with the method it comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from certify.report.data import as_data as certified
from certify.report.data import guaranteed, number
from probes.changes import Segment
from probes.running import Probing

SCHEMA = "probes-run/1"


def as_data(found: Probing) -> dict[str, Any]:
    """The report as plain dictionaries, lists and numbers; "certified" is `certify check`'s."""
    parts = (_extremes, _cells, _differences, _changes, _spectrum, _attention)
    return {
        "schema": SCHEMA,
        "certified": certified(found.report),
        "sandwich": {"violations": 0, "comparisons": [asdict(h) for h in found.held]},
        **{part.__name__.strip("_"): part(found) for part in parts},
        "delta_star": None if found.step is None else number(found.step),
        "seconds": found.seconds,
    }


def plain(values: Tensor) -> list[Any]:
    """Numbers for JSON."""
    return [number(v) for v in values.tolist()]


def _extremes(found: Probing) -> dict[str, Any]:
    e = found.extremes
    return {"method": e.held.method, "x": plain(e.x), "error": plain(e.plain),
            **guaranteed(proved_at_least=e.proved.tolist())}  # fmt: skip


def _cells(found: Probing) -> dict[str, Any]:
    t = found.intervals
    return {
        "method": found.held[2].method,
        "oscillation": plain(t.model),
        "target_oscillation": plain(t.target),
        **guaranteed(proved_at_least=t.least.tolist(), target_at_least=t.least_target.tolist()),
        "error": plain(t.error),
        "slope": plain(t.slope),
    }


def _differences(found: Probing) -> dict[str, Any]:
    d = found.differences
    return {
        "method": "central differences and Richardson extrapolation in float64; rounding by proved "
        "values, truncation estimated",
        "x": plain(d.x),
        "step": plain(d.step),
        "central": plain(d.central[0]),
        "central_half": plain(d.central[1]),
        "richardson": plain(d.richardson),
        "truncation_estimate": plain(d.truncation),
        **guaranteed(rounding_at_most=d.rounding.tolist()),
        "order": list(d.order),
        "autograd": plain(d.autograd),
        "certified": [guaranteed(range=pair) for pair in d.certified.T.tolist()],
        "quotients": [guaranteed(range=pair) for pair in d.quotients.T.tolist()],
    }


def _changes(found: Probing) -> dict[str, Any]:
    c = found.changes

    def listed(parts: tuple[Segment, ...]) -> list[dict[str, Any]]:
        return [asdict(s) | {"width": s.width} for s in parts]

    return {
        "method": "PELT with the sum of squares (ruptures), penalty 2 s^2 log n",
        "scales": list(c.scales),
        "values": listed(c.values),
        "slopes": listed(c.slopes),
    }


def _spectrum(found: Probing) -> dict[str, Any]:
    s = found.spectrum
    return {
        "method": "Hann-windowed periodogram of the sampled error, mean removed (scipy)",
        **{name: number(getattr(s, name)) for name in ("dominant", "share", "band", "nyquist")},
        "frequency": s.frequency.tolist(),
        "power": s.power.tolist(),
    }


def _attention(found: Probing) -> list[dict[str, Any]]:
    return [
        {"origin": a.origin, "keys": a.keys, "x": plain(a.x), "mean": plain(a.mean),
         "least": plain(a.least), "most": plain(a.most)}
        for a in found.attention
    ]  # fmt: skip
