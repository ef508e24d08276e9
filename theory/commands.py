"""What the three command lines share before they run: options are read strictly and in our words.

Typer keeps the last value of an option that is given twice, and drops the others silently.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

UsageError = typer.BadParameter.__base__  # which Typer does not name itself
ENDS = "LO HI"  # the metavar of an option that takes an interval
NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
#: What else there is to say of an option: given twice, and missing.
TWICE = {"--domain": "it is one interval for every input"}
MISSING = {"--target": "For example --target exp; certify targets lists them."}


class Command(TyperCommand):
    """A command that refuses an option given twice, and names the value that it cannot read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As in Typer; `ctx` fails with a usage error."""
        said, given = list(args), {}
        try:
            given, _, order = self.make_parser(ctx).parse_args(list(args))
            for option, count in Counter(p for p in order if hasattr(p, "multiple")).items():
                if count > 1 and not option.multiple and option.param_type_name == "option":
                    _twice(ctx, option.opts[0])
            return super().parse_args(ctx, args)
        except typer.BadParameter as problem:
            if problem.param is not None:
                _explain(ctx, problem, given, said)
            raise
        except UsageError as problem:
            name = getattr(problem, "option_name", None)
            if any(name in p.opts and p.metavar == ENDS for p in self.params):
                _ends(ctx, name, said)
            raise


def _twice(ctx: Any, name: str) -> NoReturn:
    more = f": {TWICE[name]}" if name in TWICE else ""
    ctx.fail(f"{name} is given more than once{more}")


def _explain(ctx: Any, problem: typer.BadParameter, given: dict, said: list[str]) -> None:
    """Fail in our words where a value is no number; point to what is missing."""
    param, says = problem.param, problem.message
    name, value = param.opts[0], given.get(param.name)
    if value is None:
        problem.message = says or MISSING.get(name, "")
    elif re.search("valid (number|float|integer)", says):
        value = value if isinstance(value, str) else " ".join(map(str, value))
        if param.metavar == ENDS:
            _ends(ctx, name, said, f', not "{value}"')
        kind = "a whole number" if "integer" in says else "a number"
        ctx.fail(f'{name} must be {kind}, not "{value}"')


def _ends(ctx: Any, name: str, said: list[str], instead: str = "") -> NoReturn:
    found = re.search(rf"{name}[ =][\[(]?({NUMBER}) ?, ?({NUMBER})", " ".join(said))
    lo, hi = found.groups() if found else ("-1", "1")
    ctx.fail(f"{name} takes two numbers with a space between them{instead}: {name} {lo} {hi}")


class App(typer.Typer):
    """A command line whose commands are all read like that."""

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """As in Typer."""
        return super().command(name, cls=Command, **settings)
