"""SymPy's relations in Z3, and cvc5 as a second opinion."""

from __future__ import annotations

from typing import Any

import sympy as sp
import z3

SECOND_MILLISECONDS = 300  # of cvc5, whose silence proves nothing


def to_z3(formula: Any, symbols: dict[str, Any]) -> Any:
    """A SymPy relation or polynomial expression in Z3; new symbols are added to `symbols`.

    Raises:
        TypeError: it has something else in it.
    """
    formula = sp.sympify(formula)
    parts = [to_z3(part, symbols) for part in formula.args]
    if formula.is_Symbol:
        return symbols.setdefault(str(formula), z3.Real(str(formula)))
    if formula.is_Rational:
        return z3.RealVal(str(formula))
    if formula in (sp.true, sp.false):
        return z3.BoolVal(bool(formula))
    if formula.is_Add:
        return z3.Sum(parts)
    if formula.is_Mul:
        return z3.Product(parts)
    if formula.is_Pow and formula.exp.is_Integer and formula.exp > 0:
        return z3.Product([parts[0]] * int(formula.exp))
    if isinstance(formula, sp.Abs):
        return z3.If(parts[0] >= 0, parts[0], -parts[0])
    if isinstance(formula, sp.Max | sp.Min):
        best = parts[0]
        for part in parts[1:]:
            takes = part > best if isinstance(formula, sp.Max) else part < best
            best = z3.If(takes, part, best)
        return best
    for kind, build in CONNECTIVES.items():
        if isinstance(formula, kind):
            return build(*parts)
    raise TypeError(f"{formula.func} is not polynomial")


CONNECTIVES = {
    sp.And: z3.And, sp.Or: z3.Or, sp.Not: z3.Not, sp.Implies: z3.Implies,
    sp.Le: lambda a, b: a <= b, sp.Lt: lambda a, b: a < b, sp.Ge: lambda a, b: a >= b,
    sp.Gt: lambda a, b: a > b, sp.Eq: lambda a, b: a == b, sp.Ne: lambda a, b: a != b,
}  # fmt: skip


def second_opinion(text: str) -> str:
    """The answer of a second solver, if it is installed: sat, unsat or unknown; else empty."""
    try:
        import cvc5
    except ImportError:
        return ""
    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("tlimit-per", str(SECOND_MILLISECONDS))
    parser = cvc5.InputParser(solver)
    language = cvc5.InputLanguage.SMT_LIB_2_6
    parser.setStringInput(language, "(set-logic ALL)\n" + text, "step")
    names, answer = parser.getSymbolManager(), ""
    try:
        while not (command := parser.nextCommand()).isNull():
            answer += str(command.invoke(solver, names))
    except RuntimeError:  # it does not read everything that Z3 writes
        return "unknown"
    return answer.strip().splitlines()[-1] if answer.strip() else "unknown"
