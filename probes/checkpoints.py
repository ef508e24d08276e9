"""Training that goes on where it was stopped: a file of tensors, read without running code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch

from certify.frontend.archive import verify
from theory.errors import BadRequest
from theory.files import replace_file

FORMAT = "plateau-checkpoint/1"


def write(path: Path, key: str, state: dict[str, object]) -> None:
    """Write `state` for the setting `key`, whole or not at all.

    Args:
        path: the file.
        key: of the setting that the state belongs to.
        state: tensors, numbers, text, and lists and dictionaries of them.

    Raises:
        BadRequest: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "key": key, "state": state}, buffer)
    replace_file(path, buffer.getvalue())


def damaged(path: Path, why: object) -> BadRequest:
    """The error for a file that training cannot go on from."""
    reason = str(why).strip().split("\n")[0]
    return BadRequest(
        f"{path} is not a whole checkpoint ({reason}); remove it to train from the start"
    )


def read(path: Path, key: str) -> dict[str, object] | None:
    """The state in a file, or None where there is no file.

    Raises:
        BadRequest: the file is no checkpoint, is damaged, or belongs to other settings.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            verify(archive)  # checksums, and that a small file does not unpack to any size
        found = torch.load(path, weights_only=True)
    except Exception as error:
        raise damaged(path, error) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadRequest(f"{path} is not a checkpoint of `probes`; name another file")
    if not isinstance(found.get("state"), dict):
        raise damaged(path, "it holds no state")
    if found.get("key") != key:
        raise BadRequest(
            f"{path} belongs to a training with other settings; use those, or remove it"
        )
    return found["state"]
