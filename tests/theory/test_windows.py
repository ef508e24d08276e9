"""Windows against exact truth: broken lines on a grid, whose oscillation is a fraction."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.windows import FLAT, Windows

GRID = 32  # a power of two: its parts are doubles


def oscillation(values, a, b):
    """max - min of the broken line through (k / GRID, values[k]) over [a, b], exactly."""

    def at(x):
        k = min(int(x * GRID), GRID - 1)
        return values[k] + (x * GRID - k) * (values[k + 1] - values[k])

    inside = [Fraction(values[k]) for k in range(GRID + 1) if a <= Fraction(k, GRID) <= b]
    every = [at(a), at(b), *inside]
    return max(every) - min(every)


def windows(model, target, cuts, slack, with_points):
    """Leaves that end at grid points, with bounds that are loose by `slack`."""
    edges = sorted({0, GRID, *cuts})
    bounds = []
    for values in (model, target, [m - t for m, t in zip(model, target, strict=True)]):
        parts = [values[a : b + 1] for a, b in zip(edges, edges[1:], strict=False)]
        bounds.append([(min(p) - slack, max(p) + slack) for p in parts])
    points = [
        (k / GRID, (model[k], model[k]), (target[k], target[k]))
        for k in (range(GRID + 1) if with_points else ())
    ]
    total = max(target) - min(target)
    exact = [Fraction(e, GRID) for e in edges]
    assert all(Fraction(float(e)) == e for e in exact)
    return Windows([float(e) for e in exact], *bounds, points, (float(total), float(total)))


@given(model=st.lists(st.integers(-40, 40), min_size=GRID + 1, max_size=GRID + 1),
       target=st.lists(st.integers(-40, 40), min_size=GRID + 1, max_size=GRID + 1),
       flat=st.integers(0, GRID), cuts=st.sets(st.integers(1, GRID - 1)),
       slack=st.sampled_from([0, 1]), points=st.booleans(),
       tau=st.sampled_from([0.0, 0.1, 0.5, 0.9]), data=st.data())  # fmt: skip
@settings(max_examples=4 * settings().max_examples)
def test_against_the_truth(model, target, flat, cuts, slack, points, tau, data):
    model = [model[0]] * flat + model[flat:]  # a plateau, often
    found = windows(model, target, cuts, slack, points)
    lo, hi, window = found.longest(tau)
    if data.draw(st.booleans()):
        lo, hi, window = found.together(data.draw(st.integers(2, 5))).longest(tau)
    total = max(target) - min(target)

    def is_plateau(a, b):
        v, d = oscillation(model, a, b), oscillation(target, a, b)
        return d > 0 and d >= Fraction(FLAT) * total and v <= Fraction(tau) * d

    assert 0 <= lo <= hi
    if window is not None:
        a, b = map(Fraction, window)
        assert is_plateau(a, b) and Fraction(lo) <= b - a
    places = st.integers(0, 8 * GRID).map(lambda k: Fraction(k, 8 * GRID))
    for _ in range(12):
        a, b = sorted((data.draw(places), data.draw(places)))
        if b - a > Fraction(hi):
            assert not is_plateau(a, b)
    width = data.draw(st.integers(1, 8 * GRID)) / (8 * GRID)
    proved, none = found.sliding(tau, width)
    starts = [Fraction(k, 16 * GRID) for k in range(16 * GRID)]
    inside = [a for a in starts if a + Fraction(width) <= 1]
    plateaus = [is_plateau(a, a + Fraction(width)) for a in inside]
    assert not (proved and none)
    if proved:
        a, b = map(Fraction, proved)
        assert is_plateau(a, b) and abs(b - a - Fraction(width)) < Fraction(1, 10**12)
        ours, theirs = found.variations(proved)
        assert oscillation(model, a, b) <= Fraction(ours)
        assert 0 <= Fraction(theirs) <= oscillation(target, a, b)
    assert not none or not any(plateaus)


def test_a_plateau_and_its_extent():
    """A model that is constant on [0, 3/4] and follows x after that, with exact bounds."""
    line = list(range(GRID + 1))
    model = [0 if k <= 24 else k for k in line]
    found = windows(model, line, range(1, GRID), 0, True)
    assert found.longest(0.1) == (0.75, 0.75 + 1 / GRID, (0.0, 0.75))
    assert found.sliding(0.1, 0.5) == ((0.0, 0.5), False)
    assert found.variations((0.25, 0.75)) == (0.0, 16.0)
    assert found.variations((0.25, 0.75 + 1 / GRID)) == (25.0, 17.0)
    assert found.sliding(0.1, 0.9) == (None, True)


def test_the_error_alone_excludes_plateaus():
    line = [100 * k for k in range(GRID + 1)]
    near = [v + k % 2 for k, v in enumerate(line)]
    found = windows(near, line, (), 0, False)
    assert found.harmless(0.1) and found.longest(0.1) == (0.0, 0.0, None)


def test_nothing_known_and_nothing_to_decide():
    free = (float("-inf"), float("inf"))
    unknown = Windows([0.0, 1.0], [free], [free], [free], [], (0.0, float("inf")))
    assert unknown.longest(0.1) == (0.0, 1.0, None)
    assert unknown.sliding(0.1, 0.5) == (None, False)
    constant = windows([0] * (GRID + 1), [5] * (GRID + 1), (8,), 0, True)
    assert constant.longest(0.1) == (0.0, 0.0, None)
    assert constant.sliding(0.1, 0.5) == (None, False)


@pytest.mark.parametrize(("more", "plateau"), [(0, True), (1, False)])
def test_ties_are_decided_exactly(more, plateau):
    """V = D / 4 exactly is a plateau; more is none."""
    target = [4 * k for k in range(GRID + 1)]
    model = [0] * GRID + [target[-1] // 4 + more]
    found = windows(model, target, range(1, GRID), 0, True).longest(0.25)
    assert (found[2] == (0.0, 1.0)) is plateau


def test_windows_that_end_in_the_next_leaf():
    """A plateau from 0 to the middle of a leaf that varies beyond it: it is not overlooked."""
    line = [100 * k for k in range(GRID + 1)]
    model = [0 if k <= 5 else v for k, v in enumerate(line)]
    found = windows(model, line, range(4, GRID, 4), 0, True)
    assert found.sliding(0.1, 5 / GRID)[1] is False
    assert windows(line, line, range(4, GRID, 4), 0, True).sliding(0.1, 16 / GRID) == (None, True)


def test_where_the_target_is_flat_nothing_is_a_plateau():
    """It varies by 1 in 10,000 on the first half, below FLAT of its total, and the model not."""
    target = [k % 2 if k <= 16 else 625 * (k - 16) for k in range(GRID + 1)]
    model = [0 if k <= 16 else v for k, v in enumerate(target)]
    found = windows(model, target, range(1, GRID), 0, True)
    assert found.longest(0.1)[2] is None and found.sliding(0.1, 0.25)[0] is None
