"""What was tried to make this toolkit wrong, and how often it was: tables from stored counts.

Every `*.json` here is {"title", "rows": [{"what", "tried", "failed", "note"}]}. docs/conf.py puts
the tables into docs/reliability.md; `python -m benchmarks.reliability` prints them. Made by

    PLATEAU_LAWS=benchmarks/reliability/laws.json pytest tests/laws tests/traps
    python -m tests.mutants --json benchmarks/reliability/mutants.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEYS = ("what", "tried", "failed", "note")
NOTHING = "No counts are stored; `benchmarks/reliability/__init__.py` says how they are made."


def render(folder: Path = HERE) -> str:
    """All tables, as Markdown; a file that cannot be read is named instead of its table."""
    parts = [part for path in sorted(folder.glob("*.json")) for part in _section(path)]
    return "\n".join(parts or [NOTHING, ""])


def _section(path: Path) -> Iterator[str]:
    try:
        title, rows = _checked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield f"`{path.name}` cannot be read: {type(error).__name__}.\n"
        return
    yield f"## {title}\n"
    yield "| what | tried | failed | |"
    yield "|---|---:|---:|---|"
    for row in rows:
        yield "| " + " | ".join(_cell(row[key]) for key in KEYS) + " |"
    tried, failed = (sum(int(row[key]) for row in rows) for key in ("tried", "failed"))
    if len(rows) > 1:
        yield f"| **together** | {tried:,} | {failed:,} | |"
    yield ""


def _checked(data: Any) -> tuple[str, list[dict[str, Any]]]:
    """Title and rows.

    Raises:
        ValueError, TypeError, KeyError: the data has another form.
    """
    title, rows = data["title"], data["rows"]
    if not isinstance(title, str) or not isinstance(rows, list):
        raise ValueError("a title and a list of rows are expected")
    for row in rows:
        if set(row) != set(KEYS) or not all(type(row[key]) is int for key in ("tried", "failed")):
            raise ValueError(f"a row has exactly {', '.join(KEYS)}")
    return title, rows


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(str(value).split()).replace("|", "\\|")
