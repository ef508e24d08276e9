"""What the three command lines share: how failures are told, and tables."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from theory.errors import PlateauError

INTERNAL_ERROR = 5
INTERRUPTED = 130
CLOSED_PIPE = 141
OUT_OF_MEMORY = (
    "out of memory: nothing was written; give the process more (ulimit -v), take a smaller model, "
    "fewer --cells, or a lower --memory"
)
NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "failed to map segment",
             "out of memory", "bad_alloc")  # fmt: skip


def told(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose every failure is one message on stderr and its exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except PlateauError as problem:
            fail(str(problem), problem.exit_code)
        except KeyboardInterrupt:
            fail("interrupted: nothing was written", INTERRUPTED)
        except BrokenPipeError:
            # Python flushes stdout once more on its way out; there it must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(CLOSED_PIPE) from None
        except typer.Exit:
            raise
        except MemoryError:
            fail(OUT_OF_MEMORY, PlateauError.exit_code)
        except Exception as problem:
            if _of_memory(problem):
                fail(OUT_OF_MEMORY, PlateauError.exit_code)
            if getattr(problem, "exit_code", None) == INTERNAL_ERROR:
                fail(f"internal error: {problem}", INTERNAL_ERROR)
            # Only a mistake in this program gets here, and mending it needs the traceback.
            traceback.print_exc()
            raise typer.Exit(INTERNAL_ERROR) from None

    return run


def _of_memory(problem: BaseException | None) -> bool:
    """Whether memory ran out, in the words of torch, Z3, the loader of libraries or the system."""
    while problem is not None:
        if isinstance(problem, MemoryError) or any(w in str(problem).lower() for w in NO_MEMORY):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def fail(message: str, code: int) -> None:
    """Say why, and leave."""
    typer.echo(message, err=True)
    raise typer.Exit(code) from None


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns: drawn on a terminal, plain and aligned in a pipe."""
    if not sys.stdout.isatty():
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        for row in rows:
            typer.echo("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*head)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)
