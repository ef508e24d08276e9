"""Writing a result: tried before the work, and whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from theory.errors import BadRequest


def destination(path: str | os.PathLike[str]) -> Path:
    """The file that `path` means, after any link; tried before minutes of work are spent.

    Raises:
        BadRequest: nothing can be written there.
    """
    try:
        place = Path(os.path.realpath(path))
        if place.exists() and not place.is_file():
            raise BadRequest(f"cannot write {path}: it exists and is not a file")
        if place.exists() and not os.access(place, os.W_OK):
            raise BadRequest(f"cannot write {path}: it exists and is read-only")
        if not place.parent.is_dir():
            raise BadRequest(f"cannot write {path}: there is no folder {Path(path).parent}")
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".plateau-"):
            pass
    except (OSError, ValueError) as error:
        raise BadRequest(f"cannot write {path}: {_reason(error)}") from None
    return place


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside `path` and move into place: the old file stays until the new one is whole.

    The name beside it is drawn anew each time, so what a killed process left there is in nobody's
    way, and of two processes that write the same file the later one wins, with a whole file.

    Raises:
        BadRequest: the system refuses; nothing is left behind.
    """
    created, temporary = False, ""
    try:
        place = os.path.realpath(path)
        # Not made of the file's own name, which may be as long as names can be.
        temporary = os.path.join(os.path.dirname(place), f".plateau-{secrets.token_hex(8)}.tmp")
        with open(temporary, "xb") as file:
            created = True
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
        created = False
    except (OSError, ValueError) as error:
        raise BadRequest(f"cannot write {path}: {_reason(error)}") from error
    finally:
        if created:
            os.unlink(temporary)


@contextmanager
def alone(lock: str | os.PathLike[str], busy: str) -> Iterator[None]:
    """Hold the file `lock`, made if need be and removed at the end, for this process alone.

    The system lets go of it when the process ends, however it ends.

    Args:
        lock: the file.
        busy: what to say if another process holds it.

    Raises:
        BadRequest: another process holds it, or it cannot be made.
    """
    with _locked(lock, busy):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)


def _locked(lock: str | os.PathLike[str], busy: str) -> IO[str]:
    """The open file, locked, and still the one of that name: its last holder removed it."""
    while True:
        try:
            file = open(lock, "a")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise BadRequest(f"cannot write {lock}: {_reason(error)}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(lock) and os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                return file
        except BlockingIOError:
            file.close()
            raise BadRequest(busy) from None
        except FileNotFoundError:  # removed between the two looks at it
            pass
        except OSError as error:
            file.close()
            raise BadRequest(f"cannot lock {lock}: {_reason(error)}") from None
        file.close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
