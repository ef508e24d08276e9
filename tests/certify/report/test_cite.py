"""BibTeX of what is used: every source of the registry, well-formed entries, no model needed."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from certify.cli import app
from certify.report.cite import WORKS, bibtex
from theory.theorem import Theorem, all_theorems


def entries(text):
    """Key -> fields, read by counting braces."""
    found = {}
    for block in re.split(r"\n(?=@)", text):
        assert block.count("{") == block.count("}"), block
        key = re.match(r"@[a-z]+\{([^,\s]+),\n", block)[1]
        assert key not in found
        found[key] = dict(re.findall(r"^  (\w+) = \{(.*)\},$", block, re.M))
    return found


def test_every_source_is_there():
    found = entries(bibtex())
    assert {"plateau", "johansson2017arb", "demoura2008z3", "nath2024transformers"} <= set(found)
    notes = " ".join(fields.get("note", "") for fields in found.values())
    for label, theorem in all_theorems().items():
        if theorem.source:
            assert re.search(rf"(?<![\w-]){re.escape(label)}(?![\w'-])", notes), label
    assert all({"title", "year"} <= set(fields) for _, _, _, fields in WORKS)


def test_an_unknown_source_is_an_entry_too():
    one = Theorem("Z9", "t", "s", lambda: (), "p", source="Somebody {1999}")
    found = entries(bibtex({"Z9": one}))
    assert found["source:Z9"]["title"] == "Somebody (1999)"
    assert "nath2024transformers" in found and "yun2020transformers" not in found


def test_with_and_without_a_model(tiny_file):
    for words in (["check", "--cite"], ["check", str(tiny_file), "--target", "exp", "--cite"],
                  ["check", "--cite", "nothing.pt"]):  # fmt: skip
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0 and result.stdout == bibtex()
    assert CliRunner().invoke(app, ["check"]).exit_code == 2
