"""Sphinx: `sphinx-build -W docs docs/_build` makes the site; nothing is loaded from elsewhere.

Formulas become MathML, which browsers draw themselves. The pages of the statements are written
anew from the registry, every step checked, before Sphinx reads its sources.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.reliability import render  # noqa: E402
from theory.pages import as_index, as_markdown, slug  # noqa: E402
from theory.theorem import Status, prove_all  # noqa: E402

project = "Plateau"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
templates_path = ["_templates"]
html_theme = "furo"
html_show_sphinx = False
html_math_renderer = "mathml"
exclude_patterns = ["_build", "generated"]
suppress_warnings: list[str] = []


def write_statements(app: object, config: object) -> None:
    """docs/statements/: a page for each, and their index.

    Raises:
        RuntimeError: a statement is open or fails.
    """
    folder = Path(__file__).parent / "statements"
    folder.mkdir(exist_ok=True)
    proofs = list(prove_all())
    bad = [p.theorem.label for p in proofs if p.status in (Status.OPEN, Status.FAILED)]
    if bad:
        raise RuntimeError(f"not proved: {', '.join(bad)}")
    pages = {"index.md": as_index(proofs)}
    for proof in proofs:
        label = proof.theorem.label
        used_by = [p.theorem.label for p in proofs if label in p.theorem.uses]
        pages[f"{slug(label)}.md"] = as_markdown(proof, used_by)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text)


def write_counts(app: object, config: object) -> None:
    """docs/generated/reliability.md: the tables of whatever counts are stored."""
    folder = Path(__file__).parent / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "reliability.md").write_text(render())


def inline(self: object, node: nodes.math) -> None:
    """A formula in a line of text."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display(self: object, node: nodes.math_block) -> None:
    """A formula on a line of its own."""
    style = "overflow-x: auto; overflow-y: hidden; padding: 0.2em 0"
    self.body.append(f'<div style="{style}">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: object) -> None:
    """Register the renderer and the generated pages."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    app.connect("config-inited", write_statements)
    app.connect("config-inited", write_counts)
