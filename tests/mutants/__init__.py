"""Deliberate faults as data: each breaks one line, and some named test must notice.

A mutant is (file, exact text, replacement, tests that should kill it, why). The text must occur
exactly once, so that the data stays fresh. `python -m tests.mutants` runs them in a scratch copy.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """area: the data file; file: what is broken, from the root; was, becomes: text and
    replacement; tests: arguments of pytest; why: what the fault is."""

    area: str
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...]
    why: str

    @property
    def name(self) -> str:
        """For people: unique."""
        return f"{self.file}: {self.why}"

    def applied(self, root: Path = ROOT) -> str:
        """The file's text with the fault in it.

        Raises:
            ValueError: the original text is not there exactly once; the data is stale.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        count = text.count(self.was)
        if count != 1:
            raise ValueError(
                f"{self.file} contains {self.was!r} {count} times, not once: the mutant "
                f'"{self.why}" in tests/mutants/{self.area}.toml is out of date'
            )
        return text.replace(self.was, self.becomes)


def mutants() -> list[Mutant]:
    """All of them, file by file."""
    out = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            out.append(Mutant(path.stem, **entry | {"tests": tuple(entry["tests"])}))
    return out


def titles() -> dict[str, str]:
    """What each data file is about."""
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["title"]
            for path in sorted(HERE.glob("*.toml"))}  # fmt: skip
