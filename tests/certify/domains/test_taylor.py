"""Taylor models: every primitive and every function contains the truth, in exact arithmetic.

A sample is a set of points t with error vectors d inside the argument's own promises
(remainder, norm, range), which are made as tight as the sample allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains import norms
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Add, Affine, Apply, Builder, Gather, Matmul, Primitive, Rounded, enclose
from theory.functions import FUNCTIONS, Function, x

SEEDS = st.integers(0, 2**32 - 1)
ORDERS = st.integers(0, 5)
POINTS = 4
PLAIN, WILD = (-6, 4), (-60, 60)


def tensor(values):
    return torch.tensor(np.asarray(values, dtype=float), dtype=torch.float64)


@dataclass(frozen=True)
class Sample:
    """Exact points of one box: t, the polynomial's values p and the true values v there."""

    t: list
    p: list
    v: list


def upward(value):
    """A float >= an exact number >= 0."""
    try:
        out = float(value)
    except OverflowError:
        return math.inf
    return out if Fraction(out) >= value else math.nextafter(out, math.inf)


def root(square):
    """A float >= the root of an exact number."""
    out = math.sqrt(upward(square))
    while out < math.inf and Fraction(out) ** 2 < square:
        out = math.nextafter(out, math.inf)
    return out


def rows(array):
    """The rows of an object array, as lists; a scalar is a row of its own."""
    return [array.reshape(-1)] if array.ndim == 0 else list(array.reshape(-1, array.shape[-1]))


def random_model(ref, rng, order, shape, times=None, spread=PLAIN):
    """A Taylor model on one box, and a sample that it encloses as tightly as can be."""
    size = 10.0 ** rng.uniform(*spread)
    coef = rng.normal(size=(order + 1, *shape)) * size
    coef *= 10.0 ** -rng.uniform(0, 4, (order + 1, *[1] * len(shape)))
    coef[rng.random(coef.shape) < 0.15] = 0.0
    rem = np.abs(rng.normal(size=shape)) * size * 10.0 ** rng.uniform(-16, 0)
    rem = np.asarray(np.where(rng.random(shape) < 0.1, 0.0, rem))
    infinite = rng.random(shape) < (0.15 if rng.random() < 0.3 else 0.0)
    times = times or [Fraction(t) for t in (-1.0, 1.0, *rng.uniform(-1, 1, POINTS - 2))]
    p, v, longest = [], [], None
    for t in times:
        where = rng.choice([-1.0, 1.0, 0.5], shape) * np.where(rng.random(shape) < 0.3, 0.1, 1.0)
        d = ref.exact(np.where(infinite, rng.normal(size=shape) * 1e3, rem * where))
        p.append(ref.polynomial(coef, t))
        v.append(p[-1] + d)
        squares = [sum(e * e for e in row) for row in rows(np.asarray(d, dtype=object))]
        longest = [max(a, b) for a, b in zip(longest or squares, squares, strict=True)]
    flat = [np.asarray(value, dtype=object).reshape(-1) for value in v]
    lo = [-upward(-min(c)) if min(c) < 0 else math.nextafter(float(min(c)), -math.inf)
          for c in zip(*flat, strict=True)]  # fmt: skip
    hi = [upward(max(c)) if max(c) > 0 else math.nextafter(float(max(c)), math.inf)
          for c in zip(*flat, strict=True)]  # fmt: skip
    if rng.random() < 0.4:
        lo, hi = np.full(len(lo), -math.inf), np.full(len(hi), math.inf)
    rem = tensor(np.where(infinite, math.inf, rem))[None]
    norm = norms.rows(rem)
    if rng.random() < 0.6:
        norm = tensor([root(s) for s in longest]).reshape(norm.shape)
    ends = (tensor(e).reshape(1, *shape) for e in (lo, hi))
    own = rng.random() < 0.5  # what follows may take its range from the polynomial, or not
    model = TaylorModel(tensor(coef)[:, None], rem, *ends, norm, own=own)
    return model, Sample(times, p, v)


def bounded(value, bound):
    return not math.isnan(bound) and (bound == math.inf or value <= type(value)(bound))


def check(ref, model, sample, images, box=0, kind=Fraction):
    """Every promise of `TaylorModel` about one box.

    sample.v holds the true values of the result; images what the primitive makes of the
    polynomials of its inputs. Entries may be None where the function is not defined.
    """
    fields = ("rem", "lo", "hi", "norm", *(["made"] if model.made is not None else []))
    assert not any(bool(getattr(model, n).isnan().any()) for n in fields)
    assert bool(torch.isfinite(model.coef).all())
    lo, hi, rem = (getattr(model, n)[box].reshape(-1).tolist() for n in ("lo", "hi", "rem"))
    shape = tuple(model.rem.shape[1:])
    made = None if model.made is None else model.made.expand(model.rem.shape)[box].reshape(-1)
    cut = None if model.cut is None else model.cut.expand(model.rem.shape)[box].reshape(-1)
    for t, v, image in zip(sample.t, sample.v, images, strict=True):
        v, image = (np.asarray(a, dtype=object).reshape(-1) for a in (v, image))
        q = np.asarray(ref.polynomial(model.coef[:, box], t, kind), dtype=object).reshape(-1)
        errors = []
        for i in range(len(v)):
            if v[i] is None:
                errors = None
                continue
            assert ref.within(v[i], lo[i], hi[i]), ("range", float(v[i]), lo[i], hi[i])
            off = abs(v[i] - q[i])
            assert bounded(off, rem[i]), ("remainder", float(off), rem[i])
            errors = None if errors is None else [*errors, off]
            if made is not None and image[i] is not None and not (cut is not None and cut[i]):
                off = abs(image[i] - q[i])
                assert bounded(off, float(made[i])), ("made", float(off), float(made[i]))
        if errors is None:
            continue
        lengths = model.norm[box].reshape(-1).tolist()
        for row, length in zip(rows(np.array(errors, dtype=object).reshape(shape)), lengths,
                               strict=True):  # fmt: skip
            assert (
                bounded(sum(e * e for e in row), length)
                or sum(e * e for e in row) <= kind(length) ** 2
            ), ("norm", length)
        if model.total is not None:
            totals = model.total[box].reshape(-1).tolist()
            for row, total in zip(rows(np.array(errors, dtype=object).reshape(shape)), totals,
                                  strict=True):  # fmt: skip
                assert math.isnan(total) or bounded(sum(row), total), ("total", total)


def run(ref, primitive, model, sample):
    out = Taylor(len(model.coef) - 1)
    out = {Gather: out.gather, Affine: out.affine, Apply: out.apply}[type(primitive)](
        primitive, model
    )
    images = [ref.primitive(primitive, [np.asarray(p, dtype=object)], Fraction) for p in sample.p]
    true = [ref.primitive(primitive, [np.asarray(v, dtype=object)], Fraction) for v in sample.v]
    check(ref, out, Sample(sample.t, images, true), images)
    return out


SHAPES = st.sampled_from([(1,), (3,), (2, 3), (2, 2, 2), (3, 1), ()])


@pytest.mark.parametrize("spread", [PLAIN, WILD])
@given(SEEDS, ORDERS, SHAPES, SHAPES)
def test_gather(ref, spread, seed, order, shape, to):
    rng = np.random.default_rng(seed)
    model, sample = random_model(ref, rng, order, shape, spread=spread)
    size = math.prod(shape)
    index = rng.integers(-1, size, to) if rng.random() < 0.7 else np.array(rng.permutation(size))
    run(ref, Gather(np.asarray(index)), model, sample)


@pytest.mark.parametrize("spread", [PLAIN, WILD])
@given(SEEDS, ORDERS, SHAPES, st.sets(st.sampled_from(["weight", "scale", "divisor", "bias"])))
@settings(max_examples=4 * settings().max_examples)
def test_affine(ref, spread, seed, order, shape, parts):
    rng = np.random.default_rng(seed)
    model, sample = random_model(ref, rng, order, shape, spread=spread)

    def numbers(shape):
        a = rng.normal(size=shape) * 10.0 ** rng.uniform(*spread)
        a = np.where(rng.random(shape) < 0.25, 0.0, a)
        return a.astype(np.float32).astype(float) if rng.random() < 0.5 and spread == PLAIN else a

    weight = numbers((int(rng.integers(1, 4)), shape[-1])) if "weight" in parts and shape else None
    out = shape if weight is None else (*shape[:-1], len(weight))
    scale = numbers(out if rng.random() < 0.7 else ()) if "scale" in parts else None
    bias = numbers(out[-1:] if rng.random() < 0.7 else ()) if "bias" in parts else None
    divisor = float(rng.choice([3.0, -7.0, 0.1, 2.0**-20])) if "divisor" in parts else 1.0
    node = Affine(weight, *(None if a is None else np.asarray(a) for a in (scale,)), divisor,
                  None if bias is None else np.asarray(bias))  # fmt: skip
    if rng.random() < 0.3 and shape:  # with a bound on the sum of errors
        sums = [
            max(sum(abs(v - p) for v, p in zip(a, b, strict=True)) for a, b in pair)
            for pair in zip(
                *(
                    list(zip(rows(v), rows(p), strict=True))
                    for v, p in zip(sample.v, sample.p, strict=True)
                ),
                strict=True,
            )
        ]
        total = tensor([upward(s) for s in sums]).reshape(model.norm.shape)
        model = replace(model, total=total)
    run(ref, node, model, sample)


@pytest.mark.parametrize("spread", [PLAIN, WILD])
@given(SEEDS, ORDERS, SHAPES)
def test_add_and_times(ref, spread, seed, order, shape):
    rng = np.random.default_rng(seed)
    one, a = random_model(ref, rng, order, shape, spread=spread)
    two, b = random_model(ref, rng, order, shape, a.t, spread)
    for out, op in (
        (Taylor(order).add(one, two), lambda p, q: p + q),
        (Taylor(order).times(one, two), lambda p, q: p * q),
    ):
        images = [op(p, q) for p, q in zip(a.p, b.p, strict=True)]
        true = [op(v, w) for v, w in zip(a.v, b.v, strict=True)]
        check(ref, out, Sample(a.t, images, true), images)


@pytest.mark.parametrize("spread", [PLAIN, WILD])
@given(SEEDS, ORDERS, st.sampled_from([(), (2,)]), *[st.integers(1, 3)] * 3)
@settings(max_examples=2 * settings().max_examples)
def test_matmul(ref, spread, seed, order, lead, m, n, k):
    rng = np.random.default_rng(seed)
    one, a = random_model(ref, rng, order, (*lead, m, n), spread=spread)
    two, b = random_model(ref, rng, order, (*lead, n, k), a.t, spread)
    images, true = (
        [ref.primitive(Matmul(), pair, Fraction) for pair in zip(*parts, strict=True)]
        for parts in ((a.p, b.p), (a.v, b.v))
    )
    check(ref, Taylor(order).matmul(one, two), Sample(a.t, images, true), images)


@given(
    st.tuples(*[st.floats(-1e300, 1e300)] * 2).map(sorted) | st.tuples(
        st.floats(-1e-20, 0), st.floats(0.5, 2)) | st.floats(-10, 10).map(
        lambda v: (v, math.nextafter(v, math.inf))) | st.floats().filter(
        math.isfinite).map(lambda v: (v, v)),
    ORDERS,
)  # fmt: skip
@settings(max_examples=8 * settings().max_examples)
def test_lift_contains_the_box(ends, order):
    lo, hi = ends
    model = Taylor(order).lift(tensor([[lo, hi]]), (1, 1))
    c = [Fraction(float(a)) for a in model.coef[:, 0, 0, 0]]
    reach = (c[1] if order else 0) + Fraction(float(model.rem))
    assert c[0] - reach <= Fraction(lo) and Fraction(hi) <= c[0] + reach
    assert (float(model.lo), float(model.hi)) == (lo, hi)
    assert not any(c[2:])


def test_lift_wants_one_variable():
    with pytest.raises(ValueError, match="1 variables, but the input has 2"):
        Taylor(2).lift(tensor([[0.0, 1.0]]), (2, 1))


def centers(rng, count):
    """Midpoints: in the tables' reach, at cell edges, at kinks and poles, and enormous."""
    plain = rng.normal(size=count) * 10.0 ** rng.uniform(-2, 1.5, count)
    edges = rng.integers(-40, 40, count) / 8
    far = rng.choice([-1.0, 1.0], count) * 10.0 ** rng.uniform(-300, 300, count)
    zero = rng.choice([0.0, -0.0], count)
    kind = rng.choice(4, count, p=[0.6, 0.15, 0.1, 0.15])
    return np.choose(kind, [plain, edges, far, zero])


def argument(rng, order, count, width):
    """Models of shape (count, width) without ranges, one box each."""
    c = centers(rng, (count, width))
    rad = np.where(rng.random(c.shape) < 0.5, 10.0 ** rng.uniform(-13, 3, c.shape), np.abs(c) *
                   rng.choice([1e-12, 0.1, 0.5, 0.999, 1.0], c.shape))  # fmt: skip
    coef = rng.normal(size=(order + 1, *c.shape)) * 10.0 ** -rng.uniform(0, 5, (order + 1, 1, 1))
    coef *= rad / np.maximum(np.abs(coef[1:]).sum(0), 1e-300)
    coef[0] = c
    rem = rad * 10.0 ** rng.uniform(-16, 0, c.shape)
    rem[rng.random(c.shape) < 0.4] = 0.0
    rem[rng.random(c.shape) < 0.05] = math.inf
    return coef, rem


POWERS = {
    f"x**({q})": Function(f"x**({q})", x ** sp.Rational(q)) for q in ("5/2", "-2", "3", "-1/3")
}
REFERENCE_POWERS = {
    "x**(5/2)": lambda t: t ** (mpf(5) / 2) if t >= 0 else None,
    "x**(-2)": lambda t: 1 / t**2 if t else None,
    "x**(3)": lambda t: t**3,
    "x**(-1/3)": lambda t: t ** (-mpf(1) / 3) if t > 0 else None,
}


@pytest.mark.parametrize("name", [*FUNCTIONS, *POWERS])
@given(SEEDS, st.integers(0, 12))
def test_functions(ref, name, seed, order):
    rng = np.random.default_rng(seed)
    count, width = 6, 2
    coef, rem = argument(rng, order, count, width)
    function = FUNCTIONS.get(name) or POWERS[name]
    f = ref.TEXTBOOK.get(name) or REFERENCE_POWERS[name]
    samples = []
    tight = rng.random() < 0.5
    lo, hi = np.full(rem.shape, -math.inf), np.full(rem.shape, math.inf)
    norm = np.zeros(count)
    for box in range(count):
        ts = [mpf(t) for t in (-1.0, 1.0, float(rng.uniform(-1, 1)))]
        inputs, p = [], []
        longest = Fraction(0)
        for t in ts:
            where = rng.choice([-1.0, 1.0, 0.3], width) * rng.choice(
                [0.0, 1.0], width, p=[0.2, 0.8]
            )
            d = np.where(np.isinf(rem[box]), rng.normal(size=width) * 30, rem[box] * where)
            longest = max(longest, sum(Fraction(e) ** 2 for e in d.tolist()))
            p.append(ref.polynomial(coef[:, box], t, mpf))
            inputs.append(p[-1] + ref.exact(d, mpf))
        norm[box] = root(longest) if rng.random() < 0.5 else math.inf
        if tight:
            for i in range(width):
                seen = [v[i] for v in inputs]
                lo[box, i] = math.nextafter(float(min(seen)), -math.inf)
                hi[box, i] = math.nextafter(float(max(seen)), math.inf)
        values = [[f(v) for v in row] for row in inputs]
        samples.append((Sample(ts, p, values), [[f(v) for v in row] for row in p]))
    least = torch.fmin(tensor(norm), norms.rows(tensor(rem)))
    model = TaylorModel(tensor(coef), tensor(rem), tensor(lo), tensor(hi), least)
    out = Taylor(order).apply(Apply(function), model)
    for box, (sample, images) in enumerate(samples):
        check(ref, out, sample, images, box, mpf)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(SEEDS, st.integers(0, 8))
def test_functions_of_the_input_itself(ref, name, seed, order):
    """Boxes [lo, hi] as the search makes them, ends included."""
    rng = np.random.default_rng(seed)
    c, r = centers(rng, 6), 10.0 ** rng.uniform(-13, 3, 6)
    r = np.where(rng.random(6) < 0.3, np.abs(c), r)
    boxes = np.stack([c - r, c + r], 1)
    b = Builder((1,))
    graph = b.graph(y=b.apply(FUNCTIONS[name], 0))
    out = enclose(graph, tensor(boxes), domain=Taylor(order))["y"]
    low, high = Taylor(order).range(out)
    for i, (lo, hi) in enumerate(boxes.tolist()):
        for t in (lo, hi, lo + (hi - lo) * float(rng.random())):
            value = ref.textbook(name, min(max(t, lo), hi))
            if value is not None:
                assert ref.within(value, float(low[i, 0]), float(high[i, 0])), (name, lo, hi, t)


def test_the_enclosure_is_of_use():
    """Sound but infinite would pass everything above."""
    for name in FUNCTIONS:
        b = Builder((1,))
        graph = b.graph(y=b.apply(FUNCTIONS[name], 0))
        out = enclose(graph, tensor([[1.0, 1.0625], [0.5, 0.51]]), domain=Taylor(8))["y"]
        assert bool((out.rem < 1e-10).all()), name


def test_a_zero_weight_forgets_nothing_that_is_unknown():
    rem = tensor([[math.inf, 1.0]])
    ends = tensor([[-math.inf, -2.0]]), tensor([[math.inf, 2.0]])
    model = TaylorModel(torch.zeros(3, 1, 2).double(), rem, *ends, norms.rows(rem))
    out = Taylor(2).affine(Affine(weight=np.array([[0.0, 1.0], [1.0, 0.0]])), model)
    assert not bool(out.rem.isnan().any()) and not bool(out.lo.isnan().any())
    assert float(out.rem[0, 1]) == math.inf and float(out.rem[0, 0]) >= 1.0


def test_underflow_before_a_division_is_covered():
    """scale and divisor of 1e-300: what underflows in between comes back enlarged."""
    box = tensor([[1e-20, 3e-20]])
    node = Affine(scale=np.array([1e-300]), divisor=1e-300)
    out = Taylor(1).affine(node, Taylor(1).lift(box, (1,)))
    q = [Fraction(float(c)) for c in out.coef[:, 0, 0]]
    scale = Fraction(1e-300) / Fraction(1e-300)
    for t, end in ((-1, 1e-20), (1, 3e-20)):
        assert abs(Fraction(end) * scale - (q[0] + t * q[1])) <= Fraction(float(out.rem))
        assert Fraction(float(out.lo)) <= Fraction(end) * scale <= Fraction(float(out.hi))


def test_primitives_are_all_tested():
    # Rounded stands in graphs of executions only, which have a domain of their own.
    assert {Gather, Affine, Add, Matmul, Apply, Rounded} == set(get_args(Primitive))
