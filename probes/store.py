"""Results of experiments on disk, each under the hash of the settings that it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theory.errors import BadRequest
from theory.files import alone, replace_file

SCHEMA = "plateau-experiment/1"
PARTS = ("results", "checkpoints", "models")


def content_key(content: dict[str, Any]) -> str:
    """32 hexadecimal digits for a dictionary: SHA-256 of its JSON with sorted keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Store:
    """A folder with one JSON file per result, and beside them checkpoints and models.

    Attributes:
        folder: exists, or can be made.
    """

    folder: Path

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The store for this process alone; the system lets go of it when the process ends.

        Raises:
            BadRequest: the folder cannot be made or another process works in it.
        """
        try:
            for part in PARTS:
                (self.folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(f"cannot write to {self.folder}: {error.strerror}") from None
        busy = (
            f"another process is at work in {self.folder}; wait for it, or choose another folder "
            "with --output"
        )
        with alone(self.folder / ".lock", busy):
            # What a process killed in the middle of writing left behind.
            for part in PARTS:
                for rest in (self.folder / part).glob("*.tmp"):
                    rest.unlink()
            yield self

    def checkpoint(self, key: str) -> Path:
        """Where the training of `key` is saved."""
        return self.folder / "checkpoints" / f"{key}.ckpt"

    def model(self, key: str) -> Path:
        """Where the trained model of `key` is."""
        return self.folder / "models" / f"{key}.pt"

    def get(self, content: dict[str, Any]) -> dict[str, Any] | None:
        """The result of these settings, or None.

        Raises:
            BadRequest: its file is damaged or holds other settings.
        """
        file = self.folder / "results" / f"{content_key(content)}.json"
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadRequest(f"cannot read {file}: {error.strerror}") from None
        try:
            found = json.loads(text)
            whole = found["schema"] == SCHEMA and isinstance(found["result"], dict)
            same = found["settings"] == json.loads(json.dumps(content))
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = same = False
        if not (whole and same):
            raise BadRequest(f"{file} is not the result its name says; remove it to measure again")
        return found["result"]

    def put(self, content: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep the result of these settings.

        Raises:
            BadRequest: it cannot be written.
        """
        entry = {"schema": SCHEMA, "settings": content, "result": result}
        data = json.dumps(entry, indent=1, allow_nan=False).encode() + b"\n"
        replace_file(self.folder / "results" / f"{content_key(content)}.json", data)
