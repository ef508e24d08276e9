"""The laws of the registered functions, proved in Arb by subdivision, without tolerance."""

import math

import flint
import pytest
import sympy as sp
from flint import arb

from theory.arb import bounds, series
from theory.functions import FUNCTIONS, Step, cos, evaluate, gelu, program, sin, univariate, x

REACH = 64.0
#: 1 + tanh of gelu_tanh is near 2^-27195 at -64; gelu needs 2955 bits there.
PRECISION = {"gelu": 3200, "gelu_tanh": 28_000}
POSITIVE = ("log", "sqrt", "rsqrt")
MONOTONE = [name for name, function in FUNCTIONS.items() if function.turns is not None]


@pytest.fixture(autouse=True)
def precision(request):
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    with flint.ctx.workprec(PRECISION.get(name, 256)):
        yield


def pieces(function):
    """Closed intervals that cover [-64, 64] between the brackets.

    Every kink, pole and end of a domain here is at 0, and is approached from both sides to
    2^-1073, the smallest float but one.
    """
    turns = [(a, b) for a, b, _ in function.turns]
    start = 0.0 if function.name in POSITIVE else -REACH
    ends = [start, *(end for turn in turns for end in turn), REACH]
    for a, b in zip(ends[::2], ends[1::2], strict=True):
        if not (touchy(function) and a <= 0 <= b):
            yield (a, b)
            continue
        if a < 0:
            yield from ((-(2.0**k), -(2.0 ** (k - 1))) for k in range(6, -1073, -1))
        if b > 0:
            yield from ((2.0 ** (k - 1), 2.0**k) for k in range(6, -1073, -1))


def touchy(function):
    return 0.0 in function.kinks or function.odd_pole or function.name in (*POSITIVE, "square")


def slopes(function, a, b):
    """The set of signs of the derivative on [a, b], by bisection; fails where it is not certain."""
    work, found = [(a, b)], set()
    while work:
        a, b = work.pop()
        slope = series(function.expression, arb(a).union(arb(b)), 1)[1]
        if slope > 0 or slope < 0 or slope.is_zero():
            found.add(int(slope > 0) - int(slope < 0))
            continue
        middle = (a + b) / 2
        assert a < middle < b and b - a > 1e-9 * abs(b), f"slope unknown on [{a!r}, {b!r}]"
        work += [(a, middle), (middle, b)]
    return found


def components(function):
    """The pieces grouped by the brackets (and the pole) that separate them."""
    cuts = [a for a, _, _ in function.turns] + ([0.0] if function.odd_pole else [])
    groups = {}
    for a, b in pieces(function):
        groups.setdefault(sum(b > cut for cut in cuts), []).append((a, b))
    return groups


@pytest.mark.parametrize("name", [n for n in MONOTONE if n != "gelu_tanh"])
def test_monotone_outside_the_brackets(name):
    function = FUNCTIONS[name]
    groups = components(function)
    assert len(groups) == 1 + len(function.turns) + function.odd_pole
    directions = []
    for group in groups.values():
        signs = set().union(*(slopes(function, a, b) for a, b in group))
        assert len(signs - {0}) == 1, f"{name} turns on {group[0]} .. {group[-1]}: {signs}"
        assert 0 not in signs or name == "relu"
        directions.append(signs - {0})
    if function.turns:
        assert directions[0] != directions[1], "a bracket must hold a turning point"


def test_gelu_tanh_is_monotone_outside_its_bracket():
    # With t = tanh(z(x)) its derivative is (1 + t)/2 * (1 + x (1 - t) z'), and 1 + t > 0: the
    # second factor has the sign, and keeps it where 1 + t is as small as 2^-27195.
    function = FUNCTIONS["gelu_tanh"]
    (t,) = function.expression.atoms(sp.tanh)
    factor = 1 + x * (1 - t) * sp.diff(t.args[0], x)
    assert sp.expand(sp.diff(function.expression, x) - (1 + t) / 2 * factor) == 0
    ((lo, hi, _),) = function.turns
    for a, b, sign in ((-REACH, lo, -1), (hi, REACH, 1)):
        work = [(a, b)]
        while work:
            a, b = work.pop()
            low, high = bounds(factor, arb(a), arb(b))
            if not (low > 0 if sign > 0 else high < 0):
                assert b - a > 1e-9
                work += [(a, (a + b) / 2), ((a + b) / 2, b)]


@pytest.mark.parametrize("name", [n for n in MONOTONE if FUNCTIONS[n].turns])
def test_values_in_a_bracket_lie_between_its_ends_and_the_extremum(name):
    function = FUNCTIONS[name]
    for lo, hi, extremum in function.turns:
        ends = [bounds(function.expression, arb(t), arb(t)) for t in (lo, hi)]
        if lo == hi:
            assert all(a == extremum == b for a, b in ends)
            continue
        # Convex, so below the chord, and above a minimum that lies strictly inside.
        assert series(function.expression, arb(lo).union(arb(hi)), 2)[2] > 0
        assert series(function.expression, arb(lo), 1)[1] < 0
        assert series(function.expression, arb(hi), 1)[1] > 0
        step = (hi - lo) / 256
        for k in range(256):
            a, b = lo + k * step, min(hi, lo + (k + 1) * step)
            least = bounds(function.expression, arb(a), arb(b))[0]
            assert least > extremum
        assert ends[0][0] - extremum < 1e-5


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_taylor_series_everywhere_but_at_kinks_and_poles(name):
    function = FUNCTIONS[name]
    with flint.ctx.workprec(128):
        for k in range(-256, 256):
            a, b = k / 4, (k + 1) / 4
            if name in POSITIVE and a < 0:
                continue
            near = a <= 0 <= b
            coefficients = series(function.expression, arb(a).union(arb(b)), 4)
            if near and (function.kinks or function.odd_pole or name in POSITIVE):
                assert not all(c.is_finite() for c in coefficients)
            else:
                assert all(c.is_finite() for c in coefficients), (name, a, b)


@pytest.mark.parametrize("name", [n for n in sorted(FUNCTIONS) if FUNCTIONS[n].kinks])
def test_continuous_at_kinks(name):
    function = FUNCTIONS[name]
    for kink in function.kinks:
        below = kink if name in POSITIVE else kink - 2.0**-300
        lo, hi = bounds(function.expression, arb(below), arb(kink + 2.0**-300))
        assert hi - lo < 2.0**-98
        assert lo <= 0 <= hi


@pytest.mark.parametrize("function", [sin, cos])
def test_none_says_that_nothing_is_known(function):
    assert function.turns is None


class Recorder:
    """An algebra of texts."""

    def constant(self, value):
        return f"<{value}>"

    def add(self, a, b):
        return f"({a} + {b})"

    def mul(self, a, b):
        return f"({a} * {b})"

    def power(self, a, exponent):
        assert isinstance(exponent, sp.Rational)
        return f"{a}^{exponent}"

    def call(self, name, a):
        return f"{name}{a}" if a.startswith("(") else f"{name}({a})"

    def maximum(self, a, b):
        return f"max({a}, {b})"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (x, "X"),
        (sp.Integer(2), "<2>"),
        (sp.exp(-x), "exp(<-1> * X)"),
        (1 / x, "X^-1"),
        (1 / sp.sqrt(x), "X^-1/2"),
        (x / sp.sqrt(2), "(<sqrt(2)/2> * X)"),
        (sp.pi + sp.sqrt(2) + x, "(<sqrt(2) + pi> + X)"),
        (sp.Max(x, 0), "max(<0>, X)"),
        (x**sp.pi, "exp(<pi> * log(X))"),
        (sp.sign(x) * sp.sin(x), "(sign(X) * sin(X))"),
    ],
)
def test_evaluate_in_an_algebra_of_texts(expression, text):
    assert evaluate(expression, Recorder(), "X") == text


def test_each_sub_expression_is_computed_once_and_constants_are_folded():
    steps = program(gelu.expression)
    assert len(set(steps)) == len(steps)
    assert program(gelu.expression) is steps
    constants = [step.detail for step in program(sp.sqrt(2) * sp.pi * x / 3 + sp.E + 1)]
    assert sp.sqrt(2) * sp.pi / 3 in constants and 1 + sp.E in constants
    shared = program(sp.exp(x) + sp.sin(sp.exp(x)))
    assert shared.count(Step("call", (0,), "exp")) == 1


def test_unknown_functions_and_variables_are_refused():
    with pytest.raises(TypeError, match="gamma"):
        evaluate(sp.gamma(x), Recorder(), "X")
    with pytest.raises(TypeError):
        evaluate(sp.Symbol("y") + x, Recorder(), "X")


def test_registering_twice_or_in_another_variable_is_refused():
    with pytest.raises(ValueError, match="exp"):
        univariate("exp", sp.exp(x))
    with pytest.raises(ValueError, match="other"):
        univariate("other", sp.Symbol("y") + x)
    assert "other" not in FUNCTIONS


def test_numbers_of_the_registry_are_floats():
    for function in FUNCTIONS.values():
        numbers = [*function.kinks, *(t for turn in function.turns or () for t in turn)]
        assert all(math.isfinite(t) for t in numbers)
        assert list(function.turns or ()) == sorted(function.turns or ())
