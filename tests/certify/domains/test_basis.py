"""The monomials and how they multiply: every kept pair exactly once."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch

from certify.domains.basis import Basis, add_product, exponents, plan

BASES = [(1, 0), (1, 5), (2, 0), (2, 1), (2, 4), (2, 7), (3, 3), (3, 5), (4, 4), (6, 2), (9, 1)]


def everything(variables, order):
    """All exponents up to a total degree, by brute force."""
    found = itertools.product(range(order + 1), repeat=variables)
    return {a for a in found if sum(a) <= order}


@pytest.mark.parametrize(("variables", "order"), BASES)
def test_numbers(variables, order):
    """Every monomial once, by degree, the same numbers in a higher order; t_i is number 1 + i."""
    basis, found = Basis(variables, order), exponents(variables, order)
    if variables * order <= 15:
        assert set(found) == everything(variables, order)
    assert len(set(found)) == len(found) == basis.count()
    assert [sum(a) for a in found] == sorted(sum(a) for a in found)
    assert exponents(variables, order + 1)[: len(found)] == found
    assert basis.count(-1) == 0 and basis.count(0) == 1
    for degree in range(order + 1):
        assert {sum(a) for a in found[basis.degrees(degree)]} == {degree}
        assert len(found[: basis.count(degree)]) == sum(sum(a) <= degree for a in found)
    if order:
        for i, a in enumerate(found[basis.degrees(1)]):
            assert a == tuple(int(k == i) for k in range(variables))
    if variables == 1:
        assert found == tuple((k,) for k in range(order + 1))


@pytest.mark.parametrize(("variables", "order"), BASES)
def test_even_and_odd_part_all_but_the_constant(variables, order):
    basis = Basis(variables, order)
    number = torch.arange(basis.count())
    even, odd = number[basis.even()].tolist(), number[basis.odd()].tolist()
    assert sorted(even + odd) == list(range(1, basis.count()))
    for i, a in enumerate(exponents(variables, order)):
        assert (i in even) == (i > 0 and all(e % 2 == 0 for e in a))


@pytest.mark.parametrize(("variables", "order"), BASES)
def test_terms_is_the_largest_number_of_pairs(variables, order):
    """In `up` and `gamma` it must not be less; more would only be wide."""
    pairs = Counter()
    if variables * order > 20:
        return
    for a, b in itertools.product(exponents(variables, order), repeat=2):
        if sum(a) + sum(b) <= order:
            pairs[tuple(map(sum, zip(a, b, strict=True)))] += 1
    assert max(pairs.values()) == Basis(variables, order).terms


def pairs_of(variables, left, least, right, keep):
    """(number of the left factor, of the right one, of the product), as the plan has them."""
    number = torch.arange(Basis(variables, keep).count())
    for step in plan(variables, left, least, right, keep):
        where = number[step.where].tolist()
        many = range(step.first, step.end)
        for other, product in zip(many, where, strict=True):
            pair = (other, step.one) if step.right else (step.one, other)
            yield (*pair, product)


@pytest.mark.parametrize("variables", [1, 2, 3])
@pytest.mark.parametrize(
    ("left", "least", "right", "keep"),
    [(4, 0, 4, 4), (0, 1, 4, 2), (1, 1, 4, 3), (3, 1, 4, 4), (4, 1, 3, 4), (0, 0, 0, 0),
     (2, 2, 5, 5),
     (5, 0, 1, 5), (1, 0, 5, 5), (3, 3, 3, 5)],
)  # fmt: skip
def test_a_plan_multiplies_every_kept_pair_once(variables, left, least, right, keep):
    found = exponents(variables, max(left, right, keep))
    number = {a: i for i, a in enumerate(found)}
    wanted = Counter()
    for (i, a), (j, b) in itertools.product(enumerate(found), repeat=2):
        kept = sum(a) <= left and least <= sum(b) <= right and sum(a) + sum(b) <= keep
        if kept:
            wanted[i, j, number[tuple(map(sum, zip(a, b, strict=True)))]] += 1
    assert Counter(pairs_of(variables, left, least, right, keep)) == wanted


def test_a_step_adds_to_what_is_there():
    """Also where its places are not neighbors."""
    basis = Basis(2, 4)
    a = torch.arange(1.0, basis.count() + 1).double().unsqueeze(1)
    out = torch.ones_like(a)
    steps = plan(2, 4, 0, 4, 4)
    assert {isinstance(step.where, slice) for step in steps} == {True, False}
    for step in steps:
        add_product(out, step, a, 2 * a)
    found = exponents(2, 4)
    for c, g in zip(out[:, 0].tolist(), found, strict=True):
        pairs = (
            2.0 * (i + 1) * (j + 1)
            for (i, p), (j, q) in itertools.product(enumerate(found), repeat=2)
            if tuple(map(sum, zip(p, q, strict=True))) == g
        )
        assert c == 1 + sum(pairs)
