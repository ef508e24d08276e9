"""Where in the user's model an operator comes from: module path and source line."""

from __future__ import annotations

import re
from typing import Any

_FRAME = re.compile(r'File "([^"\n]*)", line (\d+)')


def short(path: str, folder: str = "") -> str:
    """A source path without anything about the machine.

    Args:
        path: as Python reports it.
        folder: paths below it become relative to it.

    Returns:
        what follows site-packages/, or the path relative to `folder`, or the bare file name;
        a path that is relative already stays as it is.
    """
    path = path.replace("\\", "/")
    for packages in ("/site-packages/", "/dist-packages/"):
        if packages in path:
            return path.rpartition(packages)[2]
    folder = folder.replace("\\", "/").rstrip("/")
    if folder and path.startswith(folder + "/"):
        return path[len(folder) + 1 :]
    if path.startswith(("/", "~")) or re.match("[A-Za-z]:/", path) or ".." in path.split("/"):
        return path.rpartition("/")[2]
    return path


def shorten_trace(trace: str, folder: str = "") -> str:
    """A stack trace with every file path made `short`."""
    return _FRAME.sub(lambda m: f'File "{short(m[1], folder)}", line {m[2]}', trace)


def origin(metadata: Any) -> str:
    """ "encoder.layers.0 (model.py:41)" from the metadata of an operator; parts may be missing."""
    metadata = metadata if isinstance(metadata, dict) else {}
    stack, trace = metadata.get("nn_module_stack"), metadata.get("stack_trace")
    module = _module(stack) if isinstance(stack, str) else ""
    line = _line(trace) if isinstance(trace, str) else ""
    if module and line:
        return f"{module} ({line})"
    return module or line or "(unknown place)"


def _module(stack: str) -> str:
    """The path of the innermost module; the class name for the model itself."""
    parts = stack.split(";")[-1].split(",")
    if len(parts) < 3:
        return ""
    return printable(parts[1] or parts[2].rpartition(".")[2])


def _line(trace: str) -> str:
    """The innermost line that is not torch's own, or the innermost line."""
    frames = [(path, line) for path, line in _FRAME.findall(trace)]
    if not frames:
        return ""
    own = [f for f in frames if "site-packages/" not in f[0] and not f[0].startswith("torch/")]
    path, line = (own or frames)[-1]
    return f"{printable(short(path))}:{line}"


def printable(name: str, limit: int = 200) -> str:
    """Text from a file made safe for a terminal: printable ASCII, and not endless."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name)[:limit]
