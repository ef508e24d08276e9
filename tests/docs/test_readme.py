"""The README: its tables are those of the stored results, its links lead somewhere, and the line
that is run for it comes first."""

from __future__ import annotations

import copy
import hashlib
import re
import tomllib
import xml.etree.ElementTree as ET

import pytest
import yaml
from pages import ROOT

from benchmarks.table import between
from benchmarks.verdicts import body, curves_table, stored
from certify import checking
from certify.report.cite import bibtex
from probes.zoo.make import ZOO, path
from theory.claims import Verdict

TEXT = (ROOT / "README.md").read_text()


def test_the_tables_are_those_of_the_stored_results():
    zoo, paper = stored()
    assert between(TEXT, body(zoo, paper)) == TEXT
    worse = copy.deepcopy(zoo)
    worse[0]["sup_error"][1] *= 2
    assert between(TEXT, body(worse, paper)) != TEXT
    assert between(TEXT, body(zoo, paper[:-3])) != TEXT
    experiments = (ROOT / "docs/experiments.md").read_text()
    assert between(experiments, ["", *curves_table(paper)]) == experiments
    assert between(experiments, ["", *curves_table(paper[1:])]) != experiments


def test_the_stored_results_are_about_the_models_that_are_there():
    zoo, _ = stored()
    assert [row["model"] for row in zoo] == list(ZOO)
    for row in zoo:
        assert row["sha256"] == hashlib.sha256(path(row["model"]).read_bytes()).hexdigest()
        assert row["accepted"]


def test_what_is_stored_of_one_model_is_found_again():
    row = stored()[0][0]
    report = checking.check(str(path(row["model"])), row["target"])
    (lo, hi), (low, high) = report.known.sup, row["sup_error"]
    assert max(lo, low) <= min(hi, high)
    assert report.plateaus.overall() is Verdict.REFUTED and row["plateaus"] == 0
    assert int(report.plateaus.refuted.sum()) == row["none"] == row["deciding"]


@pytest.mark.parametrize("name", ["README.md", "benchmarks/README.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text()
    places = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert name != "README.md" or len(places) > 20
    for place in places:
        assert place.startswith("https:") or ((ROOT / name).parent / place).exists(), place


def test_the_picture_is_drawn_by_the_command_that_the_documentation_names():
    root = ET.parse(ROOT / "docs/picture.svg").getroot()
    assert root.find("{*}title").text == "probes/zoo/exp.pt against exp"
    assert "--report docs/picture.svg" in (ROOT / "docs/report.md").read_text()


def test_the_first_line_about_tests_is_the_command_that_runs_them():
    line = next(line for line in TEXT.splitlines() if "pytest" in line)
    assert line.endswith(" && .venv/bin/pytest") and "-e '.[test]'" in line


def test_how_to_cite():
    (entry,) = re.findall(r"```bibtex\n(.*?)```", TEXT, re.S)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    wanted = re.sub(r"version = {.*}", f"version = {{{version}}}", bibtex().split("\n\n")[0])
    assert entry.strip() == wanted.strip()
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f"title = {{{cff['title']}}}" in entry and str(cff["version"]) == version
    assert cff["cff-version"] == "1.2.0" and cff["message"] and cff["authors"]
