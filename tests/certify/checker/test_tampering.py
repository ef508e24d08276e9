"""Change anything, seal it again: what is still accepted is still true.

Truth is sampled by mpmath from the changed graph itself: 65 inputs, the textbook's operations.
"""

from __future__ import annotations

import copy
import math

import mpmath
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.certificate.reading import Malformed, from_data
from certify.certificate.writing import digest
from certify.checker.check import verify

TARGETS = {
    "exp(x)": mpmath.exp,
    "sin(x)": mpmath.sin,
    "exp(x)*1.0001": lambda t: mpmath.exp(t) * mpf(10001) / 10000,
    "x": lambda t: t,
    "exp(x)+0*x": mpmath.exp,
}
TRIES = settings().max_examples // 2 + 13  # 25 of 25 in CI, about 1000 of 2000 in nightly


def places(data, path=()):
    """Every list, object and leaf of the data, as paths."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def at(data, path):
    for key in path:
        data = data[key]
    return data


@st.composite
def tampered(draw, sealed):
    """The data with one to three changes."""
    data = copy.deepcopy(sealed)
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(CHANGES))(draw, data)
    return data


def change_number(draw, data):
    """Any number, a little or much; half of the time a bound of a leaf, cell or point."""
    section = draw(st.sampled_from(["stated", "trees", "points", None]))
    root = () if section is None else (section,)
    paths = [p for p in places(at(data, root), root) if isinstance(at(data, p), str | int)]
    path = draw(st.sampled_from(paths)) if paths else None
    if path is None:
        return
    value = at(data, path)
    parent = at(data, path[:-1])
    if isinstance(value, int):
        parent[path[-1]] = draw(st.integers(-1, 9))
        return
    ends = value.split(" ")  # a leaf has eight numbers
    place = draw(st.integers(0, len(ends) - 1))
    try:
        number = float.fromhex(ends[place])
    except ValueError:
        return
    shift = draw(st.sampled_from([1e-300, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e300]))
    new = draw(st.sampled_from([
        number + shift, number - shift, number * (1 + shift), -number, 0.0, math.inf, -math.inf,
        math.nextafter(number, math.inf), math.nextafter(number, -math.inf)]))  # fmt: skip
    ends[place] = new.hex()
    parent[path[-1]] = " ".join(ends)


def change_list(draw, data):
    """Drop, repeat, swap or shift entries of a list."""
    paths = [p for p in places(data) if isinstance(at(data, p), list) and len(at(data, p)) > 1]
    entries = at(data, draw(st.sampled_from(paths)))
    i, j = (draw(st.integers(0, len(entries) - 1)) for _ in range(2))
    match draw(st.sampled_from(["drop", "repeat", "swap", "shift"])):
        case "drop":
            entries.pop(i)
        case "repeat":
            entries.insert(j, copy.deepcopy(entries[i]))
        case "swap":
            entries[i], entries[j] = entries[j], entries[i]
        case "shift":
            entries.append(entries.pop(0))


def change_meaning(draw, data):
    """The target, a claim, a verdict, an operator."""
    match draw(st.sampled_from(["target", "claim", "verdict", "node"])):
        case "target":
            data["target"]["expression"] = draw(st.sampled_from(sorted(TARGETS)))
        case "claim":
            claim = draw(st.sampled_from(data["claims"] or [{"numbers": {"bound": ""}}]))
            name = draw(st.sampled_from(sorted(claim["numbers"])))
            claim["numbers"][name] = draw(st.floats(0, 4)).hex()
        case "verdict":
            for claim in data["claims"]:
                claim["verdict"] = draw(st.sampled_from(["PROVED", "REFUTED", "UNDECIDED"]))
        case "node":
            node = draw(st.sampled_from(data["graph"]["nodes"]))
            if "function" in node:
                node["function"] = draw(st.sampled_from(["tanh", "erf", "sin", "square", "relu"]))


CHANGES = [change_number, change_number, change_list, change_meaning]


def assert_true(ref, certificate):
    """No sample contradicts what the certificate says."""
    graph = ref.as_graph(certificate.network)
    target = TARGETS[certificate.target["expression"]]
    stated = certificate.stated
    trees = zip(stated.cells, certificate.trees, strict=True)
    model_of, target_of = [], []
    for cell, tree in trees:
        ((lo, hi),) = cell.box
        xs = {lo + (hi - lo) * mpf(k) / 32 for k in range(33)}
        xs |= {mpf(p.at[0]) for p in certificate.points if lo <= p.at[0] <= hi}
        rows = {x: (ref.values(graph, x)[certificate.network.output].reshape(-1)[0], target(x)) for
                x in xs}  # fmt: skip
        ours, theirs = [m for m, _ in rows.values()], [t for _, t in rows.values()]
        assert all(ref.within(m, *cell.range) for m in ours)
        for values, bound in ((ours, cell.variation), (theirs, cell.target_variation)):
            assert max(values) - min(values) <= mpf(bound[1]) and bound[0] <= bound[1]
        assert max(abs(m - t) for m, t in rows.values()) <= mpf(cell.sup_error[1])
        for leaf in (entry for entry in tree if hasattr(entry, "model")):
            ((a, b),) = leaf.box
            for x, (m, t) in rows.items():
                if a <= x <= b:
                    assert ref.within(m, *leaf.model) and ref.within(t, *leaf.target)
                    assert ref.within(m - t, *leaf.difference)
        model_of += ours
        target_of += theirs
    sup = max(abs(m - t) for m, t in zip(model_of, target_of, strict=True))
    assert sup <= mpf(stated.sup_error[1]) and stated.sup_error[0] <= stated.sup_error[1]
    total = max(target_of) - min(target_of)
    assert total <= mpf(stated.target_variation[1])
    for point in certificate.points:
        m = ref.values(graph, point.at[0])[certificate.network.output].reshape(-1)[0]
        t = target(mpf(point.at[0]))
        assert ref.within(m, *point.model) and ref.within(t, *point.target)
        assert ref.within(m - t, *point.difference)
    for claim in certificate.claims:
        bound = claim.numbers.get("bound")
        if claim.label == "within":
            assert claim.verdict != "PROVED" or sup <= bound
        if claim.label == "constant-up-to" and claim.verdict == "PROVED":
            assert all(cell.variation[1] <= bound for cell in stated.cells)


@settings(
    max_examples=TRIES,
    suppress_health_check=[*HealthCheck],
)
@given(choice=st.data())
def test_what_is_accepted_is_true(ref, sealed, choice):
    data = choice.draw(tampered(sealed))
    try:
        certificate = from_data(data | {"digest": digest(data)})
    except Malformed:
        return
    if verify(certificate, jobs=1).accepted:
        with mpmath.mp.workprec(400):
            assert_true(ref, certificate)


def test_the_digest_shows_what_was_changed(data):
    data["stated"]["sup_error"][1] = (9.0).hex()
    with pytest.raises(Malformed, match="digest"):
        from_data(data)


def test_the_truth_test_can_fail(ref, sealed, data):
    """Otherwise the first test would show nothing."""
    with mpmath.mp.workprec(400):
        assert_true(ref, from_data(sealed))
        data["stated"]["cells"][0]["sup_error"] = [(0.0).hex(), (0.001).hex()]
        with pytest.raises(AssertionError):
            assert_true(ref, from_data(data | {"digest": digest(data)}))
