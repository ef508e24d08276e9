"""Every statement proves, none of its mutants does, and closed forms agree with brute force."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import theory.kernel as kernel
from theory.floors import (
    LIPSCHITZ,
    POWER,
    VARIANCES,
    exponent,
    layernorm_floor,
    lipschitz,
    lipschitz_floor,
)
from theory.kernel import Bounded, Cited, Entails, Identity, Integral, Limit, Witness
from theory.numbers import Number
from theory.resolution import ROWS, delta_star, eps
from theory.solvers import second_opinion
from theory.targets import TARGETS
from theory.theorem import Status, all_theorems, find_theorem, ordered, prove, prove_all, theorem
from theory.theorems.e_smooth import smoothness
from theory.theorems.f_paper import GRAPH

LABELS = list(all_theorems())
NAMED = ("A1", "A1'", "A1-dual", "A2-sup", "A2-one", "A2-two", "A2-log-concave",
                  "A3", "A3-Lp-lower", "A3-Lp-upper", "A4", "B1", "B1-cbrt",
         "B1-sqrt", "C0", "C1", "C2", "C3", "C5", "D1", "D3", "Yun-1", "Yun-2", "Yun-3", "Size",
         "P1", "P2", "P3")  # fmt: skip


@pytest.fixture(scope="module")
def proofs():
    return {proof.theorem.label: proof for proof in prove_all()}


def test_there_are_the_statements_one_expects():
    assert len(LABELS) >= 30 and set(NAMED) <= set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_every_step_holds(proofs, label):
    proof = proofs[label]
    for step, outcome in proof.outcomes:
        assert outcome.holds or isinstance(step, Cited), (step.says, outcome.shown)
    assert proof.status not in (Status.OPEN, Status.FAILED)


@pytest.mark.parametrize("label", LABELS)
def test_no_mutant_proves(label):
    """Dropped hypotheses, other constants, other signs; every statement that proves something
    has some."""
    steps = all_theorems()[label].steps()
    mutants = [mutant for step in steps for mutant in step.mutants()]
    for step in steps:
        if isinstance(step, Identity):
            assert step.at or sp.sympify(step.left) != sp.sympify(step.right), "true as written"
    for mutant in mutants:
        assert mutant.check().holds is not True, mutant.says
    assert mutants or all(isinstance(step, Cited) for step in steps)


def test_status_is_computed(proofs):
    status = {label: proof.status for label, proof in proofs.items()}
    assert status["A1"] is status["C3"] is Status.PROVED
    assert status["Yun-1"] is status["Size"] is status["D1"] is Status.CONDITIONAL
    assert status["P1"] is Status.REFUTED
    assert status["P2"] is status["P3"] is Status.PER_MODEL


@pytest.mark.parametrize("label", LABELS)
def test_statements_are_written_down(label):
    statement = all_theorems()[label]
    assert statement.title and len(statement.proof) > 5
    assert statement.statement.count("$") % 2 == 0 and statement.proof.count("$") % 2 == 0
    for use in statement.uses:
        assert LABELS.index(use) < LABELS.index(label)


def test_nothing_follows_from_what_is_false_or_undecided():
    proof = find_theorem("A1")
    for status in (Status.REFUTED, Status.PER_MODEL):
        assert prove(replace(proof, uses=("P",)), {"P": status}).status is Status.OPEN


def test_a_circle_a_gap_and_a_second_label_are_refused():
    one = all_theorems()["A1"]
    for statements in ({"a": replace(one, uses=("b",)), "b": replace(one, uses=("a",))},
                       {"a": replace(one, uses=("none",))}):  # fmt: skip
        with pytest.raises(ValueError, match="statements that"):
            ordered(statements)
    with pytest.raises(ValueError, match="is taken"):
        theorem("A1", "t", "s", proof="p")(tuple)
    assert find_theorem("a1") is one


# Closed forms against brute force on a grid.


def function(expression):
    return sp.lambdify(sp.Symbol("x", real=True), expression, ["numpy", {"sign": np.sign}])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.target}{row.domain}")
@pytest.mark.parametrize("accuracy", [0.02, 0.1])
def test_delta_star_by_sliding_windows(row, accuracy):
    """The largest variation of any window of width delta* on a fine grid is 2 eps."""
    width = float(row.width.subs(eps, sp.Rational(str(accuracy))))
    lo, hi = row.domain
    values = function(TARGETS[row.target].expression)
    start = np.linspace(lo, hi - width, 200_001)
    rise = values(start + width) - values(start)
    assert math.isclose(rise.max(), 2 * accuracy, rel_tol=1e-3)
    assert rise.max() <= 2 * accuracy * (1 + 1e-9)
    assert delta_star(row.target, row.domain) == row.width


@pytest.mark.parametrize("name", VARIANCES)
def test_variances_by_sums(name):
    """A million midpoints of [-1, 1]."""
    t = (np.arange(1_000_000) + 0.5) / 500_000 - 1
    values = function(TARGETS[name].expression)(t)
    assert math.isclose(values.var(), float(VARIANCES[name]), rel_tol=1e-6)
    floor = Number("", layernorm_floor(name, 4)).enclosure
    assert abs(float(floor) - values.std() / 2) < 1e-6 * values.std()


@pytest.mark.parametrize(("target", "domain"), LIPSCHITZ)
@pytest.mark.parametrize("factor", [1, 5])
def test_lipschitz_limits_on_a_grid(target, domain, factor):
    bound = LIPSCHITZ[target, domain][1] * factor
    t = np.linspace(*domain, 2001)
    values = function(TARGETS[target].expression)(t)
    gain = np.abs(values[:, None] - values) - float(bound) * np.abs(t[:, None] - t)
    closed = float(lipschitz_floor(target, domain, bound))
    assert closed * 0.998 <= gain.max() / 2 <= closed * (1 + 1e-12)
    assert lipschitz_floor(target, domain, bound / (2 * factor)) is None


@pytest.mark.parametrize(("power", "bound"), [(0.25, 0.3), (0.5, 2.0), (0.8, 0.9)])
def test_lipschitz_limits_of_powers_on_a_grid(power, bound):
    z = np.linspace(0, 1, 2_000_001)
    gain = (z**power - bound * z).max() / 2
    closed = float(POWER.subs({exponent: power, lipschitz: bound}))
    assert math.isclose(gain, closed, rel_tol=1e-5) and gain <= closed * (1 + 1e-12)


@pytest.mark.parametrize("accuracy", [0.05, 0.5])
def test_resolution_of_x_plus_cbrt_by_sliding_windows(accuracy):
    t = np.roots([1, 0, 1, -accuracy])
    t = float(t[np.abs(t.imag) < 1e-12].real[0])
    width = 2 * (accuracy - t)
    start = np.linspace(-1, 1 - width, 400_001)
    rise = (start + width + np.cbrt(start + width)) - (start + np.cbrt(start))
    assert math.isclose(rise.max(), 2 * accuracy, rel_tol=1e-4)


def test_softmax_and_margins_by_sampling():
    """L3, L8 and L9 at random scores, and L8 where it is attained."""
    rng = np.random.default_rng(0)

    def softmax(s):
        e = np.exp(s - s.max())
        return e / e.sum()

    for _ in range(2000):
        s, change = rng.normal(size=5) * 3, rng.normal(size=5)
        p, moved = softmax(s), softmax(s + change)
        assert np.abs(p - moved).sum() / 2 <= math.tanh(np.ptp(change) / 4) + 1e-15
        assert np.linalg.norm(np.diag(p) - np.outer(p, p), 2) <= 0.5 + 1e-15
        top = np.sort(s)
        assert 1 - p.max() <= 4 * math.exp(top[-2] - top[-1]) + 1e-15
    tv = abs(softmax(np.array([0.5, 0.0])) - softmax(np.array([-0.5, 0.0])))[0]
    assert math.isclose(tv, math.tanh(1 / 4), rel_tol=1e-12)


def test_best_constants_for_exp_by_search():
    """p = 1 and 2 on [0.3, 0.8]: sums over a fine grid, minimized over constants."""
    a, w = 0.3, 0.5
    values = np.exp(a + w * (np.arange(20_000) + 0.5) / 20_000)
    c = np.linspace(values[0], values[-1], 2001)[:, None]
    one = w * np.abs(values - c).mean(1).min()
    two = w * ((values - c) ** 2).mean(1).min()
    assert math.isclose(one, math.exp(a) * (math.exp(w / 2) - 1) ** 2, rel_tol=1e-4)
    closed = math.exp(2 * a) * ((math.exp(2 * w) - 1) / 2 - (math.exp(w) - 1) ** 2 / w)
    assert math.isclose(two, closed, rel_tol=1e-4)


@pytest.mark.parametrize("rate", [-3.0, 0.0, 0.4, 8.0])
def test_best_constants_for_exponential_slopes_by_search(rate):
    """A2-log-concave: the first error is the bound here, the second at least; equal for a line."""
    w = 0.7
    x = 0.2 + w * (np.arange(40_000) + 0.5) / 40_000
    slope = np.exp(rate * x)
    values = slope / rate if rate else x
    one = w * np.abs(values - np.median(values)).mean()
    two = w * values.var()
    bounds = (w * np.sqrt(slope).mean()) ** 2 / 4, (w * (slope ** (2 / 3)).mean()) ** 3 / 12
    assert math.isclose(one, bounds[0], rel_tol=1e-6)
    assert two >= bounds[1] * (1 - 1e-6) and (rate or math.isclose(two, bounds[1], rel_tol=1e-6))
    assert rate or math.isclose(one, w**2 / 4, rel_tol=1e-6)


def errors_over_bounds(logarithm):
    """Of the best constants on [-1, 1], p = 1 and 2, over those of A2-log-concave."""
    slope = np.exp(logarithm)
    values = np.cumsum(slope) - slope / 2
    values *= 2 / len(slope)
    one, two = 2 * np.abs(values - np.median(values)).mean(), 2 * values.var()
    return (one / ((2 * np.sqrt(slope).mean()) ** 2 / 4),
            two / ((2 * (slope ** (2 / 3)).mean()) ** 3 / 12))  # fmt: skip


def test_best_constants_for_log_concave_slopes_by_search():
    """Logarithms that are the least of some lines; convex ones break both bounds."""
    rng = np.random.default_rng(0)
    x = (np.arange(20_000) + 0.5) / 10_000 - 1
    for _ in range(300):
        lines = rng.normal(size=(rng.integers(1, 6), 2, 1)) * rng.choice([0.3, 3, 10])
        ratios = errors_over_bounds((lines[:, 0] * x + lines[:, 1]).min(0))
        assert min(ratios) >= 1 - 1e-5
    assert max(errors_over_bounds(8 * np.abs(x))) < 1


@pytest.mark.parametrize("width", [2, 3, 8])
def test_layernorm_by_differences(width):
    """C0, C1 and L7 at random features: sums, the largest coordinate, the Jacobian's norm."""
    rng = np.random.default_rng(0)
    small, h = 0.1, 1e-6

    def norm(x):
        centered = x - x.mean()
        return centered / math.sqrt((centered**2).mean() + small)

    for _ in range(50):
        x = rng.normal(size=width)
        z, v = norm(x), x.var()
        assert abs(z.sum()) < 1e-12 and abs(z).max() <= math.sqrt(width - 1)
        assert math.isclose((z**2).sum(), width * v / (v + small), rel_tol=1e-12)
        columns = [(norm(x + h * e) - norm(x - h * e)) / (2 * h) for e in np.eye(width)]
        size = np.linalg.norm(np.array(columns), 2) * math.sqrt(v + small)
        assert size <= 1 + 1e-7 and (width == 2 or size >= 1 - 1e-7)


def test_smoothness_of_what_a_graph_applies():
    assert smoothness({"gelu", "exp", "rsqrt", "reciprocal", "square"}) == "analytic"
    assert smoothness({"relu", "exp"}) == "piecewise analytic"


# The kernel.

X = sp.Symbol("x", real=True)
Y = sp.Symbol("y", real=True)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Identity(X + 1, X + 2), "differ by"),
        (Identity((X + Y) ** 2, X**2 + Y**2), "differ by"),
        (Entails((X > 0,), X > 1), "counterexample: x ="),
        (Witness("exp.cert.json.gz", "exp(x)", sp.Rational(1, 100), "0" * 64), "another model"),
        (Bounded(sp.exp(X), (0, 1), hi=2), "at x ="),
        (Bounded(sp.sin(X), (0, 3), lo=sp.Rational(1, 2), hi=2), "at x ="),
        (Integral(X, X, (0, 1), sp.Rational(1, 3)), "the integral is"),
        (Limit(sp.sin(X) / X, X, 0, sp.Integer(2)), "the limit is 1"),
        (Witness("exp.cert.json.gz", "exp(x)", sp.Rational(1, 10**4), GRAPH), "within 0.0015"),
        (Witness("exp.cert.json.gz", "sin(x)", sp.Rational(1, 100), GRAPH), "is about"),
    ],
)
def test_false_steps_show_why(step, says):
    outcome = step.check()
    assert outcome.holds is False and says in outcome.shown, outcome.shown


def test_what_is_not_decided_does_not_hold():
    assert Entails((X > 1, X < 0), X > 5).check().holds is None  # nothing satisfies that
    p = sp.Symbol("p", positive=True)
    assert Entails((), p > 0).check().holds is None  # SymPy has decided it
    assert Entails((p > 1,), p > 0).check().holds is None  # Z3 does not know that p is positive
    assert Bounded(sp.exp(X), (3, 0), hi=2).check().holds is None  # no interval
    nowhere = sp.log(-sp.Abs(X) - 1)
    assert Identity(nowhere, 2 * nowhere).check().holds is None  # no place where it is defined
    assert Witness("none.gz", "exp(x)", sp.Integer(1), GRAPH).check().holds is None
    with pytest.raises(TypeError, match="not polynomial"):
        Entails((sp.exp(X) > 2,), X > 0).check()


def test_the_command_line():
    def run(*args):
        command = [sys.executable, "-m", "theory.cli", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    out = run("list")
    assert out.returncode == 0 and "P3" in out.stdout
    out = run("show", "a1", "--latex")
    assert out.returncode == 0 and out.stdout.count(r"\checkmark") == 2
    out = run("show", "D3")
    assert out.returncode == 0 and out.stdout.count("holds") == 4 and "uses A1" in out.stdout
    out = run("prove", "P1")
    assert out.returncode == 0 and out.stdout.startswith("REFUTED      P1")
    out = run("show", "nothing")
    assert out.returncode == 2 and "theory list" in out.stderr
    out = run("resolution", "--target", "exp", "--eps", "0.01", "--d", "4", "--m", "2",
              "--domain", "0", "1")  # fmt: skip
    assert "0.00738479" in out.stdout and "17.3543" in out.stdout and out.returncode == 0
    assert "LayerNorm" not in out.stdout  # whose inputs are uniform on [-1, 1]
    out = run("resolution", "--target", "exp", "--eps", "0.01")
    assert "LayerNorm" in out.stdout and "L1 error     109 to 110" in out.stdout
    for wrong in (("--target", "gelu", "--eps", "0.01"), ("--target", "exp", "--eps", "2"),
                  ("--target", "square", "--eps", "0.7", "--domain", "0", "1"),
                  ("--target", "sqrt", "--eps", "0.6", "--domain", "0", "1")):  # fmt: skip
        out = run("resolution", *wrong)
        assert out.returncode == 2 and "Traceback" not in out.stderr


def test_a_second_solver_is_asked(monkeypatch):
    assert second_opinion("(assert false)(check-sat)") == "unsat"
    assert second_opinion("(declare-const x Real)(assert (> x 1))(check-sat)") == "sat"
    step = Entails((X > 1,), X > 0)
    assert step.check().shown == "Z3 and cvc5"
    monkeypatch.setattr(kernel, "second_opinion", lambda text: "sat")
    assert step.check().holds is None  # two judges that disagree prove nothing
    monkeypatch.setattr(kernel, "second_opinion", lambda text: "")
    assert step.check().shown == "Z3"
