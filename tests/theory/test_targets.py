"""The registered targets, and the search for points where a function is not defined."""

import math
import time

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from theory.cli import app
from theory.definedness import find_fault, undefined_at
from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import FUNCTIONS, x
from theory.targets import TARGETS, find_target, target

NEEDED = ["exp", "sin", "cos", "tanh", "log2p", "cbrt", "sqrt", "square", "identity", "sigmoid",
          "gelu", "x+cbrt(x)", "sin3"]  # fmt: skip


@pytest.mark.parametrize("name", sorted({*TARGETS, *NEEDED}))
def test_registered_targets_are_found_defined_and_printed_readably(name):
    found = find_target(name)
    assert found == TARGETS[name]
    assert parse(found.text) == found.expression
    assert found.domain == ((0.0, 1.0) if name == "sqrt" else (-1.0, 1.0))


def test_expressions_and_functions_are_targets():
    found = find_target(" log(2+x) ")
    assert (found.expression, found.domain) == (sp.log(2 + x), (-1.0, 1.0))
    assert parse(found.text) == found.expression
    assert find_target("x").expression == x
    assert find_target("2").expression == 2
    assert find_target("relu").expression == FUNCTIONS["relu"].expression
    assert find_target("exp", (0, 2)).domain == (0.0, 2.0)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="exp"):
        target("exp", x)


@pytest.mark.parametrize(
    ("text", "domain", "says"),
    [
        ("expp", None, 'no target is called "expp". Did you mean exp?'),
        ("zzz", None, f"\n  targets: {', '.join(TARGETS)}\n"),
        ("logg", None, 'no target is called "logg". Did you mean log'),
        ("zzz", None, "other functions for it: log, erf, "),
        ("x1", None, '"x1" is not known: the model has one input; call it x'),
        ("exp", (1, -1), "the domain [1.0, -1.0] is reversed. Did you mean --domain -1 1?"),
        ("exp", (1, 1), "is a single point"),
        ("exp", (math.nan, 1), "is not bounded"),
        ("exp", (0, math.inf), "is not bounded"),
        ("exp", ("a", 1), "a domain is two numbers"),
        ("exp", (1,), "a domain is two numbers"),
        ("exp", 3, "a domain is two numbers"),
        ("2x", None, "write an operator"),
        (
            "1/x",
            None,
            "1/x is undefined at x = 0, inside the domain [-1, 1]: it needs x != 0.\n"
            "Choose a domain without that point, e.g. --domain 0.1 1.",
        ),
        ("log(x)", None, "log(x) is undefined at x = -1, inside"),
        ("log(x)", (0, 1), "log(x) is undefined at x = 0, inside"),
        (
            "1/(x-0.3)",
            None,
            "at x = 0.3, inside the domain [-1, 1]: it needs x - 3/10 != 0.\nChoose a domain "
            "without that point, e.g. --domain -1 0.2.",
        ),
        ("sqrt(1-x^2)", (-2, 2), "e.g. --domain -1 1."),
        ("exp(1000*x)", None, "exp(1000*x) overflows float64 at x = 1, inside the domain [-1, 1]."),
        ("cbrt(x)^-1", None, "at x = 0"),
    ],
)
def test_says_what_is_wrong(text, domain, says):
    with pytest.raises(BadRequest) as caught:
        find_target(text, domain)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "lo", "hi", "point"),
    [
        ("1/x", -1, 1, 0),
        ("1/x", 0, 1, 0),
        ("1/(x-0.3)", -1, 1, 0.3),
        ("1/(x-0.3)^2", -1, 1, 0.3),
        ("1/(x^2 - 2*x/3 + 1/9)", -1, 1, 1 / 3),
        ("1/(1-cos(x-0.3))", -1, 1, 0.3),
        ("1/cbrt(x-0.3)", -1, 1, 0.3),
        ("1/(x**2-2)", -2, 2, math.sqrt(2)),
        ("1/(x-pi)", 3, 4, math.pi),
        ("1/(sqrt(x)-0.5)", 0, 1, 0.25),
        ("1/(exp(x)-2)", 0, 1, math.log(2)),
        ("tan(x)", 0, 2, math.pi / 2),
        ("log(x)", -1, 1, -1),
        ("log(x)", 0, 1, 0),
        ("x^(-1/2)", 0, 1, 0),
        ("x^(1/3)", -1, 1, -1),
        ("2^(1/x)", -1, 1, 0),
        ("exp(exp(x*1000))", -1, 1, 1),
    ],
)
def test_finds_the_point(text, lo, hi, point):
    found = undefined_at(parse(text), lo, hi)
    assert found == pytest.approx(point, rel=4e-16)


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("sqrt(x)", 0, 1),
        ("sqrt(x^2)", -1, 1),
        ("1/(x^2+1e-9)", -1, 1),
        ("1/(x^2-2*x+1+1e-9)", 0, 3),
        ("sqrt(1-x^2)", -1, 1),
        ("sqrt(x-x^2)", 0, 1),
        ("1/(1+exp(-1000*x))", -1, 1),
        ("log(x+1e-300)", 0, 1),
        ("log(1+x^2)", -1e300, 1e300),
        ("cbrt(x)", -1, 1),
        ("x^(2/3)", 0, 1),
        ("1/x", 1e-300, 1),
        ("1/(x-0.3)", -1, 0.29),
        ("exp(exp(x))", -1, 6),
    ],
)
def test_reports_nothing_where_all_is_defined(text, lo, hi):
    assert undefined_at(parse(text), lo, hi) is None


@pytest.mark.parametrize(
    "text",
    ["sqrt(sin(x)^2+cos(x)^2-1)", "1/(sin(x)-1)", "1/sin(50*x)+1/cos(30*x)", "log(sin(x)^2)",
     "1/(((x^64+1)^64+1)^64-2)", "1/(1-gelu(tanh(gelu(x))))^3", "log(1-cos(x)*exp(-x^8))",
     "1/(" + "+".join(f"sin({k}*x)" for k in range(2, 90)) + "+9)"],
)  # fmt: skip
def test_work_is_bounded_where_nothing_can_be_decided(text):
    expression = parse(text)
    start = time.perf_counter()
    undefined_at(expression, -10, 10)
    assert time.perf_counter() - start < 8  # about 1 on an idle machine


@given(st.fractions(-3, 3, max_denominator=1000), st.integers(1, 3), st.floats(0.01, 5))
@settings(max_examples=60, deadline=None)
def test_every_rational_pole_is_found_and_only_inside(pole, order, width):
    expression = (x - sp.Rational(pole.numerator, pole.denominator)) ** -order
    lo, hi = float(pole) - width, float(pole) + width / 2
    assert undefined_at(expression, lo, hi) == pytest.approx(float(pole), rel=4e-16, abs=1e-300)
    assert undefined_at(expression, float(pole) + 1e-9, hi) is None


@given(st.floats(-50, 50), st.floats(0.001, 20))
@settings(max_examples=60, deadline=None)
def test_a_reported_point_is_one(lo, width):
    hi = lo + width
    found = undefined_at(sp.log(sp.sin(x)), lo, hi)
    if found is None:
        assert all(math.sin(lo + k * width / 99) > -1e-12 for k in range(100))
    else:
        assert lo <= found <= hi and math.sin(found) <= 1e-12


def test_the_reason_is_given():
    fault = find_fault(parse("x + log(x - 2)"), 0.0, 3.0)
    assert (fault.point, fault.needs, fault.overflow) == (0.0, "x - 2 > 0", False)


def test_cli_lists_the_functions_without_decoration():
    result = CliRunner().invoke(app, ["functions"])
    assert result.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert list(lines) == list(FUNCTIONS)
    assert lines["softplus"] == "log(exp(x) + 1)"
