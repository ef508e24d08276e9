"""The self-test passes here, and each of its tests fails when its promise is broken on purpose."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from certify import selftest
from certify.cli import app
from certify.domains import tables

FAST = [name for name in selftest.TESTS if name not in ("proofs", "matrix products")]


def run(name):
    return selftest.TESTS[name][1](random.Random(1))


@pytest.mark.parametrize("name", selftest.TESTS)
def test_it_passes_here(name):
    passed, says = run(name)
    assert passed and says


@pytest.mark.parametrize("name", ["exp", "log", "sqrt"])
@pytest.mark.parametrize("off", [3, -3])
def test_a_function_off_by_three_units(monkeypatch, name, off):
    true = getattr(torch, name)
    wrong = lambda x: true(x) * (1 + off * 2.0**-52)  # noqa: E731
    monkeypatch.setattr(torch, name, wrong)
    assert not run("roots" if name == "sqrt" else name)[0]


def test_a_function_that_is_wrong_at_one_place_only(monkeypatch):
    """Only the last entry of a vector, as where code for what is left over is wrong."""
    true = torch.exp

    def wrong(x):
        out = true(x).clone()
        if out.ndim:
            out[-1] *= 1 + 2.0**-49
        return out

    monkeypatch.setattr(torch, "exp", wrong)
    passed, says = run("exp")
    assert not passed and "ulp" in says


@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00])  # down, up, to zero, on x86
def test_another_rounding_mode(mode):
    libm = ctypes.CDLL(None)
    if libm.fesetround(mode):
        pytest.skip("this processor has other numbers for its rounding modes")
    try:
        passed, _ = run("rounding")
    finally:
        libm.fesetround(0)
    assert not passed


def test_small_numbers_flushed_to_zero():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        passed, says = run("small numbers")
    finally:
        torch.set_flush_denormal(False)
    assert not passed and "product" in says


def test_a_table_that_is_wrong(monkeypatch):
    true = tables.expand

    def wrong(table, order, at):
        a, first, rest = true(table, order, at)
        return a + 1e-9, first, rest

    monkeypatch.setattr(tables, "expand", wrong)
    assert not run("tables")[0]


def single(a, b):
    return (a.float() @ b.float()).double()


def test_products_in_float32(monkeypatch):
    monkeypatch.setattr(torch, "einsum", lambda form, a, b: single(a, b))
    passed, says = run("matrix products")
    assert not passed and "einsum" in says


def test_a_checker_that_accepts_everything(monkeypatch):
    import certify.checker.check as checker

    def blind(certificate, jobs):
        return checker.Result(True, "", 1, 1, checker.Counter(), 0.0)

    monkeypatch.setattr(checker, "verify", blind)
    passed, says = run("proofs")
    assert not passed and says == "[True, True]"


def test_a_test_that_breaks_off_has_failed(monkeypatch):
    def broken(rng):
        raise RuntimeError("no BLAS")

    monkeypatch.setattr(selftest, "TESTS", {"one": ("BLAS", broken)})
    (result,) = selftest.selftest()
    assert not result.passed and "no BLAS" in selftest.line(result)


def test_on_the_command_line(monkeypatch):
    kept = {name: selftest.TESTS[name] for name in FAST}
    monkeypatch.setattr(selftest, "TESTS", kept)
    good = CliRunner().invoke(app, ["selftest"])
    assert good.exit_code == 0 and good.output.count("PASSED") == len(FAST)
    monkeypatch.setattr(selftest, "TESTS", kept | {"BLAS": ("BLAS", lambda rng: (False, "no"))})
    bad = CliRunner().invoke(app, ["selftest"])
    assert bad.exit_code == 5 and "FAILED      BLAS: no" in bad.output
    assert "OMP_NUM_THREADS=1" in bad.output and "certify verify" in bad.output


def test_nearest_is_the_rounding_of_float64():
    """Python's own quotient of integers against numpy's correctly rounded division."""
    a, b = np.arange(1.0, 200), np.arange(3.0, 202)
    exact = [selftest.nearest(selftest.Fraction(int(p), int(q))) for p, q in zip(a, b, strict=True)]
    assert exact == (a / b).tolist()
