"""Writing a result: tried before the work, and whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

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

    Raises:
        BadRequest: the system refuses; nothing is left behind.
    """
    created, temporary = False, ""
    try:
        place = os.path.realpath(path)
        temporary = f"{place}.{os.getpid()}.tmp"
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


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
