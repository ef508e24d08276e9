"""Enclosures of Jacobians against exact ones, and operator norms against known ones."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from certify.domains import jacobian
from certify.domains.adjoint import Trace
from certify.domains.bottlenecks import Block
from certify.domains.defects import through, tube
from certify.domains.sensitivity import block_jacobian
from certify.domains.taylor import Taylor, TaylorModel
from certify.graph import Affine, Builder
from theory.functions import FUNCTIONS

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=max(1, settings().max_examples // 4))
ROWS, WIDTH = 2, 3


@pytest.fixture(autouse=True)
def precise():
    """Difference quotients of the reference need many digits, whatever other tests leave."""
    with mpmath.mp.workprec(400):
        yield


def attention(b, x, rng):
    q, k, v = (b.affine(x, weight=rng.normal(size=(WIDTH, WIDTH))) for _ in range(3))
    turned = b.gather(k, np.arange(ROWS * WIDTH).reshape(ROWS, WIDTH).T)
    scores = b.apply(FUNCTIONS["exp"], b.affine(b.matmul(q, turned), divisor=-7.0))
    return b.add(x, b.matmul(scores, v))


def feed(b, x, rng):
    h = b.apply(FUNCTIONS["gelu"], b.affine(x, weight=rng.normal(size=(4, WIDTH))))
    return b.add(x, b.affine(h, weight=rng.normal(size=(WIDTH, 4)), scale=[0.5, -2.0, 1.0]))


def scaled(b, x, rng):
    centered = b.affine(x, weight=np.eye(WIDTH) - 1 / 4, bias=rng.normal(size=WIDTH))
    size = b.affine(b.apply(FUNCTIONS["square"], centered), weight=np.ones((1, WIDTH)), bias=[0.1])
    return b.scale_rows(centered, b.apply(FUNCTIONS["rsqrt"], size))


def mixed(b, x, rng):
    c = b.constant(rng.normal(size=(ROWS, WIDTH)))
    picked = b.gather(x, np.array([[0, 4, -1], [2, 2, 5]]))
    return b.add(b.multiply(b.apply(FUNCTIONS["relu"], picked), x), b.multiply(c, x))


PARTS = {"attention": attention, "feed": feed, "scaled": scaled, "mixed": mixed}


def exact(ref, graph, point):
    """The Jacobian at a point, by differences at 400 bits: (entries, inputs) of mpf."""
    step = mpf(2) ** -180

    def value(x):
        out = [x]
        for node in graph.nodes:
            out.append(ref.primitive(node.primitive, [out[i] for i in node.inputs]))
        return out[graph.outputs["model"]].reshape(-1)

    columns = []
    for i in range(len(point)):
        moved = [np.array(point, dtype=object) for _ in range(2)]
        moved[0][i] += step
        moved[1][i] -= step
        up, down = (value(m.reshape(ROWS, WIDTH)) for m in moved)
        columns.append([(p - q) / (2 * step) for p, q in zip(up, down, strict=True)])
    return [[columns[i][e] for i in range(len(point))] for e in range(len(columns[0]))]


def norm(matrix):
    return (
        mpmath.norm(mpmath.matrix(matrix), 2)
        if len(matrix) == 1
        else max(mpmath.svd_r(mpmath.matrix(matrix), compute_uv=False))
    )


@pytest.mark.parametrize("name", PARTS)
@given(SEEDS, st.sampled_from([0.0, 1e-6, 1e-2]))
@FEW
def test_blocks(ref, name, seed, radius):
    rng = np.random.default_rng(seed)
    b = Builder((ROWS, WIDTH))
    graph = b.graph(model=PARTS[name](b, 0, rng))
    part = Block(0, graph.outputs["model"], tuple(range(1, len(graph.nodes) + 1)))
    middle = rng.normal(size=(ROWS, WIDTH))
    coef = torch.zeros((3, 1, ROWS, WIDTH), dtype=torch.float64)
    coef[0, 0] = torch.from_numpy(middle)
    rem = torch.full((1, ROWS, WIDTH), radius, dtype=torch.float64)
    start = tube(Taylor(2), TaylorModel(coef, rem, rem, rem, rem), rem)
    trace = Trace(2, Taylor(2))
    through(graph, part, start, Taylor(2), trace.note)
    j = jacobian.spread(block_jacobian(graph, part, trace, start), ROWS)
    assert j.center.shape == (1, ROWS, WIDTH, ROWS, WIDTH)
    for place in (np.ones((ROWS, WIDTH)), rng.choice([-1.0, 1.0], (ROWS, WIDTH))):
        point = [mpf(float(m)) + mpf(radius) * int(s)
                 for m, s in zip(middle.reshape(-1), place.reshape(-1), strict=True)]  # fmt: skip
        true = exact(ref, graph, point)
        for r in range(ROWS):
            for g in range(ROWS):
                off = [[true[r * WIDTH + e][g * WIDTH + k] - mpf(float(j.center[0, r, e, g, k]))
                        for k in range(WIDTH)] for e in range(WIDTH)]  # fmt: skip
                # differences are exact to about 2**-200; balls are that of roundings, or 0
                slack = mpf(2) ** -150
                assert norm(off) <= mpf(float(j.row[0, r, g])) + slack
                for e in range(WIDTH):
                    assert norm([off[e]]) <= mpf(float(j.entry[0, r, e, g])) + slack


def test_balls_are_not_larger_than_needed(ref):
    """Radius 0 leaves roundings alone; and independent rows stay apart."""
    rng = np.random.default_rng(0)
    b = Builder((ROWS, WIDTH))
    graph = b.graph(model=feed(b, 0, rng))
    part = Block(0, graph.outputs["model"], tuple(range(1, len(graph.nodes) + 1)))
    zero = torch.zeros((1, ROWS, WIDTH), dtype=torch.float64)
    start = tube(
        Taylor(2), TaylorModel(zero.expand(3, 1, ROWS, WIDTH), zero, zero, zero, zero), zero
    )
    trace = Trace(2, Taylor(2))
    through(graph, part, start, Taylor(2), trace.note)
    j = block_jacobian(graph, part, trace, start)
    assert j.owner.tolist() == [0, 1] and float(j.row.max()) < 1e-12


def test_roundings_of_a_product_that_cancels():
    """Large terms cancel in W C: the ball must hold the rounding of the terms, not of the sum."""
    rng = np.random.default_rng(1)
    first = rng.normal(size=(60, 3))
    weight = np.concatenate([first[:59].T @ first[:59], rng.normal(size=(3, 57))], 1)
    weight[:, 3:] *= 1e8
    center = np.concatenate([first[:30], first[:30]])
    weight = np.concatenate([weight[:, :30], -weight[:, :30]], 1)
    zero = torch.zeros((1, 1, 60, 1), dtype=torch.float64)
    x = jacobian.Jacobian(
        torch.from_numpy(center).reshape(1, 1, 60, 1, 3), zero, zero[..., 0, :], np.array([0])
    )
    w = weight
    out = jacobian.affine(Affine(weight=w), x)
    for i in range(3):
        exact = [
            sum(Fraction(w[i, j]) * Fraction(center[j, k]) for j in range(60)) for k in range(3)
        ]
        got = out.center[0, 0, i, 0].tolist()
        off = sum((Fraction(a) - b) ** 2 for a, b in zip(got, exact, strict=True))
        assert off <= Fraction(float(out.entry[0, 0, i, 0])) ** 2


@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.sampled_from([1.0, 1e-20, 1e25, 1e200]))
def test_operator_norm(seed, d, m, size):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(2, d, m))
    found = [
        bound / size for bound in jacobian.operator_norm(torch.from_numpy(matrix * size)).tolist()
    ]
    for one, bound in zip(matrix, found, strict=True):
        least = max(np.linalg.norm(one @ v) / np.linalg.norm(v)
                    for v in [*np.linalg.svd(one)[2], *rng.normal(size=(3, m))])  # fmt: skip
        assert least * (1 - 1e-13) <= bound
        if size < 1e30:  # the Frobenius norm elsewhere
            assert bound <= least * 6 ** (1 / 32) * 1.001


def test_operator_norms_that_are_known():
    hadamard = torch.ones((1, 1), dtype=torch.float64)
    for _ in range(4):
        hadamard = torch.cat(
            [torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)]
        )
    ones = torch.ones((16, 16), dtype=torch.float64)
    found = jacobian.operator_norm(torch.stack([hadamard, ones, 0 * ones])).tolist()
    assert 4 <= found[0] <= 4 * 16 ** (1 / 32) and 16 <= found[1] <= 16 * (1 + 1e-9)
    assert 0 <= found[2] < 1e-100
    assert jacobian.operator_norm(ones.reshape(1, 16, 16) * math.inf).tolist() == [math.inf]
