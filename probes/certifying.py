"""All the trained models certified along data curves, each result kept like every other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from certify.errors import UnreadableFile, Unsupported
from probes.certified import (
    CELLS,
    OUTPUT,
    SAMPLES,
    TAU,
    Certified,
    as_json,
    certify_curve,
    from_json,
)
from probes.curves import DataCurve, data_curve
from probes.paper import Outcome
from probes.recipes import Setting
from probes.store import Store

#: Raised when equal settings would give other numbers.
REVISION = 1
#: Larger tasks are not tried.
LARGEST_D = 16

#: Called as progress(curves done, curves in all, words on the model in work).
Progress = Callable[[int, int, str], None]


def certify_all(
    outcomes: list[Outcome],
    store: Store,
    *,
    budget: float,
    curves: int = 1,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Certify every regression model that was trained, along the first data curves.

    Args:
        outcomes: of `probes.paper.run`.
        store: opened; what it holds already is read, and the rest kept there one by one.
        budget: seconds for one curve.
        curves: how many.
        progress: told before every curve.

    Returns:
        The outcomes, in the same order, with `certified` filled in.

    Raises:
        Contradiction: see `certify_curve`.
        InternalError: the certifier contradicts itself.
        KeyboardInterrupt: Ctrl-C; what was finished is kept.
        BadRequest: a file of the store is damaged or cannot be written.
    """
    work = [k for k, o in enumerate(outcomes) if o.result and not o.setting.model.classes]
    found = list(outcomes)
    for done, k in enumerate(work):
        parts = []
        for number in range(curves):
            if progress:
                progress(done * curves + number, len(work) * curves, outcomes[k].setting.words)
            parts.append(_kept(outcomes[k], store, number, budget))
        found[k] = replace(outcomes[k], certified=tuple(parts))
    return found


def _kept(outcome: Outcome, store: Store, number: int, budget: float) -> Certified:
    """From the store, or measured and put there; reasons alone are not kept."""
    one = outcome.setting
    if one.model.d > LARGEST_D:
        return Certified(number, "UNDECIDED", f"not tried for d > {LARGEST_D}")
    if outcome.result["model"] is None:
        return Certified(number, "UNDECIDED", "no model file: too large to be written")
    file = store.model(one.key)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return Certified(number, "UNDECIDED", f"no model file: {error.strerror}")
    path = data_curve(one.scheme, one.model.d, number)
    content = _content(one, digest, path, number, budget)
    found = store.get(content)
    if found is None:
        try:
            found = as_json(certify_curve(file, path, number, budget))
        except (UnreadableFile, Unsupported) as problem:
            return Certified(number, "UNDECIDED", str(problem))
        store.put(content, found)
    return from_json(found)


def _content(
    one: Setting, digest: str, path: DataCurve, number: int, budget: float
) -> dict[str, Any]:
    """Everything that a certification depends on."""
    return {"experiment": "certified along a curve", "revision": REVISION, "setting": one.key,
            "sha256": digest, "curve": list(path.texts), "number": number, "output": OUTPUT,
            "cells": CELLS, "tau": TAU, "budget": budget, "samples": SAMPLES}  # fmt: skip
