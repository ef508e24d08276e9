"""The picture: sound SVG that loads nothing, readable on any background, nothing outside of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import torch
from typer.testing import CliRunner

from certify import checking
from certify.cli import app
from certify.frontend.export import export
from certify.options import Options
from certify.report.picture import render
from certify.run import Limits

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def picture(tiny_file):
    report = checking.check(str(tiny_file), "exp", Options(cells=4, limits=Limits(5)))
    return render(report)


def test_it_has_both_drawings_with_titles_and_legends(picture):
    root = ET.fromstring(picture)
    heads = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "head"]
    assert heads == ["Error: model minus target", "Variation on every cell, and plateau verdicts"]
    keys = {t.text for t in root.iter(f"{SVG}text") if t.get("class") == "note"}
    assert {"error (samples)", "the model's, proved at least"} <= keys
    words = root.find(f"{SVG}desc").text
    assert "The error stays below" in words and "columns" in words


def test_it_loads_nothing_and_has_both_color_schemes(picture):
    assert not re.search(r"<script|href|url\(|@import|<image|<foreignObject", picture)
    assert picture.count("http") == picture.count('xmlns="http://www.w3.org/2000/svg"') == 1
    assert "prefers-color-scheme: dark" in picture
    assert ET.fromstring(picture).find(f"{SVG}rect").get("class") == "paper"


def test_nothing_lies_outside(picture):
    root = ET.fromstring(picture)
    width, height = map(float, root.get("viewBox").split()[2:])

    def walk(node, x, y):
        if move := re.match(r"translate\((\S+) (\S+)\)", node.get("transform", "")):
            x, y = x + float(move[1]), y + float(move[2])
        if node.tag == f"{SVG}text":
            left, top = x + float(node.get("x", 0)), y + float(node.get("y", 0))
            assert 0 <= left <= width and 0 < top < height, node.text
            if node.get("class") == "note":
                assert left + 6 * len(node.text) <= width, node.text
        for child in node:
            walk(child, x, y)

    walk(root, 0.0, 0.0)


class Product(torch.nn.Module):
    def forward(self, x):
        return x[:, :1] * x[:, 1:]


@pytest.fixture
def product(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export(Product(), torch.zeros(1, 2), "<a> & b.pt")
    return "<a> & b.pt"


def test_one_is_made_even_where_there_is_nothing_to_draw(product):
    report = checking.check(product, "x1*x2 + 1", Options(cells=1, limits=Limits(5)))
    picture = render(report)
    assert ET.fromstring(picture).find(f"{SVG}title").text == "<a> & b.pt against x1*x2 + 1"
    assert "No drawing" in picture


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("out.pdf", (), "a page, PATH.html, or a picture, PATH.svg; not out.pdf"),
        ("html", (), "not html"),
        ("p.svg", (), "a picture is drawn of one input"),
        ("p.SVG", ("--output", "all"), "a picture is drawn of one output"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(product, monkeypatch, name, more, says):
    monkeypatch.setattr("certify.checking.check", None)
    words = ["check", product, "--target", "x1*x2 + 1", "--report", name, *more]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and says in result.output, result.output


@pytest.mark.parametrize(
    ("name", "more", "kind"),
    [
        ("p.svg", ("--curve", "t,t/2"), "<svg"),
        ("p.SVG", ("--curve", "t,t/2"), "<svg"),
        ("p.HTM", (), "<!DOCTYPE html>"),
    ],
)
def test_the_name_says_what_is_written(product, name, more, kind):
    words = ["check", product, "--target", "x1*x2 + 1", "--cells", "1", "--report", name, *more]
    assert CliRunner().invoke(app, words).exit_code == 0
    with open(name) as file:
        assert file.read().startswith(kind)
