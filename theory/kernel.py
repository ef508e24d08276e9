"""How a step of a proof is discharged. A step checks itself; a false one shows its counterexample.

| step | says | discharged by |
|---|---|---|
| Identity | two expressions are equal | exact falsification at rational points, then SymPy |
| Entails | hypotheses imply a conclusion, for all real numbers | Z3, and cvc5 if installed |
| Bounded | lo <= expression <= hi on an interval | Arb, by subdivision |
| Integral | a value | SymPy, after sums of Arb enclosures failed to exclude it |
| Limit | a value | SymPy |
| Cited | taken from the literature | nobody: the theorem becomes conditional |

Each step also knows mutants of itself: near versions that are false. The tests demand that no
mutant proves, so that no step passes by construction and no hypothesis is idle.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import sympy as sp
import z3
from flint import arb, ctx, fmpq

from theory.arb import bounds
from theory.functions import x
from theory.intervals import hull, number
from theory.solvers import second_opinion, to_z3

#: Values tried for free symbols when an identity is to be falsified, by what is assumed of them.
PLACES = [sp.Rational(p, q) for p, q in ((3, 7), (-5, 3), (11, 4), (1, 9), (-2, 5), (17, 6))]
PRECISION = 128
MILLISECONDS = 20_000
PIECES = 20_000  # of an interval, in `Bounded`
STRIPS = 400  # of an interval, in `Integral`


@dataclass(frozen=True)
class Outcome:
    """Whether a step holds (None: not decided, or only cited), and what shows it."""

    holds: bool | None
    shown: str


class Step(Protocol):
    """One step: `says` in words or LaTeX, `check` discharges it, `mutants` must not prove."""

    @property
    def says(self) -> str: ...
    def check(self) -> Outcome: ...
    def mutants(self) -> Iterator[Step]: ...


@dataclass(frozen=True)
class Identity:
    """left == right for all values of the symbols for which both are defined.

    Attributes:
        domains: for a symbol the rational values to try instead of PLACES.
        at: symbols and what they stand for on the left; SymPy would simplify before it is read.
    """

    left: sp.Expr
    right: sp.Expr
    domains: tuple[tuple[sp.Symbol, tuple[Any, ...]], ...] = ()
    at: tuple[tuple[sp.Symbol, Any], ...] = ()

    @property
    def says(self) -> str:
        left = sp.latex(self.left)
        if self.at:
            where = r",\, ".join(f"{sp.latex(s)} = {sp.latex(value)}" for s, value in self.at)
            left = rf"\left. {left} \right|_{{{where}}}"
        return f"{left} = {sp.latex(self.right)}"

    def check(self) -> Outcome:
        left = sp.sympify(self.left).subs(list(self.at)).doit()  # derivatives left to be seen
        right = sp.sympify(self.right)
        symbols = sorted(left.free_symbols | right.free_symbols, key=str)
        given = dict(self.domains)
        tried = 0
        if left == right:
            return Outcome(True, "the same expression")
        choices = list(product(*(given.get(s, _allowed(s)) for s in symbols)))
        random.Random(0).shuffle(choices)  # so that every symbol moves
        for values in choices[:400]:
            place = dict(zip(symbols, values, strict=True))
            sides = _value(left.subs(place)), _value(right.subs(place))
            if None in sides:
                continue
            tried, difference = tried + 1, sides[0] - sides[1]
            if not difference.contains(0):
                return Outcome(False, f"at {place} the sides differ by {difference.str(10)}")
            if tried >= 40:
                break
        if not tried:
            return Outcome(None, "no place was found where both sides are defined")
        for write in (sp.expand, lambda e: e, lambda e: e.rewrite(sp.exp)):
            if sp.simplify(write(left - right)) == 0:
                return Outcome(True, f"SymPy, after {tried} places")
        return Outcome(None, f"true at {tried} places, but SymPy does not simplify the difference")

    def mutants(self) -> Iterator[Identity]:
        yield replace(self, right=self.right * sp.Rational(1001, 1000) + sp.Rational(1, 1000))
        yield replace(self, right=-self.right - 1)


@dataclass(frozen=True)
class Entails:
    """The hypotheses imply the conclusion for all real values: polynomial (in)equalities.

    Attributes:
        hypotheses: SymPy relations; Max and Abs are understood.
        conclusion: a SymPy relation, or And/Or of some.
        sharp: a stronger conclusion that is false, where the constant matters.
    """

    hypotheses: tuple[Any, ...]
    conclusion: Any
    sharp: Any = None

    @property
    def says(self) -> str:
        if not self.hypotheses:
            return sp.latex(self.conclusion)
        first = r",\; ".join(sp.latex(h) for h in self.hypotheses)
        return rf"{first} \;\Longrightarrow\; {sp.latex(self.conclusion)}"

    def check(self) -> Outcome:
        parts = [sp.sympify(part) for part in (*self.hypotheses, self.conclusion)]
        if any(part in (sp.true, sp.false) for part in parts):
            return Outcome(None, "SymPy has decided a part of it already")
        names = set().union(*(part.free_symbols for part in parts))
        plain = all(s.is_positive is s.is_nonnegative is s.is_integer is None for s in names)
        if not plain or len({s.name for s in names}) < len(names):
            return Outcome(None, "only real symbols without other assumptions are understood")
        solver = z3.Solver()
        solver.set("timeout", MILLISECONDS)
        symbols: dict[str, Any] = {}
        for hypothesis in self.hypotheses:
            solver.add(to_z3(hypothesis, symbols))
        if solver.check() != z3.sat:
            return Outcome(None, "the hypotheses are not known to be consistent")
        solver.add(z3.Not(to_z3(self.conclusion, symbols)))
        answer = solver.check()
        if answer == z3.unsat:
            second = second_opinion(solver.to_smt2())
            if second == "sat":
                return Outcome(None, "Z3 says it holds, cvc5 that it does not")
            return Outcome(True, "Z3 and cvc5" if second == "unsat" else "Z3")
        if answer == z3.sat:
            model = solver.model()
            places = ", ".join(f"{n} = {model.eval(s, True)}" for n, s in symbols.items())
            return Outcome(False, f"counterexample: {places}")
        return Outcome(None, f"Z3 gives up ({solver.reason_unknown()})")

    def mutants(self) -> Iterator[Entails]:
        for i in range(len(self.hypotheses)):
            yield replace(self, hypotheses=self.hypotheses[:i] + self.hypotheses[i + 1 :])
        yield replace(self, conclusion=sp.Not(self.conclusion))
        if self.sharp is not None:
            yield replace(self, conclusion=self.sharp)


@dataclass(frozen=True)
class Bounded:
    """lo <= expression <= hi for all x of an interval; sharp to a thousandth of what lies between.

    Attributes:
        expression: in `theory.functions.x`.
        lo, hi: SymPy numbers, or None.
        interval: two rational numbers.
    """

    expression: sp.Expr
    interval: tuple[Any, Any]
    lo: Any = None
    hi: Any = None
    slack: Any = sp.Rational(1, 1000)

    @property
    def says(self) -> str:
        low = "" if self.lo is None else rf"{sp.latex(sp.sympify(self.lo))} \le "
        high = "" if self.hi is None else rf" \le {sp.latex(sp.sympify(self.hi))}"
        a, b = (sp.latex(sp.sympify(end)) for end in self.interval)
        return rf"{low}{sp.latex(self.expression)}{high} \quad (x \in [{a}, {b}])"

    def check(self) -> Outcome:
        with ctx.workprec(PRECISION):
            low, high = (None if end is None else number(sp.sympify(end)) for end in
                         (self.lo, self.hi))  # fmt: skip
            a, b = (Fraction(str(sp.Rational(end))) for end in self.interval)
            if not a < b or (low is None and high is None):
                return Outcome(None, "no interval, or no bound")
            waiting, looked = [(a, b)], 0
            while waiting:
                looked += 1
                if looked > PIECES:
                    return Outcome(None, f"not decided with {PIECES} pieces")
                a, b = waiting.pop()
                least, most = bounds(self.expression, _arb(a), _arb(b))
                if (low is None or least >= low) and (high is None or most <= high):
                    continue
                middle = (a + b) / 2
                value = bounds(self.expression, _arb(middle), _arb(middle))
                if (low is not None and value[1] < low) or (high is not None and value[0] > high):
                    return Outcome(False, f"at x = {middle} it is {value[0].str(12)}")
                waiting += [(middle, b), (a, middle)]
        return Outcome(True, f"Arb, {looked} intervals")

    def mutants(self) -> Iterator[Bounded]:
        lo, hi = (None if end is None else sp.sympify(end) for end in (self.lo, self.hi))
        size = self.slack * (sp.Abs(hi - lo) if lo is not None and hi is not None else 1)
        if lo is None or hi is None:  # one-sided: a sign, which the negative must not have
            yield replace(self, expression=-self.expression)
            return
        yield replace(self, lo=lo + size)
        yield replace(self, hi=hi - size)


@dataclass(frozen=True)
class Integral:
    """The integral of an expression over an interval (SymPy numbers or symbols) has a value."""

    expression: sp.Expr
    variable: sp.Symbol
    interval: tuple[Any, Any]
    value: sp.Expr

    @property
    def says(self) -> str:
        a, b = (sp.latex(sp.sympify(end)) for end in self.interval)
        inner = sp.latex(self.expression)
        if sp.sympify(self.expression).is_Add:
            inner = rf"\left({inner}\right)"
        return rf"\int_{{{a}}}^{{{b}}} {inner}\,d{self.variable} = {sp.latex(self.value)}"

    def check(self) -> Outcome:
        excluded = self._excluded()
        if excluded:
            return Outcome(False, excluded)
        found = sp.integrate(self.expression, (self.variable, *self.interval))
        if found == self.value:
            return Outcome(True, "SymPy, not excluded by Arb")
        return Identity(found, self.value).check()

    def _excluded(self) -> str:
        """Why the value is wrong, at one place of the free symbols: an enclosure of the integral
        by 400 strips does not contain it."""
        free = sp.sympify(self.expression).free_symbols | sp.sympify(self.value).free_symbols
        free |= set().union(*(sp.sympify(end).free_symbols for end in self.interval))
        names = sorted(free - {self.variable}, key=str)
        place = {s: next(v for v in PLACES[i:] + PLACES if v in _allowed(s)) for i, s in
                 enumerate(names)}  # fmt: skip
        inner = sp.sympify(self.expression).subs(place).xreplace({self.variable: x})
        a, b = (_value(sp.sympify(end).subs(place)) for end in self.interval)
        value = _value(sp.sympify(self.value).subs(place))
        if a is None or b is None or value is None:
            return ""
        with ctx.workprec(PRECISION):
            total = arb(0)
            for k in range(STRIPS):
                lo, hi = a + (b - a) * k / STRIPS, a + (b - a) * (k + 1) / STRIPS
                total += hull(*bounds(inner, lo, hi)) * (b - a) / STRIPS
            if total.is_finite() and not total.overlaps(value):
                return f"at {place} the integral is {total.str(6)}, not {value.str(6)}"
        return ""

    def mutants(self) -> Iterator[Integral]:
        yield replace(self, value=self.value * sp.Rational(1001, 1000))
        yield replace(self, value=-self.value - 1)


@dataclass(frozen=True)
class Limit:
    """The limit of an expression, from the right."""

    expression: sp.Expr
    variable: sp.Symbol
    at: Any
    value: sp.Expr

    @property
    def says(self) -> str:
        to = rf"{sp.latex(self.variable)} \to {sp.latex(sp.sympify(self.at))}"
        return rf"\lim_{{{to}}} {sp.latex(self.expression)} = {sp.latex(self.value)}"

    def check(self) -> Outcome:
        found = sp.limit(self.expression, self.variable, self.at, "+")
        same = sp.simplify(found - self.value) == 0
        return Outcome(bool(same), "SymPy" if same else f"the limit is {found}")

    def mutants(self) -> Iterator[Limit]:
        yield replace(self, value=self.value + 1)


@dataclass(frozen=True)
class Cited:
    """A statement of the literature, believed and not proved here."""

    says: str
    source: str

    def check(self) -> Outcome:
        return Outcome(None, f"cited: {self.source}")

    def mutants(self) -> Iterator[Step]:
        yield from ()


@dataclass(frozen=True)
class Witness:
    """A model that is within a bound of a target, as a certificate that the checker accepts.

    The checker runs in a process of its own, on a file of `probes/witnesses/`.

    Attributes:
        file: its name.
        expression: the target that the certificate must be about, on [-1, 1].
        bound: the claim `within`, at most this, that it must prove.
        graph: SHA-256 of the graph that it must be about, as compact JSON with sorted keys.
    """

    file: str
    expression: str
    bound: sp.Rational
    graph: str

    @property
    def says(self) -> str:
        return rf"\sup_{{[-1,1]}}|model - {self.expression}| \le {sp.latex(self.bound)}"

    def check(self) -> Outcome:
        root = Path(__file__).parents[1]
        path = root / "probes" / "witnesses" / self.file
        if not path.is_file():
            return Outcome(None, f"there is no {path.name}; see probes/witnesses")
        with tempfile.TemporaryDirectory(prefix="plateau-") as folder:
            copy = Path(folder) / self.file  # what is checked is what is read
            copy.write_bytes(path.read_bytes())
            command = [sys.executable, "-P", "-m", "certify.checker", str(copy)]
            environment = {**os.environ, "PYTHONPATH": str(root)}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                return Outcome(False, f"the checker says: {done.stdout}{done.stderr}")
            data = json.loads(gzip.decompress(copy.read_bytes()))
        plain = json.dumps(data["graph"], sort_keys=True, separators=(",", ":"))
        if hashlib.sha256(plain.encode()).hexdigest() != self.graph:
            return Outcome(False, "the certificate is about another model")
        said = data["target"]["expression"], data["domain"]
        if said != (self.expression, [[(-1.0).hex(), (1.0).hex()]]):
            return Outcome(False, f"the certificate is about {said}")
        for claim in data["claims"]:
            if claim["label"] == "within" and claim["verdict"] == "PROVED":
                proved = sp.Rational(Fraction(float.fromhex(claim["numbers"]["bound"])))
                holds = bool(proved <= self.bound)
                return Outcome(holds, f"accepted by the checker: within {float(proved)!r}")
        return Outcome(False, "the certificate proves no bound of the error")

    def mutants(self) -> Iterator[Witness]:
        yield replace(self, bound=self.bound / 2)
        yield replace(self, expression="sin(x)")
        yield replace(self, graph="0" * 64)


def _arb(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


def _allowed(symbol: sp.Symbol) -> Sequence[Any]:
    """Values that the symbol's assumptions allow."""
    places = [sp.Integer(n) for n in (1, 2, 3, 5)] if symbol.is_integer else PLACES
    return [v for v in places if sp.ask(sp.Q.nonnegative(symbol)) is not True or v >= 0]


def _value(expression: sp.Expr) -> arb | None:
    """A number as a ball; None where it is not a real number that Arb knows."""
    try:
        with ctx.workprec(PRECISION):
            ball = number(sp.sympify(expression))
    except (TypeError, ZeroDivisionError):
        return None
    return ball if ball.is_finite() else None
