"""Other tools' known failures: each is shown where that tool is installed, and ours is right."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import pickle
import tomllib
import zipfile
from pathlib import Path

import balls
import mpmath
import numpy as np
import pytest
import sympy as sp
import textbook
import torch
from domains import DOMAINS
from enclosed import check
from flint import arb, ctx
from known_models import Exp

import certify
from certify.frontend.target import target_node
from certify.graph import Builder
from certify.options import Options
from certify.report.data import as_data
from certify.run import Limits
from certify.testing import as_model
from theory.claims import Facts, Verdict, decide
from theory.errors import BadRequest, PlateauError
from theory.expressions import parse
from theory.functions import FUNCTIONS

TRAPS = tomllib.loads((Path(__file__).parent / "traps.toml").read_text())["trap"]
BY_NAME = pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap["name"])


def graph_of(trap):
    """The trap's function of t, outputs model, target and difference."""
    b = Builder((1,))
    if trap["graph"] == "softmax":
        n = len(trap["slopes"])
        weight, bias = np.array(trap["slopes"]).reshape(n, 1), np.array(trap["offsets"])
        value = textbook.softmax(b, b.affine(0, weight=weight, bias=bias))
        value = b.gather(value, np.array([0]))
    elif trap["graph"] in FUNCTIONS:
        value = b.apply(FUNCTIONS[trap["graph"]], 0)
    else:
        value = target_node(b, parse(trap["graph"]), 0)
    return textbook.difference(b, value, b.apply(FUNCTIONS["sin"], 0))


def test_every_trap_has_its_provenance():
    for trap in TRAPS:
        assert len(trap["provenance"]) > 20 and trap["tool"] and trap["boxes"], trap["name"]
        assert trap.get("shows") is None or trap["shows"] in SHOWN, trap["name"]
    assert len({trap["name"] for trap in TRAPS}) == len(TRAPS)


@pytest.mark.parametrize("domain", DOMAINS)
@BY_NAME
def test_ours_is_right(trap, domain):
    graph = graph_of(trap)
    for box in trap["boxes"]:
        for part in (0.1, 0.5, 0.9):
            check("traps x domains", graph, [tuple(box)], part, domain)


@BY_NAME
def test_ours_is_of_use(trap):
    """Some domain bounds the first box that holds t no wider than asked."""
    if "width" not in trap:
        return
    graph, t = graph_of(trap), trap["t"]
    (truth,) = balls.at(graph, t)["model"]
    held = [tuple(box) for box in trap["boxes"] if box[0] <= t <= box[1]]
    widths = []
    for box in held:
        for way in DOMAINS.values():
            found = way(graph, [box])
            if found is not None:
                ((lo, hi),) = found[0]["model"]
                assert not balls.outside(truth, lo, hi)
                widths.append(hi - lo)
    assert min(widths) <= trap["width"]


def _naive_softmax():
    with np.errstate(all="ignore"):
        x = np.exp(np.array([950.0, 850.0, -1e6]))
        assert np.isnan(x / x.sum()).any()


def _iv_exp():
    x = 1.4551915228366852e-11
    mpmath.iv.prec = 53
    sign, mantissa, exponent, _ = mpmath.iv.exp(mpmath.iv.mpf(x))._mpi_[1]
    with ctx.workprec(300):
        top = arb((int(mantissa), int(exponent)))
        assert not sign and arb(x).exp() > top, "mpmath has mended iv.exp"


def _wide_ball():
    ball = arb(1e-9).union(arb(1e9))
    assert ball.contains(0)
    assert not (1 / ball).is_finite() and not ball.log().is_finite()


def _wide_tanh():
    assert arb(0, 5).tanh().rad() > 1e4 and not arb(0, 100).tanh().is_finite()


def _wide_erf():
    ball = arb(5, 4.9).erf()  # the values lie in [0.11, 1]
    assert ball.contains(-0.9) and ball.contains(2.9)


def _square_of_a_ball():
    assert (arb(0, 2) ** 2).is_nan()


def _sympy_cbrt():
    assert not sp.cbrt(-1).is_real and isinstance((-1) ** (1 / 3), complex)


def _absolute_tolerance():
    assert np.isclose(1e-9, 0.0)  # whatever is that small would be "constant"


def _relative_tolerance():
    assert np.isclose(1.0, 1.0000000000000002, atol=0.0)


SHOWN = {
    "naive_softmax": _naive_softmax,
    "iv_exp": _iv_exp,
    "wide_ball": _wide_ball,
    "wide_tanh": _wide_tanh,
    "wide_erf": _wide_erf,
    "square_of_a_ball": _square_of_a_ball,
    "sympy_cbrt": _sympy_cbrt,
    "absolute_tolerance": _absolute_tolerance,
    "relative_tolerance": _relative_tolerance,
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_other_tool_fails(name):
    SHOWN[name]()


# Traps that are no enclosures: verdicts, files, texts.


def test_verdicts_have_no_tolerance():
    """A sup error of 2e-9 is not within 1e-9, and a variation of 1e-12 is not 0."""
    sup = Facts((2e-9, 2e-9), (1.0, 1.0), [(1e-12, 1e-12)], [(1.0, 1.0)])
    assert decide("within", {"bound": 1e-9}, sup) is Verdict.REFUTED
    assert decide("constant-up-to", {"bound": 0.0}, sup) is Verdict.REFUTED
    assert decide("within", {"bound": 2e-9}, sup) is Verdict.PROVED


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore")
def test_pickles_in_archives_are_not_executed(tmp_path, tiny_module):
    """torch.load of a file with weights_only=False runs what is in it; ours reads data."""
    mark, plain = tmp_path / "executed", tmp_path / "weights.pt"
    plain.write_bytes(pickle.dumps(Bomb(mark)))
    with contextlib.suppress(RuntimeError):  # torch complains when the code has run
        torch.load(plain, weights_only=False)
    assert mark.exists()
    mark.unlink()
    path = tmp_path / "model.pt"
    certify.export(tiny_module, torch.zeros(1, 1), path)
    loaded = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(loaded, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, pickle.dumps(Bomb(mark)) if "sample_inputs" in name else data)
    with contextlib.suppress(Exception):
        torch.export.load(loaded)
    assert mark.exists(), "torch.export.load does not execute pickles any more"
    mark.unlink()
    certify.load(loaded)
    with pytest.raises(PlateauError):
        certify.load(plain)
    assert not mark.exists()


@pytest.fixture
def tiny_module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1)).eval()


@pytest.mark.parametrize("text", [
    "__import__('os').system('true')",
    "open('x')",
    "(lambda: 1)()",
    "x.__class__",
    "exec('1')",
])  # fmt: skip
def test_target_texts_are_not_executed(text, monkeypatch):
    """sympify evaluates its text as Python; ours has a grammar of its own."""
    ran = []
    sp.sympify("f(1)", locals={"f": lambda value: ran.append(value) or sp.Integer(0)})
    assert ran
    names = ("theory.expressions", "theory.functions", "sympy.core.sympify",
             "sympy.parsing.sympy_parser")  # fmt: skip
    for module in map(importlib.import_module, names):  # builtins are the test runner's too
        for name in ("eval", "exec", "compile", "__import__"):
            stop = lambda *a, **k: pytest.fail("text was executed")  # noqa: E731
            monkeypatch.setattr(module, name, stop, raising=False)
    with pytest.raises(BadRequest):
        parse(text)


def test_infinite_bounds_survive_json():
    """json.dumps(inf) is no JSON, and strict writers make null of it; a bound must stay one."""
    assert json.dumps(math.inf) == "Infinity"
    with pytest.raises(ValueError, match="JSON"):
        json.dumps(math.inf, allow_nan=False)
    options = Options(cells=1, domain=(-1e3, 1e3), limits=Limits(budget=0.5))
    report = certify.check(as_model(Exp()), "x", options)
    data = json.loads(json.dumps(as_data(report), allow_nan=False))
    assert data["sup_error"]["hi"] == "inf" and data["sup_error"]["hi_hex"] == "inf"
