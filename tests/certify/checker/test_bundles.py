"""Bundles of all outputs: honest ones are accepted, and whatever is changed in them is seen."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import mpmath
import pairs
import pytest
import torch
from flint import arb, ctx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from certify.certificate import Bundle
from certify.certificate.norms import unproved
from certify.certificate.reading import Malformed, from_data, parse
from certify.certificate.writing import as_bytes, as_data, digest
from certify.checker.check import verify
from certify.checker.evaluate import Evaluator
from certify.checking import check
from certify.frontend.network import mismatch
from certify.options import Options
from certify.report.certificate import as_certificate
from certify.run import Limits
from theory.norms import NORMS


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return pairs.saved(pairs.Tanh(1), 1, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def reports(path):
    options = Options(output="all", cells=2, within=9.0, gap=0.2, limits=Limits(20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("certify.run.FIRST", 2)
        patch.setattr("certify.run.UNASKED", 0)
        return {n: check(path, "exp(x)/2,x^2", replace(options, norm=n)) for n in NORMS}


@pytest.fixture(scope="module")
def bundles(reports):
    return {n: json.loads(json.dumps(as_data(as_certificate(r)))) for n, r in reports.items()}


@pytest.fixture
def data(bundles):
    """Those in the 2-norm, to change."""
    return copy.deepcopy(bundles["2"])


def judged(data):
    return verify(from_data(data | {"digest": digest(data)}), jobs=1)


@pytest.mark.parametrize("norm", NORMS)
def test_the_truth_is_accepted(reports, norm, path, tmp_path):
    bundle = as_certificate(reports[norm])
    assert isinstance(bundle, Bundle) and not list(unproved(bundle))
    raw = as_bytes(as_data(bundle), packed=True)
    seen = []
    result = verify(parse(raw), 1, 1.0, lambda done, total: seen.append((done, total)))
    assert result.accepted, result.reason
    assert result.checked == result.leaves == bundle.leaves == seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)
    parts = [r.outcome.state for r in reports[norm].together.parts]
    assert bundle.leaves >= sum(len(state.leaves) for state in parts)
    assert not mismatch(parse(raw), path)
    file = tmp_path / "bundle.json.gz"
    file.write_bytes(raw)
    assert verify(file, jobs=2).accepted
    assert verify(file, jobs=1, sample=0.3).checked < bundle.leaves


def test_it_is_about_all_outputs_of_the_file(reports, path, tmp_path):
    other = pairs.saved(pairs.Turn(), 2, tmp_path)
    bundle = as_certificate(reports["2"])
    assert "another SHA-256" in mismatch(bundle, other)
    header = {**bundle.header, "model": {**bundle.header["model"], "output": 0}}
    assert "is not the one" in mismatch(replace(bundle, header=header), path)
    alone = as_certificate(reports["2"].together.parts[0])
    assert not mismatch(alone, path)
    said = {**alone.header, "model": {**alone.header["model"], "output": "all"}}
    assert mismatch(replace(alone, header=said), path)


@pytest.mark.parametrize("name", ["sup_error", "target_variation"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_stated_of_the_whole_must_follow(bundles, name, norm, side):
    data = copy.deepcopy(bundles[norm])
    lo, hi = map(float.fromhex, data["stated"][name])
    less, far = 1e-12 * hi, (0.0, 9.0)
    data["claims"] = []
    for sign, accepted in ((1, False), (-1, True)):
        pair = [lo + sign * less, far[1]] if side == 0 else [far[0], hi - sign * less]
        data["stated"][name] = [end.hex() for end in pair]
        result = judged(data)
        assert result.accepted == accepted, result.reason
        if not accepted:
            assert result.reason == f"{name} does not follow from the leaves and points"


@pytest.mark.parametrize("name", ["variation", "target_variation"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_stated_of_a_cell_must_follow(bundles, name, norm, side):
    data = copy.deepcopy(bundles[norm])
    lo, hi = map(float.fromhex, data["stated"]["cells"][1][name])
    pair = [lo * (1 + 1e-12), 9.0] if side == 0 else [0.0, hi * (1 - 1e-12)]
    data["stated"]["cells"][1][name] = [end.hex() for end in pair]
    data["claims"] = []
    assert judged(data).reason.startswith(f"cell 1: {name} does not follow")


def forget(data):
    data["stated"]["cells"][0]["far"] = None


def leave(data):
    """A pair of inputs in the other cell."""
    data["stated"]["cells"][0]["far"] = data["stated"]["cells"][1]["far"]


def unknown(data):
    """An input that is a point of one part, and of no other."""
    (x,), _ = data["stated"]["cells"][0]["far"]
    points, more = data["parts"][0]["points"], float.fromhex(x) + 2.0**-40
    close = next(point for point in points if point["at"] == [x])
    free = [["-inf", "inf"]] * 3
    points.append({"at": [more.hex()], **dict(zip(list(close)[1:], free, strict=True))})
    data["stated"]["cells"][0]["far"][0] = [more.hex()]


def meet(data):
    far = data["stated"]["cells"][0]["far"]
    far[1] = far[0]


@pytest.mark.parametrize("change", [forget, leave, unknown, meet])
def test_a_lower_bound_needs_its_pair_of_inputs(data, change):
    change(data)
    data["claims"] = []
    assert judged(data).reason.startswith("cell 0: variation does not follow"), change


def test_a_pair_counts_in_its_own_cell(bundles):
    """The cell that varies less, by what a pair of inputs in the other one shows."""
    bundle = from_data(bundles["2"])
    more, less = sorted((0, 1), key=lambda i: -bundle.stated.cells[i].variation[0])
    low, high = bundle.stated.cells[more].variation
    cells = list(bundle.stated.cells)
    assert low > cells[less].variation[0] * 1.01
    wrong = (cells[less].variation[0] * 1.005, 9.0)
    cells[less] = cells[less]._replace(variation=wrong, far=cells[more].far)
    changed = replace(bundle, stated=bundle.stated._replace(cells=tuple(cells)))
    assert list(unproved(changed)) == [f"cell {less}: variation"]


@pytest.mark.parametrize("part", [0, 1, "squares"])
def test_a_part_that_does_not_hold_is_named(data, part):
    own = data["squares"] if part == "squares" else data["parts"][part]
    tree = own["trees"][0]
    place = next(i for i, entry in enumerate(tree) if isinstance(entry, str))
    ends = tree[place].split(" ")
    ends[-2:] = [(-1e-6).hex(), (1e-6).hex()]
    tree[place] = " ".join(ends)
    for cell in own["stated"]["cells"]:
        cell["sup_error"][0] = (0.0).hex()
    reason = judged(data).reason
    name = "squares" if part == "squares" else f"parts[{part}]"
    assert reason.startswith(f"{name}: trees[0], leaf") and "the difference is" in reason


def test_squares_are_those_of_the_errors(data, bundles):
    """Another target in a part, whose own bounds are free, is another sum of squares."""
    part = data["parts"][1]
    part["target"]["expression"] = "x^2+1/64"
    reason = judged(data).reason
    assert reason.startswith("parts[1]: ")
    certificate = from_data(bundles["2"])
    module, x = pairs.Tanh(1), 0.375
    with ctx.workprec(200), mpmath.workprec(200):
        value, target, difference = Evaluator(certificate.squares).at((x,))
        true = module.exact([mpmath.mpf(x)])
        wanted = [mpmath.exp(mpmath.mpf(x)) / 2, mpmath.mpf(x) ** 2]
        total = sum((a - b) ** 2 for a, b in zip(true, wanted, strict=True))
        assert target == 0 and difference.overlaps(value)
        assert abs(value - arb(str(total))) < 1e-50


def verdict(data, claim, said):
    data["claims"] = [claim | {"verdict": said}]
    return judged(data)


def test_verdicts_are_those_of_the_norm(bundles):
    """A bound between the two norms' errors is kept in one of them only."""
    ends = {n: list(map(float.fromhex, d["stated"]["sup_error"])) for n, d in bundles.items()}
    between = (ends["max"][1] + ends["2"][0]) / 2
    claim = {"label": "within", "numbers": {"bound": between.hex()}}
    for norm, said in (("max", "PROVED"), ("2", "REFUTED")):
        assert verdict(copy.deepcopy(bundles[norm]), claim, said).accepted
        wrong = "PROVED" if said == "REFUTED" else "REFUTED"
        reason = verdict(copy.deepcopy(bundles[norm]), claim, wrong).reason
        assert f"the verdict on within is {said}" in reason
    none = {"label": "monotone", "numbers": {}}
    assert verdict(copy.deepcopy(bundles["2"]), none, "UNDECIDED").accepted
    assert not verdict(copy.deepcopy(bundles["2"]), none, "PROVED").accepted


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(norm="1"), '"norm" is'),
        (lambda d: d.update(norm="max"), "bound the 2-norm only"),
        (lambda d: d.update(norm="max", squares=None), "bound the 2-norm only"),
        (lambda d: d.pop("squares"), "missing or unknown"),
        (lambda d: d.update(slopes=None), "missing or unknown"),
        (lambda d: d["parts"].pop(), "1 parts, but"),
        (lambda d: d["parts"].append(d["parts"][0]), "3 parts, but"),
        (lambda d: d["parts"][0].update(claims=[]), "parts[0]: missing or unknown"),
        (lambda d: d["parts"][1]["target"].update(expression="x +"), "parts[1].target.expression"),
        (lambda d: d["squares"].update(target=d["parts"][0]["target"]), "squares: missing or"),
        (lambda d: d["stated"]["cells"].pop(), "the same cells"),
        (lambda d: d["parts"][1]["stated"]["cells"].reverse(), "the same cells"),
        (lambda d: d["squares"]["stated"]["cells"].pop(), "the same cells"),
        (lambda d: d["stated"]["cells"][0].update(far=[]), "not a pair of inputs"),
        (lambda d: d["stated"]["cells"][0].update(far=[[], []]), "not a list of 1 numbers"),
        (lambda d: d["stated"].update(witness=None), "stated: missing or unknown"),
        (lambda d: d["graph"].update(output=0), "2 parts, but"),
        (lambda d: d.update(schema="certify-certificate/1"), "missing or unknown"),
    ],
)  # fmt: skip
def test_another_form_is_refused(data, change, says):
    change(data)
    with pytest.raises(Malformed) as refused:
        judged(data)
    assert says in str(refused.value)


def test_a_bound_of_the_two_norm_says_nothing_from_below_of_the_max_norm(bundles):
    """Squares and pairs of inputs are refused with "max"; without them the lower bounds of the
    2-norm do not follow."""
    data = copy.deepcopy(bundles["2"])
    data |= {"norm": "max", "squares": None, "claims": []}
    for cell in data["stated"]["cells"]:
        cell |= {"far": None, "target_far": None}
    assert judged(data).reason.startswith("sup_error does not follow")


def numbers(value, path=()):
    """The places of all numbers outside the graph."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        if isinstance(part, dict | list):
            if (*path, key) != ("graph",):
                yield from numbers(part, (*path, key))
        elif isinstance(part, str) and ("0x" in part or part in ("inf", "-inf")):
            yield (*path, key)


TRIES = max(25, settings().max_examples // 4)


@settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_accepted_is_true(bundles, data):
    """Any number moved: an accepted bundle's error in the norm still holds every sample."""
    norm = data.draw(st.sampled_from(NORMS))
    changed = copy.deepcopy(bundles[norm])
    path = data.draw(st.sampled_from(sorted(numbers(changed), key=str)))
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    ends = parent[path[-1]].split(" ")
    place = data.draw(st.integers(0, len(ends) - 1))
    old = float.fromhex(ends[place])
    factor = data.draw(st.sampled_from([0.0, 0.5, 1 - 1e-9, 1 + 1e-9, 2.0, -1.0]))
    ends[place] = (old * factor if math.isfinite(old) else 1.0).hex()
    parent[path[-1]] = " ".join(ends)
    try:
        result = judged(changed)
    except Malformed:
        return
    if not result.accepted:
        return
    found = from_data(changed | {"digest": digest(changed)})
    module, sizes = pairs.Tanh(1), []
    for k in range(65):
        x = mpmath.mpf(k) / 32 - 1
        a, b = module.exact([x])
        errors = [a - mpmath.exp(x) / 2, b - x**2]
        sizes.append(max(map(abs, errors)) if norm == "max" else mpmath.hypot(*errors))
    lo, hi = found.stated.sup_error
    assert max(sizes) <= hi and lo <= 1.01 * float(max(sizes))


class Half(nn.Module):
    """tanh(x1), and 0: their errors against functions of x1 are the same for every x2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.tanh(x[:, :1]), 0 * x[:, 1:]], 1)


@pytest.mark.parametrize(("output", "norm"), [(0, "max"), ("all", "max"), ("all", "2")])
def test_the_witness_is_among_the_points_where_others_tie_with_it(tmp_path, output, norm):
    path = pairs.saved(Half(), 2, tmp_path)
    options = Options(output=output, norm=norm, cells=4, gap=0.2, limits=Limits(20))
    result = verify(as_certificate(check(path, "sin(x1),x1", options)), jobs=1)
    assert result.accepted, result.reason
