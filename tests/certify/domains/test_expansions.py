"""Local models of every registered function against the textbook at 400 bits."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from certify.domains.expansions import Expansion, Kinked, derivative, jump, rule
from certify.rounding import unknown
from theory.derivatives import derived
from theory.functions import FUNCTIONS, Function, x

SEEDS = st.integers(0, 2**32 - 1)
POWERS = ["5/2", "7/3", "1/3", "2/3", "-1/3", "-3/2", "-2", "-3", "3", "7", "11/2"]
OTHERS = {f"x**({q})": Function(f"x**({q})", x ** sp.Rational(q)) for q in POWERS}
EVERY = {**FUNCTIONS, **OTHERS, "tanh(2*x+1)": Function("tanh(2*x+1)", sp.tanh(2 * x + 1))}
#: f' over its rational factor, for functions that no table had before.
SLOPES = {f"{name}'": derived(FUNCTIONS[name]) for name in ("tanh", "gelu", "silu", "sigmoid")}
EVERY |= {name: function for name, (_, function) in SLOPES.items()}
SMOOTH = [name for name, f in EVERY.items() if not isinstance(rule(f), Kinked)]
CLOSED = ["exp", "log", "square", "sqrt", "cbrt", "reciprocal", "rsqrt", "sin", "cos", *OTHERS]


def power(q):
    """k -> (t -> k-th derivative of t**q over k!), or None outside of the domain."""
    p, s = q.p, q.q

    def root(t):
        r = abs(t) ** (mpf(1) / s) if t else mpf(0)
        return r**p if t > 0 else (r**p * (-1) ** p if s == 1 else None)

    def coefficient(k, t):
        if t == 0 and (s > 1 or p - k < 0):
            return None if s > 1 or not (p >= 0 and k > p) else mpf(0)
        value = root(t)
        return None if value is None else mp.binomial(mpf(p) / s, k) * value / t**k

    return coefficient


def _cbrt(k, t):
    value = power(sp.Rational(1, 3))(k, abs(t))
    return value if value is None or t > 0 else -value * (-1) ** k


DERIVATIVES = {
    "exp": lambda k, t: mp.exp(t) / mp.factorial(k),
    "log": lambda k, t: None if t <= 0 else mp.log(t) if k == 0 else -((-1 / t) ** k) / k,
    "sin": lambda k, t: mp.sin(t + k * mp.pi / 2) / mp.factorial(k),
    "cos": lambda k, t: mp.cos(t + k * mp.pi / 2) / mp.factorial(k),
    "square": power(sp.Integer(2)),
    "sqrt": power(sp.Rational(1, 2)),
    "rsqrt": power(sp.Rational(-1, 2)),
    "reciprocal": power(sp.Integer(-1)),
    "cbrt": _cbrt,
    **{f"x**({q})": power(sp.Rational(q)) for q in POWERS},
}


def coefficients(ref, name, order, t):
    """f^(k)(t) / k! for k = 0 ... order, None where it does not exist."""
    t = mpf(t)
    if name in DERIVATIVES:
        return [DERIVATIVES[name](k, t) for k in range(order + 1)]
    if name in SLOPES:
        factor = SLOPES[name][0]
        of = coefficients(ref, name[:-1], order + 1, t)
        return [(k + 1) * a * factor.q / factor.p for k, a in enumerate(of[1:])]
    f = (lambda s: mp.tanh(2 * s + 1)) if name not in ref.TEXTBOOK else ref.TEXTBOOK[name]
    return mp.taylor(f, t, order)


def boxes(rng, count, *, wild):
    """c, reach, lo, hi with c - reach, c + reach in [lo, hi], as a domain would ask."""
    size = 10.0 ** (rng.uniform(-200, 200, count) if wild else rng.uniform(-3, 1.5, count))
    c = size * rng.choice([-1.0, 1.0], count)
    reach = np.where(
        rng.random(count) < 0.6,
        np.abs(c) * 10.0 ** rng.uniform(-12, 0.2, count),
        10.0 ** rng.uniform(-16, 1, count),
    )
    reach[rng.random(count) < 0.1] = 0.0
    extra = np.where(rng.random(count) < 0.5, 0.0, reach * rng.uniform(0, 1, count))
    lo = np.nextafter(c - reach - extra, -np.inf)
    hi = np.nextafter(c + reach + extra, np.inf)
    return [torch.from_numpy(t) for t in (c, reach, lo, hi)]


def check_expansion(ref, name, e, order, box, shift=0):
    """The promises of `Expansion` on one box; shift 1 reads the derivative's from f's."""
    c, reach, lo, hi = box
    error, slope, last = (float(unknown(t)) for t in (e.error, e.slope, e.last))
    at = coefficients(ref, name, order + 1 + shift, c)
    at = [None if a is None else a * (k if shift else 1) for k, a in enumerate(at)][shift:]
    if error < math.inf:
        taylor = [float(a) for a in e.taylor] + [0.0] * (order + 1 - len(e.taylor))
        off = sum(abs(mpf(a) - b) * mpf(reach) ** k for k, (a, b) in
                  enumerate(zip(taylor, at[: order + 1], strict=True)))  # fmt: skip
        assert off <= mpf(error), (name, order, box, float(off), error)
    for s in (lo, hi, lo + 0.37 * (hi - lo)):
        true = coefficients(ref, name, order + 1 + shift, min(max(s, lo), hi))
        true = [None if a is None else a * (k if shift else 1) for k, a in enumerate(true)][shift:]
        for bound, value in ((slope, true[1]), (last, true[order + 1])):
            if bound < math.inf:
                assert value is not None, (name, order, box, s)
                assert abs(value) <= mpf(bound), (name, order, box, s, float(abs(value)), bound)


def one(e, i):
    return Expansion(e.taylor[:, i], e.error[i], e.slope[i], e.last[i])


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("name", [n for n in SMOOTH if n in CLOSED])
@given(seed=SEEDS, order=st.integers(0, 12))
def test_expansions_with_derivatives_in_closed_form(ref, name, wild, seed, order):
    rng = np.random.default_rng(seed)
    parts = boxes(rng, 8, wild=wild)
    e = rule(EVERY[name]).expand(order, *parts)
    for i in range(8):
        check_expansion(ref, name, one(e, i), order, [float(t[i]) for t in parts])


@pytest.mark.parametrize("name", [n for n in SMOOTH if n not in CLOSED])
@given(seed=SEEDS, order=st.integers(0, 8))
@settings(max_examples=settings().max_examples // 5)
def test_expansions_from_tables(ref, name, seed, order):
    parts = boxes(np.random.default_rng(seed), 3, wild=False)
    e = rule(EVERY[name]).expand(order, *parts)
    for i in range(3):
        check_expansion(ref, name, one(e, i), order, [float(t[i]) for t in parts])


@pytest.mark.parametrize("name", [n for n in SMOOTH if n in CLOSED])
@given(seed=SEEDS, order=st.integers(0, 4))
def test_the_derivative_of_a_rule(ref, name, seed, order):
    parts = boxes(np.random.default_rng(seed), 6, wild=False)
    how = derivative(rule(EVERY[name]))
    e = how.expand(order, *parts)
    low, high = how.range(parts[2], parts[3])
    for i in range(6):
        box = [float(t[i]) for t in parts]
        check_expansion(ref, name, one(e, i), order, box, shift=1)
        for s in (box[2], box[0], box[3]):
            slope = coefficients(ref, name, 1, s)[1]
            if slope is not None:
                assert ref.within(slope, float(low[i]), float(high[i])), (name, box)


def test_growing_highest_derivatives():
    """x**(5/2): its second derivative is largest at the far end of the box."""
    c = torch.tensor([1.0], dtype=torch.float64)
    e = rule(OTHERS["x**(5/2)"]).expand(1, c, c / 2, c / 2, c * 1.5)
    assert float(e.last) >= 2.5 * 1.5 / 2 * math.sqrt(1.5)


def test_powers_of_huge_arguments_do_not_overflow_to_a_small_bound():
    """near**(order + 1) overflows where reach**(order + 1) does not."""
    c = torch.tensor([1.5e154], dtype=torch.float64)
    reach = torch.tensor([1e153], dtype=torch.float64)
    e = rule(FUNCTIONS["sqrt"]).expand(1, c, reach, c - reach, c + reach)
    assert mpf(float(e.last)) >= mpf(1.4e154) ** -1.5 / 8


ENDS = st.one_of(
    st.floats(-1e3, 1e3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300, 64.0, -64.0, 0.125]),
)


@pytest.mark.parametrize("name", SMOOTH)
@given(a=ENDS, b=ENDS, part=st.floats(0, 1))
@settings(max_examples=4 * settings().max_examples)
def test_ranges(ref, name, a, b, part):
    lo, hi = min(a, b), max(a, b)
    low, high = rule(EVERY[name]).range(*(torch.tensor([t], dtype=torch.float64) for t in (lo, hi)))
    low, high = float(low), float(high)
    low, high = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
    inner = min(max(lo + part * (hi - lo), lo), hi) if hi - lo < math.inf else part * hi
    for t in (lo, hi, inner):
        if name in ref.TEXTBOOK:
            value = ref.textbook(name, t)
        elif name in SLOPES:
            value = coefficients(ref, name, 0, t)[0] if abs(t) < 100 else None
        else:
            known = DERIVATIVES.get(name, lambda k, s: mp.tanh(2 * s + 1) if abs(s) < 1e6 else None)
            value = known(0, mpf(t))
        if value is not None:
            assert ref.within(value, low, high), (name, lo, hi, t, low, high)


@pytest.mark.parametrize("name", ["relu", "abs"])
@given(a=ENDS, b=ENDS, part=st.floats(0, 1))
@example(a=5.9387080929306076e-108, b=-1.0, part=0.0)  # 400 bits are not enough for this one
def test_chords(name, a, b, part):
    lo, hi = min(a, b), max(a, b)
    parts = rule(FUNCTIONS[name]).chord(*(torch.tensor([t], dtype=torch.float64) for t in (lo, hi)))
    s, m, e = (float(t) for t in parts)
    assert math.isfinite(s) and not math.isnan(e)
    if e == math.inf or not math.isfinite(m):
        return
    inner = min(max(lo / 2 + part * (hi / 2 - lo / 2), lo), hi)
    for t in (lo, hi, inner):
        exact = Fraction(abs(t)) if name == "abs" else Fraction(max(t, 0.0))
        assert abs(exact - (Fraction(s) * Fraction(t) + Fraction(m))) <= Fraction(e)
    if hi <= 0 or lo >= 0:
        assert e == 0


def test_rules_are_read_off_the_expressions():
    kinked = {name for name, f in FUNCTIONS.items() if isinstance(rule(f), Kinked)}
    assert kinked == {"relu", "abs"}
    assert (rule(FUNCTIONS["relu"]).left, rule(FUNCTIONS["abs"]).left) == (0.0, -1.0)
    for name in ("exp", "log", "square", "sqrt", "cbrt", "reciprocal", "rsqrt"):
        maker = rule(FUNCTIONS[name]).expand.__qualname__.split(".")[0]
        assert maker != "tabulated", name


@given(ends=st.tuples(ENDS, ENDS), order=st.integers(0, 8))
def test_a_jump_is_its_sides_or_all_between(ends, order):
    """relu': 0 below the kink and 1 above."""
    lo, hi = (torch.tensor([end], dtype=torch.float64) for end in sorted(ends))
    factor, function = derived(FUNCTIONS["relu"])
    assert factor == 1
    how = rule(function)
    e = how.expand(order, lo, hi - lo, lo, hi)
    low, high = how.range(lo, hi)
    expected = (0, 0) if hi < 0 else (1, 1) if lo > 0 else (0, 1)
    assert (float(low), float(high)) == expected
    assert float(e.taylor[0] - e.error) == expected[0]
    assert float(e.taylor[0] + e.error) == expected[1]
    assert float(e.slope) == float(e.last) == 0 and not e.taylor[1:].any()


def test_the_sides_of_a_jump_are_not_rounded():
    how = rule(Function("step", sp.Rational(1, 2) + sp.Rational(1, 2**31) * sp.sign(x)))
    at = torch.tensor([1.0], dtype=torch.float64)
    assert float(how.range(at, at)[0]) == 0.5 + 2.0**-31
    assert float(how.expand(2, at, at, at, at).taylor[0]) == 0.5 + 2.0**-31


#: The sum of the last two needs 54 bits, of the others' one slope needs more than float32 has.
SIDES = [(1.0, 0.0), (1 + 2.0**-25, 0.0), (0.99, 1.0), (1 + 2.0**-52, 1.0), (1e308, 1.7e308)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("ends", [(-2.0, -1.0), (-1.0, 3.0), (1.0, 2.0), (0.0, 1.0), (-1.0, 0.0)])
def test_slopes_of_both_sides_are_held(sides, ends):
    """Exactly, whatever their bits; one side alone has no radius."""
    lo, hi = (torch.tensor([end], dtype=torch.float64) for end in ends)
    center, radius = (Fraction(float(part)) for part in Kinked(*sides).slopes(lo, hi))
    for slope, met in zip(sides, (ends[0] < 0, ends[1] > 0), strict=True):
        if met:
            assert abs(Fraction(slope) - center) <= radius
    if ends[0] >= 0 or ends[1] <= 0:
        assert radius == 0


@pytest.mark.parametrize("sides", SIDES)
def test_a_jump_is_within_its_error(sides):
    """Of the middle, which is rounded."""
    lo, c, hi = (torch.tensor([v], dtype=torch.float64) for v in (-1.0, 0.0, 1.0))
    e = jump(*sides).expand(0, c, hi, lo, hi)
    for side in sides:
        assert abs(Fraction(side) - Fraction(float(e.taylor[0]))) <= Fraction(float(e.error))
