"""The paper's data: formulas, independence of purposes, labels on the diagonal."""

import math

import numpy as np
import pytest
import torch

from probes.schemes import SCHEMES, classify, diagonal, find_scheme, stream
from probes.values import values
from theory.curves import target_along
from theory.errors import BadRequest


def by_hand(x1):
    """The formulas for one number, written once more."""
    x2 = math.copysign(abs(x1) ** (1 / 3), x1)
    x3 = 2 * math.log(2 + x1) + 0.1 * x2
    x4 = math.exp(x2) + x3
    y1 = (x1 + x2 + x3 + x4) / 5
    y2 = (x1 * y1 + math.exp(x2) + x3 + math.log(x4)) / 5
    y3 = (x1 + y2 + y1 + x2 * x2 + x3 * x4) / 5
    return {"scheme-one": ([x1, x2], [x1 + x2]), "mixed": ([x1, x2, x3, x4], [y1, y2, y3])}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_coordinate_follows_the_formulas(name):
    first = np.array([[-1.0, -0.3], [0.0, 0.7], [1.0, -0.999]])
    inputs, outputs = find_scheme(name).tokens(first)
    assert inputs.shape == (3, SCHEMES[name].inputs, 2)
    assert outputs.shape == (3, SCHEMES[name].outputs, 2)
    for point in range(3):
        for coordinate in range(2):
            wanted = by_hand(first[point, coordinate])[name]
            assert inputs[point, :, coordinate] == pytest.approx(wanted[0], rel=1e-14)
            assert outputs[point, :, coordinate] == pytest.approx(wanted[1], rel=1e-14)


def test_samples_are_uniform_and_repeat():
    inputs, _ = find_scheme("scheme-one").sample(20_000, 3, 5)
    first = inputs[:, 0]
    assert first.dtype == torch.float64
    assert -1 <= float(first.min()) < -0.999 and 0.999 < float(first.max()) <= 1
    assert torch.allclose(first.var(dim=0), torch.tensor(1 / 3, dtype=torch.float64), atol=0.01)
    assert abs(float(torch.corrcoef(first.T)[0, 1])) < 0.03
    assert torch.equal(inputs, find_scheme("scheme-one").sample(20_000, 3, 5)[0])
    assert not torch.equal(inputs, find_scheme("scheme-one").sample(20_000, 3, 6)[0])


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    find_scheme("mixed").sample(3, 2, 0)
    assert torch.equal(torch.rand(2), wanted)


def test_classes_are_the_nearest_points_of_the_diagonal():
    _, outputs = find_scheme("mixed").sample(500, 4, 0)
    labels = torch.from_numpy(diagonal(5))[:, None].expand(5, 4).contiguous()
    nearest = torch.cdist(outputs.flatten(0, 1), labels).argmin(dim=1).view(500, 3)
    assert torch.equal(classify(outputs, 5), nearest)


@pytest.mark.parametrize(("d", "share"), [(4, 0.29), (32, 0.71), (256, 0.997)])
def test_the_middle_class_has_the_shares_of_the_released_code(d, share):
    _, outputs = find_scheme("scheme-one").sample(10_000, d, 1)
    counts = torch.bincount(classify(outputs, 5).flatten(), minlength=5)
    assert int(counts.argmax()) == 2
    assert int(counts.max()) / 10_000 == pytest.approx(share, abs=0.015)


def test_streams_differ_by_seed_and_purpose():
    seeds = {stream(s, name, k) for s in (0, 1) for name in ("batch", "test") for k in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream(1, "batch", 2) == stream(1, "batch", 2)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_formulas_of_the_theory_are_the_same(name):
    """Training data and certified targets: what is written in two languages means one thing."""
    scheme = find_scheme(name)
    third = "2*ln(2+t^3)+t/10"
    texts = ("t^3", "t", third, f"exp(t)+{third}")[: scheme.inputs]
    t = np.linspace(-0.9, 0.9, 7)
    inputs, outputs = scheme.tokens((t**3).reshape(-1, 1))
    for number in range(scheme.outputs):
        target = target_along(name, texts, number)
        assert np.allclose(values(target, t), outputs[:, number, 0], rtol=1e-13, atol=1e-13)
    for number, text in enumerate(texts):
        token = target_along(f"x{number + 1}", texts, 0)
        assert np.allclose(values(token, t), inputs[:, number, 0], rtol=1e-13, atol=1e-13), text


def test_unknown_schemes_are_refused():
    with pytest.raises(BadRequest, match="no data scheme 'two'; choose one of scheme-one, mixed"):
        find_scheme("two")
