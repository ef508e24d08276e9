"""Reports: strict JSON with exact twins, outward decimals, and words."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certify import checking
from certify.options import Options
from certify.report import data
from certify.report.numbers import agreed, box, interval, on, percent, rounded
from certify.report.text import render
from certify.run import Limits
from certify.verdict import Verdict

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
    names = "lo", "hi", "witness", "closed", "at_witness", "lo_hex", "hi_hex", "witness_hex"
    assert set(names) == set(found["sup_error"])
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


@given(st.floats(-1e3, 1e3), st.integers(0, 40), st.integers(1, 17), st.floats(0, 1))
@settings(max_examples=4 * settings().max_examples)
def test_agreed_digits_are_those_of_every_number_between(lo, power, most, part):
    hi = lo + 2.0**-power
    said = agreed(lo, hi, most)
    value = min(hi, lo + part * (hi - lo))
    if said.startswith("["):
        assert f"{lo:.1g}" != f"{hi:.1g}"
    else:
        assert any(f"{value:.{digits}g}" == said for digits in range(1, most + 1))


def test_a_refuted_error_comes_with_both_values(tiny, tiny_file):
    options = Options(cells=1, within=1e-3, limits=Limits(5))
    report = checking.check(str(tiny_file), "exp", options)
    (at,) = report.known.witness
    text = " ".join(render(report).split())
    ours, theirs = re.search(r"there the model is (\S+) and exp (\S+)", text).groups()
    with torch.no_grad():
        model = float(tiny(torch.tensor([[at]], dtype=torch.float64)))
    for said, true in ((ours, model), (theirs, math.exp(at))):
        digits = len(said.replace(".", "").lstrip("-0"))
        assert digits >= 5 and f"{true:.{digits}g}" == said
    found = data.as_data(report)["sup_error"]["at_witness"]
    assert found["model"]["lo"] - 1e-9 <= model <= found["model"]["hi"] + 1e-9
    assert found["target"]["lo"] <= math.exp(at) <= found["target"]["hi"]
    error = abs(float(ours) - float(theirs))
    assert math.isclose(error, report.known.sup[0], rel_tol=1e-3)
    proved = replace(report.claims[0], verdict=Verdict.PROVED)
    assert "there the model" not in render(replace(report, claims=(proved,)))


@pytest.mark.parametrize(
    ("stopped", "says"),
    [
        ("budget", "the budget of 5 s is spent: a larger --budget, or --resume"),
        ("memory", "the memory of 4096 MiB is used up: a larger --memory"),
        ("interrupt", "--resume STATE"),
        ("resolution", "rounding in float64"),
        ("closed", "a smaller --gap"),
    ],
)
def test_an_undecided_claim_says_why(report, stopped, says):
    claims = tuple(replace(claim, verdict=Verdict.UNDECIDED) for claim in report.claims)
    open_ = replace(report, claims=claims, outcome=replace(report.outcome, stopped_by=stopped))
    assert " ".join(render(open_).split()).count(says) == len(claims)
    assert says not in " ".join(render(report).split())
