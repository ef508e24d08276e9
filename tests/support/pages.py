"""The documentation as its reader meets it: code that should run, commands that should exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PROGRAMS = ("certify", "probes", "theory")
SHELL = ("", "sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page that it begins in."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that a block of Python belongs into, which its first line names."""
        found = re.match(r"# ([\w/]+\.py)\n", self.text)
        return found[1] if found and self.language == "python" else None

    def commands(self) -> Iterator[tuple[int, list[str]]]:
        """Line, and words, of every command of ours."""
        if self.language in SHELL:
            for number, line in enumerate(self.text.replace("\\\n", " ").splitlines(), 1):
                for words in _split(line):
                    yield self.line + number, words


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, its path from the root, in order."""
    tokens = MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8"))
    return [Block(t.info.strip(), t.content, t.map[0] + 1) for t in tokens if t.type == "fence"]


def commands(page: str) -> Iterator[tuple[int, list[str]]]:
    """Line, and words, of every command of ours in the page's blocks."""
    for block in blocks(page):
        yield from block.commands()


def mentioned(page: str) -> Iterator[tuple[int, list[str]]]:
    """Line, and words, of every command of ours within a sentence; they may be cut short."""
    for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8")):
        for part in token.children or ():
            if part.type == "code_inline":
                for words in _split(part.content):
                    yield token.map[0] + 1, words


def _split(line: str) -> Iterator[list[str]]:
    """The commands of ours in a line of a shell; a program may be named with its folder."""
    if not re.search(rf"\b({'|'.join(PROGRAMS)}) ", line):
        return
    lexer = shlex.shlex(line, punctuation_chars="&|;", posix=True)
    lexer.whitespace_split = True
    part: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("&|;"):
            name = Path(part[0]).name if part else ""
            if name in PROGRAMS and len(part) > 1:
                yield [name, *part[1:]]
            part = []
        else:
            part.append(word)
