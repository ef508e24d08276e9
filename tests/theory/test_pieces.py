"""Fewest pieces: what is proved agrees with the best partitions that brute force finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb, ctx

from theory.errors import BadRequest
from theory.functions import x
from theory.pieces import Pieces, Search, min_pieces
from theory.targets import find_target

RNG = np.random.default_rng(0)
ERF = np.vectorize(math.erf)


def function(target, domain):
    return sp.lambdify(
        x, find_target(target, domain).expression, [{"sign": np.sign, "erf": ERF}, "numpy"]
    )


def fewest(target, domain, accuracy, p, cuts=160, samples=12):
    """Dynamic programming over partitions with cuts on a grid; integrals by midpoints."""
    lo, hi = domain
    t = lo + (hi - lo) * (np.arange(cuts * samples) + 0.5) / (cuts * samples)
    values, width = function(target, domain)(t) + 0 * t, (hi - lo) / (cuts * samples)
    cost = np.full((cuts + 1, cuts + 1), np.inf)
    for i in range(cuts):
        for j in range(i + 1, cuts + 1):
            part = values[i * samples : j * samples]
            best = np.median(part) if p == 1 else part.mean()
            cost[i, j] = (np.abs(part - best) ** p).sum() * width
    least, pieces = cost[0], 1
    while least[cuts] > accuracy**p:
        least, pieces = (least[:, None] + cost).min(0), pieces + 1
    return pieces


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(
    ("target", "domain", "accuracy"),
    [("exp", (-1, 1), 0.1), ("log2p", (-1, 1), 0.05), ("sin", (-1, 1), 0.05),
     ("square", (0, 1), 0.02), ("sqrt", (0, 1), 0.02), ("cbrt", (-1, 1), 0.05),
     ("gelu", (-1, 1), 0.05), ("sin3", (-1, 1), 0.2), ("identity", (0, 1), 0.5)],
)  # fmt: skip
def test_bounds_hold_for_the_best_partition(target, domain, accuracy, p):
    """The grid makes brute force need a little more than the best partition does, and the sums
    are not exact: one piece of leeway on the side where that matters."""
    found = min_pieces(target, domain, sp.Rational(str(accuracy)), p)
    best = fewest(target, domain, accuracy, p)
    assert 1 <= found.lower <= best <= found.upper + 1


def test_bounds_are_near_each_other():
    """exp in the mean: with sqrt(f') the count is 4 sinh(1/2)^2 / accuracy, rounded up."""
    exact = math.ceil(4 * math.sinh(0.5) ** 2 / 0.01)
    found = min_pieces("exp", (-1, 1), sp.Rational(1, 100), 1)
    assert found.lower == exact and found.upper <= exact + 1
    for target in ("sin", "tanh"):  # log-concave slopes: no strip costs anything
        for p in (1, 2):
            found = min_pieces(target, (-1, 1), sp.Rational(1, 100), p)
            assert found.upper <= found.lower + 1
    for target in ("exp", "sin", "tanh", "log2p", "sqrt", "cbrt", "square"):
        for p in (1, 2):
            found = min_pieces(target, (0, 1), sp.Rational(1, 10**4), p)
            assert found.lower <= found.upper <= 1.04 * found.lower
    found = min_pieces("cbrt", (-1, 1), sp.Rational(1, 10**9), 2)  # steep at a place inside
    assert found.upper <= 1.04 * found.lower


@pytest.mark.parametrize("p", [1, 2])
def test_a_line_takes_what_the_formula_says(p):
    """Width W in N equal pieces: error W^(1+1/p) / (2 (p+1)^(1/p) N)."""
    exact = 2 ** (1 + 1 / p) / (2 * (p + 1) ** (1 / p)) * 100
    found = min_pieces("identity", (-1, 1), sp.Rational(1, 100), p)
    assert exact <= found.upper <= exact + 2 and exact - 1 <= found.lower <= math.ceil(exact)


@pytest.mark.parametrize(
    ("target", "domain"), [("exp", (0, 1)), ("cbrt", (-1, 1)), ("identity", (-1, 1))]
)
def test_in_the_maximum_norm_by_greed(target, domain):
    """The longest pieces that vary by at most 2 eps, one after the other on a fine grid."""
    values = function(target, domain)(np.linspace(*domain, 400_001))
    pieces, start = 1, values[0]
    for value in values:
        if value - start > 0.1 + 1e-12:
            pieces, start = pieces + 1, value
    found = min_pieces(target, domain, sp.Rational(1, 20))
    assert found.lower == found.upper and pieces in (found.lower, found.lower - 1)


@pytest.mark.parametrize("target", ["exp", "cbrt", "sin3", "gelu", "x+cbrt(x)"])
@pytest.mark.parametrize("p", [1, 2])
def test_the_exponential_stays_below_the_slope(target, p):
    """Its integral over random strips, against sums of |f'|^q, and errors against sums."""
    f = find_target(target, (-1, 1)).expression
    values, q = function(target, (-1, 1)), p / (p + 1)
    for _ in range(40):
        lo, hi = np.sort(RNG.uniform(-1, 1, 2))
        t = np.linspace(lo, hi, 20_001)
        rises = np.abs(np.diff(values(t)))
        with ctx.workprec(128):
            search = Search(f, p, arb(1))
            strip, error = search.strip(lo, hi), float(search.error(lo, hi, 1, 50))
        total = (rises**q).sum() * (t[1] - t[0]) ** (1 - q)
        assert float(strip.mass) <= total * (1 + 1e-3)
        middle = values((t[1:] + t[:-1]) / 2)
        best = np.median(middle) if p == 1 else middle.mean()
        assert (np.abs(middle - best) ** p).mean() * (hi - lo) <= error * (1 + 1e-6)


@pytest.mark.parametrize("target", ["exp", "sin3", "tanh", "x - cos(40*x)/50"])
def test_the_least_height_of_the_exponential(target):
    """Against a fine grid, for slopes that do not fit: the least value is at an end, or inside."""
    f = find_target(target, (-1, 1)).expression
    derivative = sp.lambdify(x, sp.diff(f, x) + 0 * x, "numpy")
    for _ in range(60):
        lo, hi = np.sort(RNG.uniform(-1, 1, 2))
        slope = RNG.uniform(-5, 5)
        t = np.linspace(lo, hi, 20_001)
        exact = (np.abs(derivative(t)) * np.exp(-slope * (t - (lo + hi) / 2))).min()
        with ctx.workprec(128):
            assert float(Search(f, 1, arb(1)).least(lo, hi, slope)) <= exact * (1 + 1e-9)


def test_log_concave_slopes_are_recognized():
    """(log f')'' <= 0 by hand; of 1/(2 + x) and x^(-1/2) the logarithm is convex."""
    with ctx.workprec(128):
        for text, lo, hi, yes in (("sin", -1, 1, True), ("tanh", -1, 1, True),
                                  ("square", 0, 1, True), ("-x^2", 0, 1, True),
                                  ("square", -1, 1, False), ("x^3", -1, 1, False),
                                  ("log2p", -1, 1, False), ("sqrt", 0, 1, False),
                                  ("sin3", -1, 1, False)):  # fmt: skip
            f = find_target(text, (lo, hi)).expression
            assert Search(f, 1, arb(1)).log_concave(lo, hi) is yes, text


def test_what_cannot_be_counted_is_refused():
    one = sp.Rational(1, 10)
    for target, domain, p in (("exp", (0, 1), 3), ("square", (-1, 1), math.inf),
                              ("sqrt", (-1, 1), 1), ("nothing", (-1, 1), 1)):  # fmt: skip
        with pytest.raises(BadRequest):
            min_pieces(target, domain, one, p)
    with pytest.raises(BadRequest, match="positive"):
        min_pieces("exp", (0, 1), sp.Integer(0), 1)


def test_a_count_and_an_enclosure_are_told_apart():
    assert str(Pieces(118, 118)) == "118" and str(Pieces(91, 93)) == "91 to 93"
