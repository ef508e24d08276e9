"""Options are refused that are given twice, and values that are no numbers are named."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from certify.cli import app as certify
from theory.commands import App

app = App(rich_markup_mode=None)


@app.command()
def one(
    files: list[str],
    target: Annotated[str, typer.Option()],
    domain: Annotated[tuple[float, float] | None, typer.Option(metavar="LO HI")] = None,
    within: float | None = None,
    cells: Annotated[int, typer.Option("--cells", "-c")] = 1,
    flag: Annotated[bool, typer.Option("--flag")] = False,
    many: list[int] | None = None,
) -> None:
    typer.echo(f"{files} {target} {domain} {within} {cells} {flag} {many}")


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["a", "--target", "exp", *arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split()).rpartition("Error: ")[2]


def test_what_is_given_once_is_read():
    words = "a b --target exp --domain -1 1 --within 2 -c 3 --flag --many 4 --many 5"
    result = CliRunner().invoke(app, words.split())
    assert result.output == "['a', 'b'] exp (-1.0, 1.0) 2.0 3 True [4, 5]\n"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("--domain -1 1 --domain 0 2", "--domain"),
        ("--domain -1 1 --domain -1 1", "--domain"),
        ("--within 2 --within=1", "--within"),
        ("--cells 2 -c 3", "--cells"),
        ("--flag --flag", "--flag"),
        ("--target sin", "--target"),
    ],
)
def test_an_option_given_twice_is_refused(arguments, name):
    found = refused(*arguments.split())
    interval = ": it is one interval for every input" if name == "--domain" else ""
    assert found == f"{name} is given more than once{interval}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--within abc", '--within must be a number, not "abc"'),
        ("--cells 3.5", '--cells must be a whole number, not "3.5"'),
        ("--domain a b", 'with a space between them, not "a b": --domain -1 1'),
        ("--domain -2,3", "--domain takes two numbers with a space between them: --domain -2 3"),
        ("--domain=[-2.5,1e3] --flag", 'not "[-2.5,1e3] --flag": --domain -2.5 1e3'),
        ("--domain 1", "--domain takes two numbers with a space between them: --domain -1 1"),
        ("--within", "Option '--within' requires an argument."),
    ],
)
def test_a_value_that_is_no_number_is_named(arguments, says):
    assert refused(*arguments.split()).endswith(says)


def test_what_is_missing_is_shown_by_an_example():
    result = CliRunner().invoke(app, ["a"])
    assert result.exit_code == 2
    assert "For example --target exp; certify targets lists them." in result.output


def test_the_commands_of_certify_are_read_like_that():
    words = ["check", "m.pt", "--target", "exp", "--domain", "-1", "1", "--domain", "0", "2"]
    result = CliRunner().invoke(certify, words)
    assert result.exit_code == 2 and "--domain is given more than once" in result.output
    assert "One interval for every input" in CliRunner().invoke(certify, ["check", "-h"]).output
