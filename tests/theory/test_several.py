"""Targets of several variables: how they are read, and where they must be defined."""

from __future__ import annotations

import pytest
import sympy as sp

from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import evaluate, inputs
from theory.intervals import BOUNDS
from theory.several import find_target_of


def test_expressions_in_several_variables():
    x1, x2, x3 = inputs(3)
    assert parse("x1*x3 + 2*x2", 3) == x1 * x3 + 2 * x2
    assert parse("0.1*exp(-x2)", 2) == sp.exp(-inputs(2)[1]) / 10
    assert inputs(1) == (sp.Symbol("x", real=True),)


def test_expressions_are_evaluated_with_each_variable_in_its_place():
    from flint import arb

    expression = parse("x1 - 2*x2 + x3^2", 3)
    pairs = [(arb(v), arb(v)) for v in (10, 3, 2)]
    lo, hi = evaluate(expression, BOUNDS, *pairs)
    assert lo == hi == 8
    with pytest.raises(TypeError):
        evaluate(expression, BOUNDS, pairs[0])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_variable_alone_is_its_own_value(number):
    """Not that of the last one, which is where the arguments of an expression end."""
    lo, hi = evaluate(parse(f"x{number}", 3), BOUNDS, *((k, k) for k in (10, 20, 30)))
    assert lo == hi == 10 * number


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("x", 2, '"x" is not known: the model has 2 inputs: x1, x2'),
        ("x3", 2, '"x3" is not known: the model has 2 inputs: x1, x2'),
        ("x_1 + x9", 8, '"x_1" is not known: the model has 8 inputs: x1 ... x8'),
        ("x0 + x1", 2, '"x0" is not known'),
        ("x1", 1, '"x1" is not known: the model has one input; call it x'),
        ("x1(2)", 2, r'write \* between "x1" and "\("'),
        ("x1 + ", 3, "accepted: the variables x1 ... x3"),
        ("x1^x2", 2, "the exponent must be a rational number"),
    ],
)
def test_what_cannot_be_read(text, variables, says):
    with pytest.raises(BadRequest, match=says):
        parse(text, variables)


def test_targets():
    found = find_target_of(" x1*x2 ", 2)
    assert (found.name, found.domain, found.variables) == ("x1*x2", (-1.0, 1.0), 2)
    assert find_target_of("x1", 3, (0, 2)).domain == (0.0, 2.0)
    assert find_target_of("exp", 1).variables == 1


def test_schemes_by_name():
    """Of the paper's tokens; one output each."""
    x1, x2, x3, x4 = inputs(4)
    assert find_target_of("scheme-one", 2).expression == sum(inputs(2))
    wide = [find_target_of("scheme-one", 4, output=k) for k in (0, 1)]
    assert [t.expression for t in wide] == [x1 + x3, x2 + x4]  # two tokens of two entries
    mixed = [find_target_of("mixed", 4, (1, 2), k) for k in range(3)]
    assert all(t.name == "mixed" and t.variables == 4 for t in mixed)
    assert len({t.expression for t in mixed}) == 3
    assert all(parse(t.text, 4) == t.expression for t in mixed)


@pytest.mark.parametrize(
    ("name", "variables", "output", "says"),
    [
        ("scheme-one", 3, 0, "takes 2 tokens"),
        ("mixed", 4, 3, "output 3 was asked for"),
        ("mixed", 1, 0, "has 1 inputs"),
        ("mixed", 4, 1, "not defined"),  # ln on [-1, 1]
    ],
)
def test_schemes_that_do_not_fit(name, variables, output, says):
    with pytest.raises(BadRequest, match=says):
        find_target_of(name, variables, output=output)


@pytest.mark.parametrize("name", ["exp", "square", "gelu"])
def test_names_of_one_variable_say_how_to_write_them(name):
    with pytest.raises(BadRequest, match=r"has 2 inputs: write the target in x1 ... x2, such as"):
        find_target_of(name, 2)


@pytest.mark.parametrize(
    ("text", "domain", "at"),
    [
        ("log(x1 + x2)", None, r"\(0, 0\)"),
        ("1/x1 + x2", None, r"\(0, 0\)"),
        ("sqrt(x1*x2)", None, r"\(-1, 1\)"),
        ("sqrt(x1)", (-3, 5), r"\(-3, -3\)"),
        ("1/(x2 - 5)", (-3, 5), r"\(-3, 5\)"),
    ],
)
def test_where_a_target_is_seen_not_to_be_defined(text, domain, at):
    with pytest.raises(BadRequest, match=f"is not defined at {at}, in the domain"):
        find_target_of(text, 2, domain)


def test_a_bad_domain():
    with pytest.raises(BadRequest, match="reversed"):
        find_target_of("x1", 2, (2.0, 1.0))
    found = find_target_of("x1 + x2", 2, (-1e308, 1e308))
    assert found.domain == (-1e308, 1e308)


def test_more_corners_than_can_be_looked_at():
    assert find_target_of("x1 + x40", 40).variables == 40
