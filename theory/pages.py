"""A statement with its proof, as LaTeX."""

from __future__ import annotations

from theory.theorem import Proof

MARKS = {True: r"\checkmark", False: r"\times", None: r"\circ"}


def as_latex(proof: Proof) -> str:
    """The statement as a theorem environment; every step with its mark and who discharged it."""
    t = proof.theorem
    lines = [
        rf"\begin{{theorem}}[{t.label}: {_text(t.title)}; {_text(proof.status.value)}]",
        _text(t.statement),
        r"\end{theorem}",
        r"\begin{proof}",
        _text(t.proof),
        r"\begin{itemize}",
    ]
    for step, outcome in proof.outcomes:
        says = step.says if _is_formula(step) else rf"\text{{{_text(step.says)}}}"
        lines.append(rf"\item[${MARKS[outcome.holds]}$] ${says}$ ({_text(outcome.shown)})")
    lines += [r"\end{itemize}", r"\end{proof}"]
    return "\n".join(lines)


def _is_formula(step: object) -> bool:
    return type(step).__name__ != "Cited"


def _text(text: str) -> str:
    """Words outside of dollar signs with LaTeX's special characters escaped."""
    parts = text.split("$")
    for i in range(0, len(parts), 2):
        for sign in "&%#_":
            parts[i] = parts[i].replace(sign, "\\" + sign)
    return "$".join(parts)
