"""The command that makes a report again, from what was asked."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any

from certify.checking import Report
from certify.options import Options
from certify.run import Limits

#: Options with a number and options without; `domain` and the limits are written by themselves.
FLAGS = ("no_plateau", "resolution", "monotone", "slopes")
APART = ("domain", "limits", *FLAGS)


def command(report: Report) -> str:
    """`certify check ...`, ready for a shell; a segment's files are named A.json and B.json."""
    options, plain = report.options, Options()
    words = ["certify", "check", _place(report.model.path), *_option("target", report.target.name)]
    path = report.model.curve
    if path is not None:
        where = ["--segment", "A.json", "B.json"] if path.ends else _option("curve", _texts(path))
        words += where
    if options.domain is not None:
        words += ["--domain", *map(repr, options.domain)]
    for field in fields(Options):
        value = getattr(options, field.name)
        if field.name not in APART and value != getattr(plain, field.name):
            words += [_name(field.name), value if isinstance(value, str) else repr(value)]
    words += [_name(flag) for flag in FLAGS if getattr(options, flag)]
    for name in ("budget", "memory"):
        value = getattr(options.limits, name)
        if value != getattr(Limits(), name):
            words += [_name(name), repr(value)]
    return shlex.join(words)


def _texts(path: Any) -> str:
    return ",".join(path.texts)


def _name(field: str) -> str:
    return "--" + field.replace("_", "-")


def _option(name: str, value: str) -> list[str]:
    """A value that begins with a dash would be read as another option."""
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


def _place(path: str) -> str:
    """The same for a path."""
    return f"./{path}" if path.startswith("-") else path
