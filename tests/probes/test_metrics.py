"""Metrics against their definitions, written out."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from probes import metrics
from probes.metrics import Contradiction, classification, failed, regression, sample_floor
from probes.schemes import find_scheme
from theory.errors import BadRequest


def labels(count=60, d=3, tokens=2):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, tokens, d)))


def failed_by_loops(found, wanted):
    def distance(k, i, j):
        return sum((a - b) ** 2 for a, b in zip(found[i, k], wanted[j, k], strict=True))

    count = len(wanted)
    return [
        [
            any(distance(k, i, j) < distance(k, i, i) for j in range(count) if j != i)
            for k in range(wanted.shape[1])
        ]
        for i in range(len(found))
    ]


@pytest.mark.parametrize("chunk", [1, 200, 2**22])
def test_failures_are_counted_by_definition(chunk, monkeypatch):
    monkeypatch.setattr(metrics, "DISTANCES", chunk)
    wanted = labels()
    found = wanted + 0.5 * labels().flip(0)
    result = failed(found, wanted)
    assert result.tolist() == failed_by_loops(found.numpy(), wanted.numpy())
    assert 0 < result.double().mean() < 1
    assert torch.equal(failed(found[:20], wanted), result[:20])


def test_near_ties_far_from_zero_are_decided_exactly():
    # At 1e8, |p|^2 - 2 p.y + |y|^2 is off by about 1; the distances here are 1e-3.
    base = torch.full((4, 1, 2), 1e8, dtype=torch.float64)
    wanted = base + 1e-3 * torch.arange(4, dtype=torch.float64)[:, None, None]
    right = wanted + 4e-4
    assert not failed(right, wanted).any()
    assert failed(wanted + 6e-4, wanted)[:, 0].tolist() == [True, True, True, False]


def test_a_tie_is_no_failure():
    wanted = torch.tensor([[[0.0]], [[2.0]]], dtype=torch.float64)
    assert not failed(torch.ones_like(wanted), wanted).any()


def test_regression_by_hand():
    wanted = torch.tensor([[[0.0, 0.0]], [[2.0, 4.0]]], dtype=torch.float64)
    found = torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]]], dtype=torch.float64)
    score = regression(found, wanted, obstructed=False)
    assert score.rmse == pytest.approx(math.sqrt((0 + 1 + 0 + 9) / 4))
    assert score.sd == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 4))
    assert score.relative_rmse == pytest.approx(1.0)
    assert score.sup_error == 3
    assert score.constant_sup_error == 2
    assert score.failure_rate == 0.5  # (2, 1) is nearer to (0, 0) than to (2, 4)
    assert score.constant_failure_rate == 0.5
    assert score.floor is None


def test_the_best_constant_has_relative_error_one_and_always_fails_but_once():
    _, wanted = find_scheme("mixed").sample(500, 4, 0)
    mean = wanted.mean(dim=0).expand_as(wanted)
    score = regression(mean, wanted, obstructed=False)
    assert score.relative_rmse == pytest.approx(1)
    assert score.failure_rate == pytest.approx(score.constant_failure_rate) == 1 - 1 / 500
    assert [size for size, _ in score.failures] == [100, 500]


def test_the_threshold_is_the_papers_fifty_percent_point():
    for d, wanted in ((2, 0.010), (4, 0.10), (8, 0.33), (32, 1.13)):
        assert metrics.threshold(10_000, d) == pytest.approx(wanted, rel=0.02)
    with pytest.raises(BadRequest, match="N >= 2"):
        metrics.threshold(1, 4)


def test_the_floor_is_that_of_theorem_c3():
    for d, wanted in ((4, 0.5), (8, 0.354), (16, 0.25), (256, 0.0625)):
        assert metrics.relative_floor(d) == pytest.approx(wanted, abs=5e-4)
    _, wanted = find_scheme("scheme-one").sample(50_000, 4, 0)
    sd = float(wanted.std())
    assert sample_floor(wanted) / sd == pytest.approx(0.5, abs=0.01)


def test_no_layernorm_readout_passes_the_sample_floor():
    # The best affine map onto the hyperplane of LayerNorm: everything but the mean kept.
    _, wanted = find_scheme("scheme-one").sample(2000, 4, 0)
    kept = functional.layer_norm(wanted, (4,)) * wanted.std(dim=-1, correction=0, keepdim=True)
    score = regression(kept, wanted, obstructed=True)
    assert sample_floor(wanted) <= score.rmse < 1.1 * sample_floor(wanted)
    assert score.floor == 0.5
    with pytest.raises(Contradiction, match="theorem C3 allows no less"):
        regression(wanted + 0.1, wanted, obstructed=True)
    assert regression(wanted + 0.1, wanted, obstructed=False).rmse == pytest.approx(0.1)


def test_classification_by_hand():
    scores = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]], [[0.0, 1.0]], [[3.0, 2.0]]])
    classes = torch.tensor([[1], [1], [1], [0]])
    score = classification(scores, classes)
    assert (score.accuracy, score.constant_accuracy) == (0.75, 0.75)
