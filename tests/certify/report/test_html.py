"""The page: complete, closed to the outside, safe with hostile names, and drawn by a browser."""

from __future__ import annotations

import copy
import json
import math
import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certify import checking
from certify.goal import brackets
from certify.options import Options
from certify.report import plots as drawing
from certify.report.clean import shown
from certify.report.command import command
from certify.report.data import as_data
from certify.report.html import _share, formulas, page, render
from certify.run import Limits
from certify.search import DIFFERENCE, MODEL, Problem, start
from theory.theorem import all_theorems

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<script>alert('\"1&')<|script>\u202e.pt"


@pytest.fixture(scope="module")
def report(tiny_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / HOSTILE
    shutil.copy(tiny_file, path)
    options = Options(cells=4, within=5.0, slopes=True, limits=Limits(5))
    return checking.check(str(path), "exp(x)", options)


@pytest.fixture(scope="module")
def written(report):
    return render(report)


def drawings(text):
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.S)]


def closed_to_the_outside(text):
    """No script, no handler, nothing that a browser would fetch."""
    low = text.lower()
    assert "<script" not in low and "javascript:" not in low and "<link" not in low
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", low)
    assert not re.search(r"https?:|url\(|@import|\bsrc\s*=", low)
    assert set(re.findall(r'href="(.)', text)) <= {"#"}
    assert "default-src 'none'" in text


def test_the_whole_page(report, written):
    closed_to_the_outside(written)
    assert "<h1>Proved: |model - (exp(x))| &lt;= 5.0</h1>" in written
    for name in ("envelope", "error", "variation", "slopes", "gap", "cells", "theorems", "again"):
        assert f'id="{name}"' in written
    assert report.model.sha256 in written and "Not drawn" not in written
    targets = set(re.findall(r'href="#([^"]+)"', written))
    assert targets and targets <= set(re.findall(r'id="([^"]+)"', written))
    ids = re.findall(r'id="([^"]+)"', written)
    assert len(ids) == len(set(ids))


def test_hostile_names(report, written):
    assert "<script>" in report.model.path and "\u202e" in report.model.path
    assert "&lt;script&gt;alert(&#39;" in written and "\u202e" not in written
    assert shown({"a": ["\udcff\x1b[1m", 1]}) == {"a": ["\ufffd\ufffd[1m", 1]}
    written.encode()
    data = as_data(report)
    evil = "\"><img src=x onerror=alert(1)><a href='javascript:alert(1)'>"
    for part, name in (("target", "name"), ("target", "expression"), ("certificate", "path")):
        data[part][name] = evil
    data["claims"][0] |= {"says": evil, "reason": evil}
    data["summary"] = data["search"]["stopped_by"] = evil
    text = page(
        data, drawing.plots(replace(report, target=replace(report.target, name=evil))), evil
    )
    assert "<img" not in text and "<a href='" not in text and text.count("&lt;img") >= 8
    assert len(drawings(text)) == len(drawings(written))


def test_drawings_are_well_formed_and_named(written):
    found = drawings(written)
    large = [svg for svg in found if svg.get("role") == "img"]
    assert len(large) == 5
    for svg in large:
        title, desc = svg.get("aria-labelledby").split()
        assert svg.find(f"title[@id='{title}']").text and svg.find(f"desc[@id='{desc}']").text
        assert all("nan" not in (p.get("d") or "") for p in svg.iter("path"))
        _, _, width, height = map(float, svg.get("viewBox").split())
        for x, y in re.findall(r"M([-\d.]+) ([-\d.]+)", " ".join(p.get("d") for p in
                               svg.iter("path"))):  # fmt: skip
            assert 0 <= float(x) <= width and 0 <= float(y) <= height


def test_what_is_drawn_is_proved(report):
    """Every leaf lies in the hull that is drawn for it, and the frames follow each other."""
    leaves = report.outcome.state.leaves
    for which in (MODEL, DIFFERENCE):
        rows = drawing.hulls(leaves, which)
        assert all(a[1] == b[0] for a, b in zip(rows[:-1], rows[1:], strict=True))
        box, (lows, highs) = leaves.box[:, 0].tolist(), leaves.bounds[which].tolist()
        for (lo, hi), low, high in zip(box, lows, highs, strict=True):
            assert any(a <= lo and hi <= b and m <= low and high <= n for a, b, m, n in rows)


def test_many_leaves_share_columns(report, monkeypatch):
    monkeypatch.setattr(drawing, "COLUMNS", 5)
    assert len(drawing.hulls(report.outcome.state.leaves, MODEL)) <= 5
    test_what_is_drawn_is_proved(report)


def test_nothing_known_is_still_a_page(report):
    """Infinite bounds, no witness, nothing decided: no drawing pretends otherwise."""
    state = start(Problem(None, report.cells), 4)
    known = brackets(state, 4)
    outcome = replace(report.outcome, state=state, known=known, trace=((0.1, 0.0, math.inf),))
    plateaus = checking.plateaus(known, report.options.tau)
    empty = replace(report, outcome=outcome, plateaus=plateaus, claims=(), slopes=None)
    text = render(empty)
    closed_to_the_outside(text)
    assert "Undecided: the error is at least 0 somewhere; no upper bound is proved" in text
    assert "no finite bound is proved here" in text and "never had two finite" in text
    assert "witness" not in text.split("<main>")[1].split("theorems")[0]
    for svg in drawings(text):
        assert all("nan" not in (p.get("d") or "") for p in svg.iter("path"))


def test_the_gap_over_time():
    """Steps down, in the frame; gray until both ends of the bracket are finite and positive."""
    trace = ((1.0, 0.0, math.inf), (2.0, 0.5, math.inf), (3.0, 0.5, 50.5), (4.0, 0.5, 0.5))
    plot = drawing.gap_plot((*trace, (5.0, 0.5, 0.5)), 0.01)
    early, _, steps, *dots = plot.marks
    x = {t.label: t.at for t in plot.x_ticks}
    assert early.cls == "unbounded" and f"H{x['3']:g}V" in early.d
    heights = [m.y for m in dots]
    assert [m.x for m in dots] == [x["3"], x["4"], x["5"]] and heights == sorted(heights)
    assert steps.d.startswith(f"M{x['3']:g} {heights[0]:g}") and heights[-1] <= plot.bottom
    assert drawing.gap_plot(trace[:2], 0.01).missing


def test_several_variables_have_no_drawings(report):
    data = as_data(report)
    for cell in data["cells"]:
        cell["box"] = [cell["box"][0], [0.0, 1.0]]
    data["model"]["inputs"] = [1, 2]
    data["sup_error"]["witness"] = [0.5, 0.25]
    text = page(data, [drawing.gap_plot(report.outcome.trace, 0.01)], "certify check ...")
    assert "this model has 2" in text and "x [0.0, 1.0]" in text
    assert "on [-1.0, 1.0]^2. Real" in text and "at x = (0.5, 0.25)" in text
    assert [svg.get("role") for svg in drawings(text)].count("img") == 1
    several = replace(report, target=replace(report.target, variables=2))
    assert [p.name for p in drawing.plots(several)] == ["gap"]


def test_numbers_are_rounded_outward(report):
    data = copy.deepcopy(as_data(report))
    data["cells"][0]["sup_error"] = {"lo": 1.00000049, "hi": "inf"}
    data["cells"][0]["variation"] = {"lo": 1.0, "hi": 1.0}
    data["cells"][0]["target_variation"] = {"lo": 3.0, "hi": 3.0}
    text = page(data, [], "")
    row = next(r for r in re.findall(r"<tr>.*?</tr>", text) if "inf]" in r)
    assert '<td class="n">0</td>' in row and "[1, inf]" in row and "33.3 %" in row
    assert text.index(row) < text.index('<td class="n">1</td>')


@given(st.floats(0, 1e300), st.floats(0, 1e300))
@example(float.fromhex("0x1.9c12de8bb8451p-2"), float.fromhex("0x1.48158baed590bp+0"))
@example(1.0, math.inf)
@example(5e-324, 1e300)
def test_a_share_is_rounded_down(ours, theirs):
    """The first example lies below 0.314, and the nearest double above."""
    text = _share(ours, theirs)
    if text != "-":
        assert Fraction(text.removesuffix(" %")) * Fraction(theirs) <= 100 * Fraction(ours)
    assert (text == "-") == (theirs in (0.0, math.inf))


def test_the_command_asks_the_same(report, tmp_path):
    """Run again, what it prints is what was asked."""
    from typer.testing import CliRunner

    from certify.cli import app

    options = replace(report.options, tau=0.25, windows=0.5, monotone=True, lipschitz=3.0,
                      limits=Limits(7.0, 512.0))  # fmt: skip
    words = shlex.split(command(replace(report, options=options)))
    assert words[:2] == ["certify", "check"]
    place = tmp_path / "again.json"
    CliRunner().invoke(app, [*words[1:], "--json", str(place)])
    again = json.loads(place.read_text())
    assert again["model"]["sha256"] == report.model.sha256
    assert [c["label"] for c in again["claims"]] == ["within", "monotone", "lipschitz"]
    assert again["plateaus"]["tau"] == 0.25 and again["windows"]["width"] == 0.5
    assert len(again["cells"]) == 4 and again["target"]["domain"] == [-1.0, 1.0]


def test_formulas():
    for found in all_theorems().values():
        text = formulas(found.statement)
        assert "xmlns" not in text and "$" not in text
        assert text.count("<math") == found.statement.count("$") / 2
    assert formulas("a < b, $c$").startswith("a &lt; b, <math")


def test_the_command_line_writes_it(tiny_file, tmp_path):
    from typer.testing import CliRunner

    from certify.cli import app

    place = tmp_path / "out.html"
    asked = ["check", str(tiny_file), "--target", "exp", "--cells", "2", "--report", str(place)]
    assert CliRunner().invoke(app, asked).exit_code == 0
    closed_to_the_outside(place.read_text())
    refused = CliRunner().invoke(app, [*asked[:-1], str(tmp_path / "no" / "out.html")])
    assert refused.exit_code == 2 and "there is no folder" in refused.output


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_it(written, tmp_path, scheme):
    import numpy as np
    from PIL import Image

    (tmp_path / "page.html").write_text(written)
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--user-data-dir={tmp_path / 'profile'}", *dark]  # fmt: skip
    address, picture = (tmp_path / "page.html").as_uri(), tmp_path / "page.png"
    both = ["--dump-dom", address] if scheme == "light" else [address]
    shot = ["--window-size=1000,1600", f"--screenshot={picture}"]
    if scheme == "light":
        dom = subprocess.run([*browser, *both], capture_output=True, text=True, timeout=120)
        assert "PROVED" in dom.stdout and "|model - (exp(x))| &lt;= 5.0" in dom.stdout
        assert dom.stdout.count("<svg") == written.count("<svg") and "<script" not in dom.stdout
    subprocess.run([*browser, *shot, address], capture_output=True, timeout=120, check=True)
    image = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    corner = image[5, 5]
    assert corner.min() > 200 if scheme == "light" else corner.max() < 60
    away = (abs(image - corner).max(2) > 40).mean(1)
    assert (away > 0.02).mean() > 0.3  # a third of the rows has something on it
