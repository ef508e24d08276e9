"""The tables of what models cost: as stored, and the fitted exponents."""

from __future__ import annotations

import json

import pytest

from benchmarks import cost, scalar


@pytest.mark.parametrize("of", [scalar, cost], ids=["scalar", "cost"])
def test_the_page_has_what_is_stored(of):
    page = scalar.PAGE.read_text()
    assert of.page(page, json.loads(of.STORED.read_text())) == page


def test_the_suite_is_whole():
    assert len({encoder.name for encoder in scalar.SUITE}) == 48
    stored = json.loads(scalar.STORED.read_text())["encoders"]
    assert set(stored) == {encoder.name for encoder in scalar.SUITE}
    for runs in stored.values():
        assert [r["gap"] for r in runs] == list(scalar.GAPS[: len(runs)])
        for run in runs:
            closed = run["hi"] <= (1 + run["gap"]) * run["lo"]
            assert closed == (run["seconds"] is not None)
        assert len(runs) == len(scalar.GAPS) or runs[-1]["seconds"] is None


def test_exponents():
    sizes = [2, 4, 8, 16]
    assert cost.exponent(sizes, [3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert cost.exponent(sizes, [7.0] * 4) == pytest.approx(0.0)
