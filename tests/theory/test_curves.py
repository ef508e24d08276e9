"""Targets of several inputs along a curve, against arithmetic of their own."""

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.curves import in_x, segment, target_along
from theory.errors import BadRequest
from theory.expressions import parse
from theory.functions import x

CURVE = ("t^3", "2*t", "1/4", "exp(t)", "t", "t^2", "1+t", "2+t")


@pytest.fixture(autouse=True, scope="module")
def _precise():
    with mpmath.workdps(50):
        yield


def value(expression, t):
    return mpmath.mpf(str(expression.subs(x, t).evalf(50)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x1 + x2", lambda v: v[0] + v[1]),
        ("x4*x1 - x3", lambda v: v[3] * v[0] - v[2]),
        ("max(x5, x6)", lambda v: max(v[4], v[5])),
        ("exp(x8)", lambda v: mpmath.exp(v[7])),
    ],
)
@given(t=st.fractions(-1, 1, max_denominator=99))
def test_inputs_become_expressions(text, says, t):
    inputs = [value(parse(in_x(part)), t) for part in CURVE]
    found = target_along(text, CURVE, 0)
    assert abs(value(found.expression, t) - says(inputs)) < 1e-30
    assert parse(found.text) == found.expression and found.name == text


def test_schemes_act_entry_by_entry():
    """Scheme one: y = x1 + x2; the first output of mixed: the mean of the sums."""
    for entry in range(4):
        found = target_along("scheme-one", CURVE, entry)
        assert found.expression == parse(f"({in_x(CURVE[entry])})+({in_x(CURVE[entry + 4])})")
    a, b, c, d = ("t", "t/2", "3+t", "2+t")  # four tokens of one entry
    first = target_along("mixed", (a, b, c, d), 0)
    t = mpmath.mpf(1) / 3
    y1 = (t + t / 2 + 3 + t + 2 + t) / 5
    y2 = (t * y1 + mpmath.exp(t / 2) + 3 + t + mpmath.log(2 + t)) / 5
    y3 = (t + y2 + y1 + t * t / 4 + (3 + t) * (2 + t)) / 5
    assert abs(value(first.expression, parse("1/3")) - y1) < 1e-30
    for output, true in ((1, y2), (2, y3)):
        found = target_along("mixed", (a, b, c, d), output)
        assert abs(value(found.expression, parse("1/3")) - true) < 1e-30


def test_a_segment_is_exact():
    texts = segment((0.1, -2.0, 0.3), (0.2, -2.0, 1.0))
    ends = [[parse(in_x(text)).subs(x, t) for text in texts] for t in (0, 1)]
    assert [[float(v) for v in end] for end in ends] == [[0.1, -2.0, 0.3], [0.2, -2.0, 1.0]]
    assert "t" not in texts[1]


@pytest.mark.parametrize(
    ("text", "output", "says"),
    [
        ("x9", 0, "inputs x1 ... x8"),
        ("x", 0, 'not in "x"'),
        ("sin(t)", 0, 'not in "t"'),
        ("exp", 0, "an expression in x1"),
        ("scheme-one", 4, "output 4"),
        ("mixed", 6, "output 6"),
        ("log(x1)", 0, "undefined"),
    ],
)
def test_what_makes_no_sense_is_refused(text, output, says):
    with pytest.raises(BadRequest) as refused:
        target_along(text, CURVE, output)
    assert says in str(refused.value)
    with pytest.raises(BadRequest, match="written in t"):
        in_x("x^2")
