"""Statements with their proofs as pages: LaTeX, Markdown for Sphinx, and the graph of uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from theory.kernel import Cited
from theory.theorem import Proof, Status

MARKS = {True: r"\checkmark", False: r"\times", None: r"\circ"}
WORDS = {True: "holds", False: "fails", None: "not proved here"}
MEANING = {
    Status.PROVED: "every step is checked by a machine, and so is every statement used",
    Status.CONDITIONAL: "the steps hold, but the proof rests on results cited from the literature",
    Status.REFUTED: "the claim, as its page reads it first, is false: the steps show it",
    Status.PER_MODEL: "true of some models and false of others; a certificate decides",
    Status.OPEN: "a step is not decided",
    Status.FAILED: "a step is false",
}
#: Fill and stroke; the stroke's dashes tell them apart without color.
COLORS = {
    Status.PROVED: ("#d9ead3", ""),
    Status.CONDITIONAL: ("#fff2cc", "6 3"),
    Status.REFUTED: ("#f4cccc", "2 2"),
    Status.PER_MODEL: ("#d0e0f0", "8 2 2 2"),
    Status.OPEN: ("#ffffff", "1 3"),
    Status.FAILED: ("#ff9999", "1 1"),
}


def slug(label: str) -> str:
    """A file name for a statement."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower().replace("'", "-prime")).strip("-")


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
        says = rf"\text{{{_text(step.says)}}}" if isinstance(step, Cited) else step.says
        lines.append(rf"\item[${MARKS[outcome.holds]}$] ${says}$ ({_text(outcome.shown)})")
    lines += [r"\end{itemize}", r"\end{proof}"]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Words outside of dollar signs with LaTeX's special characters escaped."""
    parts = text.split("$")
    for i in range(0, len(parts), 2):
        for sign in "&%#_":
            parts[i] = parts[i].replace(sign, "\\" + sign)
    return "$".join(parts)


def as_markdown(proof: Proof, used_by: Sequence[str]) -> str:
    """A page for Sphinx with MyST: statement, proof, checked steps, links both ways."""
    t = proof.theorem
    lines = [
        f"# {t.label}: {t.title}",
        "",
        f"**{proof.status.value}**: {MEANING[proof.status]}.",
        "",
        t.statement,
        "",
        "## Proof",
        "",
        t.proof,
        "",
        "## Steps",
        "",
    ]
    for i, (step, outcome) in enumerate(proof.outcomes, start=1):
        lines += [f"{i}. **{WORDS[outcome.holds]}** ({type(step).__name__}; {outcome.shown})", ""]
        if isinstance(step, Cited):
            lines += [f"   {step.says}", ""]
        else:
            lines += ["   $$", f"   {step.says}", "   $$", ""]
    lines += [
        "## Where it stands",
        "",
        f"- uses: {_links(t.uses)}",
        f"- used by: {_links(used_by)}",
    ]
    lines.append(f"- file: `{t.file.replace('.', '/')}.py`")
    if t.source:
        lines.append(f"- source: {t.source}")
    return "\n".join(lines) + "\n"


def _links(labels: Sequence[str]) -> str:
    return ", ".join(f"[{label}]({slug(label)}.md)" for label in labels) or "nothing"


def as_index(proofs: Sequence[Proof]) -> str:
    """The list of all statements, with the graph and what each status means."""
    lines = [
        "# Statements",
        "",
        "Every page here is generated: the status is computed by checking each step again when the",
        "pages are built.",
        "",
        "| status | statements | meaning |",
        "|---|---|---|",
    ]
    for status, meaning in MEANING.items():
        count = sum(proof.status is status for proof in proofs)
        if count:
            lines.append(f"| {status.value} | {count} | {meaning} |")
    lines += ["", "```{raw} html", as_svg(proofs), "```", "", "| statement | title | status |",
              "|---|---|---|"]  # fmt: skip
    for proof in proofs:
        t = proof.theorem
        lines.append(f"| [{t.label}]({slug(t.label)}.md) | {t.title} | {proof.status.value} |")
    pages = [slug(proof.theorem.label) for proof in proofs]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def as_svg(proofs: Sequence[Proof]) -> str:
    """The graph of uses: a row for each depth, an arrow from what is used to what uses it."""
    wide, high, gap, across = 132, 26, 56, 8
    depth: dict[str, int] = {}
    for proof in proofs:
        t = proof.theorem
        depth[t.label] = 1 + max((depth[use] for use in t.uses), default=-1)
    place: dict[str, tuple[int, int]] = {}
    y = 8
    for level in range(max(depth.values()) + 1):
        labels = [label for label, d in depth.items() if d == level]
        for i, label in enumerate(labels):
            place[label] = 8 + (i % across) * (wide + 12), y + (i // across) * (high + 10)
        y += ((len(labels) - 1) // across) * (high + 10) + high + gap
    lines = []
    for proof in proofs:
        a, b = place[proof.theorem.label]
        for use in proof.theorem.uses:
            c, d = place[use]
            middle = (d + high + b) // 2
            lines.append(
                f'<path d="M{c + wide // 2},{d + high} C{c + wide // 2},{middle} '
                f'{a + wide // 2},{middle} {a + wide // 2},{b}" fill="none" stroke="#777"/>'
            )
    for proof in proofs:
        (a, b), (fill, dashes) = place[proof.theorem.label], COLORS[proof.status]
        label, title = escape(proof.theorem.label), escape(proof.theorem.title)
        lines.append(
            f'<a href="{slug(proof.theorem.label)}.html"><title>{title} '
            f'({proof.status.value})</title><rect x="{a}" y="{b}" width="{wide}" height="{high}" '
            f'rx="5" fill="{fill}" stroke="#333" stroke-dasharray="{dashes}"/><text '
            f'x="{a + wide // 2}" y="{b + 17}" font-size="11" text-anchor="middle" fill="#111">'
            f"{label}</text></a>"
        )
    size = 16 + across * (wide + 12)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {y}" width="100%" '
        f'font-family="sans-serif" role="img" aria-label="graph of uses">{"".join(lines)}</svg>'
    )
