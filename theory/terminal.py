"""What the three command lines share: how failures are told, and tables."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from theory.errors import BadRequest, PlateauError

INTERNAL_ERROR = 5
INTERRUPTED = 130
CLOSED_PIPE = 141
OUT_OF_MEMORY = (
    "out of memory: no result was written; give the process more (ulimit -v), take a smaller "
    "model, fewer --cells, or a lower --memory"
)
SPARE = 1 << 27
LEAST, A_THREAD = 1 << 30, 64 << 20
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
            if _of_memory(problem) or _nearly_full():
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


def enough_memory() -> None:
    """Refuse a limit of memory (ulimit -v) under which torch and BLAS cannot even be loaded.

    Where they run out they end the process themselves, OpenBLAS with exit code 1, which here
    would mean REFUTED. LEAST is enough for one thread, measured; each other thread reserves more.

    Raises:
        BadRequest: the limit is lower.
    """
    try:
        import resource
    except ImportError:  # a system without limits
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isascii() and given.isdigit() else os.cpu_count() or 1
    need = LEAST + max(0, threads - 1) * A_THREAD
    if limit != resource.RLIM_INFINITY and limit < need:
        raise BadRequest(
            f"the process may use {limit >> 20} MiB (ulimit -v), and torch with {threads} threads "
            f"needs {need >> 20} MiB; raise the limit, or set OMP_NUM_THREADS=1"
        )


def _nearly_full() -> bool:
    """Whether the process is within SPARE of its limit of memory (ulimit -v).

    Libraries that are loaded there fail in ways of their own, such as an error without words.
    """
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return False
    return limit != resource.RLIM_INFINITY and used > limit - SPARE


def fail(message: str, code: int) -> None:
    """Say why, and leave; the code is the same where nobody reads what is said."""
    with contextlib.suppress(BrokenPipeError):
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
