"""Sphinx: `sphinx-build -W docs docs/_build` makes the site; nothing is loaded from elsewhere.

Formulas become MathML, which browsers draw themselves. The pages of the statements are written
anew from the registry, every step checked, before Sphinx reads its sources.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.reliability import render  # noqa: E402
from theory.pages import as_index, as_markdown, slug  # noqa: E402
from theory.theorem import Status, prove_all  # noqa: E402

project = "Plateau"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_typehints = "none"  # they stand in the signature
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
templates_path = ["_templates"]
html_theme = "furo"
highlight_language = "none"  # of blocks that name none: commands, and what they print
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


def write_commands(app: object, config: object) -> None:
    """docs/generated/PROGRAM.md: every command with its options, by typer's own writer.

    Raises:
        CalledProcessError: a program cannot be imported.
    """
    folder = Path(__file__).parent / "generated"
    folder.mkdir(exist_ok=True)
    root = str(Path(__file__).parents[1])
    for name in ("certify", "probes", "theory"):
        line = [sys.executable, "-m", "typer", f"{name}.cli", "utils", "docs", "--name", name]
        paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            line, cwd=root, env={**os.environ, "PYTHONPATH": paths}, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        (folder / f"{name}.md").write_text(done.stdout)


def as_markup(app: object, what: str, name: str, obj: object, options: object, lines: list) -> None:
    """Docstrings are plain text: names between backticks are code, and bars and stars mean
    themselves."""
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]+`)", line)
        plain = (re.sub(r"([|*_])", r"\\\1", part) for part in parts[::2])
        code = [f"`{part}`" for part in parts[1::2]]
        lines[i] = "".join(a + b for a, b in zip(plain, [*code, ""], strict=True))


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
    app.connect("config-inited", write_commands)
    app.connect("autodoc-process-docstring", as_markup, priority=100)  # before napoleon's
