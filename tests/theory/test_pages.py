"""Pages of statements: all of them, linked both ways, and no formula lost."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from theory.pages import as_index, as_latex, as_markdown, as_svg, slug
from theory.theorem import prove_all


@pytest.fixture(scope="module")
def proofs():
    return list(prove_all())


def test_every_page_has_a_file_of_its_own(proofs):
    slugs = [slug(proof.theorem.label) for proof in proofs]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in slugs)


def test_pages_show_every_step_and_link_both_ways(proofs):
    for proof in proofs:
        page = as_markdown(proof, ["A1"])
        assert page.startswith(f"# {proof.theorem.label}: ")
        assert page.count("holds**") + page.count("not proved here**") == len(proof.outcomes)
        assert "used by: [A1](a1.md)" in page
        assert all(f"({slug(use)}.md)" in page for use in proof.theorem.uses)
        assert proof.status.value in page


def test_the_graph_has_every_statement_and_every_use(proofs):
    tree = ET.fromstring(as_svg(proofs))
    space = "{http://www.w3.org/2000/svg}"
    assert len(tree.findall(f"{space}a")) == len(proofs)
    assert len(tree.findall(f"{space}path")) == sum(len(p.theorem.uses) for p in proofs)


def test_the_index_lists_them_all(proofs):
    index = as_index(proofs)
    assert all(f"({slug(p.theorem.label)}.md)" in index for p in proofs)


def test_latex_is_balanced(proofs):
    for proof in proofs:
        text = as_latex(proof)
        for name in ("theorem", "proof", "itemize"):
            assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
        assert text.count("$") % 2 == 0
