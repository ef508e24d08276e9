"""Reports: strict JSON with exact twins, outward decimals, and words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certify import checking
from certify.options import Options
from certify.report import data
from certify.report.numbers import box, interval, on, percent, rounded
from certify.report.text import render
from certify.run import Limits

KEYS = {
    "schema", "tool", "model", "target", "semantics", "guaranteed", "sup_error", "cells", "claims",
    "sandwich", "search", "certificate",
}  # fmt: skip
CELL = {"box", "range", "variation", "target_variation", "sup_error", "plateau"}


@pytest.fixture(scope="module")
def report(tiny_file):
    options = Options(cells=4, within=5.0, constant_up_to=1e-9, no_plateau=True, limits=Limits(5))
    return checking.check(str(tiny_file), "exp", options)


def strict(text):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def twins(node):
    """Every number under `name` beside `name_hex` is that number."""
    count = 0
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(key, str) and key.endswith("_hex"):
            pairs = (node[key[:-4]], value)
            if not isinstance(value, list):
                pairs = tuple([p] for p in pairs)
            for decimal, exact in zip(*pairs, strict=True):
                count += 1
                if decimal is None or exact is None:
                    assert decimal is exact is None
                    continue
                assert float(decimal) == float.fromhex(exact)
                assert isinstance(decimal, str) == math.isinf(float(decimal))
        elif isinstance(value, dict | list):
            count += twins(value)
    return count


def test_json(report):
    found = strict(data.as_text(data.as_data(report)))
    assert set(found) >= KEYS and found["schema"] == "certify-report/1"
    assert {"path", "sha256", "inputs", "outputs", "parameters"} <= set(found["model"])
    assert set(found["target"]) == {"name", "expression", "domain"}
    assert {"lo", "hi", "witness", "closed", "lo_hex", "hi_hex", "witness_hex"} == set(
        found["sup_error"]
    )
    assert found["semantics"] == "real" and found["guaranteed"] is True
    assert len(found["cells"]) == 4
    for cell in found["cells"]:
        assert set(cell) >= CELL
        assert {"lo", "hi"} <= set(cell["variation"]) & set(cell["sup_error"])
        assert cell["plateau"] in ("PROVED", "REFUTED", "UNDECIDED")
    for claim in found["claims"]:
        assert set(claim) == {"label", "says", "verdict", "reason", "witness", "theorem"}
    assert {"samples", "violations"} <= set(found["sandwich"])
    assert {"boxes", "leaves", "seconds", "stopped_by"} <= set(found["search"])
    assert set(found["certificate"]) == {"path", "sha256", "checked"}
    assert twins(found) >= 3 + 4 * 8


def test_words(report):
    text = render(report)
    assert [line.split()[0] for line in text.splitlines() if line[:1].strip()] == [
        *(claim.verdict.value for claim in report.claims),
        "cells",
        "in",
        "checks",
        "search",
    ]
    assert "nan" not in text and max(map(len, text.splitlines())) <= 100
    assert "not asked for" not in text


def test_verdicts_that_no_option_asks_for_say_so(report):
    """They have no effect on the exit code; the error's has one where there are no claims."""
    unasked, asked = "(not asked for: no effect on the exit code", "--no-plateau asks)"
    one = replace(report, claims=report.claims[1:2])  # the claim that cells vary by 1e-9
    text = " ".join(render(one).split())
    assert "the model has a 0.1-plateau (theorem D3)" in text and asked in text
    assert text.count(unasked) == 1 + (not one.closed)
    none = " ".join(render(replace(report, claims=())).split())
    assert none.count(unasked) == 1 and asked in none
    wide = replace(report.known, sup=(0.0, 9.0))
    far = replace(one, outcome=replace(one.outcome, known=wide))
    assert " ".join(render(far).split()).count(unasked) == 2


def test_nothing_known_is_still_a_report(report):
    """A search that was stopped before its first step: infinite bounds, no witness."""
    import torch

    from certify.goal import brackets
    from certify.search import Problem, start

    state = start(Problem(None, report.cells), 4)
    known = brackets(state, 4)
    assert known.sup == (0.0, math.inf) and known.witness == ()
    outcome = replace(report.outcome, state=state, known=known, closed_after=None)
    plateaus = checking.plateaus(known, report.options.tau)
    empty = replace(report, outcome=outcome, plateaus=plateaus, claims=())
    found = strict(data.as_text(data.as_data(empty)))
    assert found["sup_error"]["hi"] == "inf" == found["sup_error"]["hi_hex"]
    assert found["sup_error"]["witness"] == []
    assert twins(found) and empty.exit_code == 3
    assert "inf" in render(empty)
    assert not bool(torch.isnan(known.variation).any())


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 17))
@example(5e-324, 3)
@example(-1.7976931348623157e308, 4)
@settings(max_examples=10 * settings().max_examples)
def test_rounded_is_outward(value, digits):
    assert Fraction(rounded(value, digits, up=True)) >= Fraction(value)
    assert Fraction(rounded(value, digits, up=False)) <= Fraction(value)


@given(*[st.floats(allow_nan=False, allow_infinity=False)] * 2)
@example(-1.7e308, 1.7e308)
@example(1.0, 1.0)
@example(0.0, 5e-324)
@settings(max_examples=4 * settings().max_examples)
def test_intervals_are_outward(a, b):
    lo, hi = min(a, b), max(a, b)
    low, high = interval(lo, hi).strip("[]").split(", ")
    assert Fraction(low) <= Fraction(lo) and Fraction(hi) <= Fraction(high)


def test_infinite_intervals():
    assert interval(-math.inf, math.inf) == "[-inf, inf]"
    assert interval(0.0, math.inf) == "[0, inf]"


@given(st.floats(0, 1e6))
def test_percent_is_rounded_down(part):
    assert Fraction(percent(part).removesuffix(" %")) <= 100 * Fraction(part)


def test_numbers():
    assert data.number(math.inf) == "inf" and data.number(-math.inf) == "-inf"
    assert data.number(math.nan) is None and data.number(0.1) == 0.1
    assert data.guaranteed(a=[0.1, math.nan]) == {
        "a": [0.1, None],
        "a_hex": ["0x1.999999999999ap-4", None],
    }
    with pytest.raises(ValueError, match="JSON"):
        data.as_text({"a": math.nan})


@given(st.floats(-1e3, 1e3), st.integers(0, 60))
@settings(max_examples=4 * settings().max_examples)
def test_a_box_is_found_by_its_digits(lo, power):
    hi = lo + 2.0**-power
    if lo < hi:
        ends = [float(end) for end in box([[lo, hi]]).strip("[]").split(", ")]
        for end, value in zip(ends, (lo, hi), strict=True):
            assert abs(Fraction(end) - Fraction(value)) <= (Fraction(hi) - Fraction(lo)) / 900


def test_boxes_and_domains():
    assert box([[0.20000000000000018, 0.6000000000000001]]) == "[0.2, 0.6]"
    assert box([[0.984375, 1.0], [-1.0, 0.0]]) == "[0.984375, 1.0] x [-1.0, 0.0]"
    assert box([[1000.0000001, 1000.0000002]]) == "[1000.0000001, 1000.0000002]"
    assert (
        on(-1.0, 0.1 + 0.2, 2) == "[-1.0, 0.30000000000000004]^2" and on(0.0, 1.0) == "[0.0, 1.0]"
    )
