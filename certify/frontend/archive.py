"""The bytes of a model file -> `Program`: operators, constants, and where they come from.

The archive is read as zip, JSON and raw numbers. Nothing in it is executed or unpickled, and
neither is torch imported. Every member's checksum is verified, needed or not.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from certify.errors import Unsupported
from certify.frontend.arguments import Damaged, field, tensor_meta, text
from certify.frontend.program import Program, read_program

MAX_BYTES = 4 << 30
MAX_RATIO = 100
MAX_SMALL = 64 << 20
CHUNK = 1 << 20

#: Stored tensors by name, each with the member that holds it.
Tensors: TypeAlias = dict[str, tuple[np.ndarray | None, str]]

#: What reading a damaged zip archive may raise.
BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
)


@dataclass(frozen=True)
class Archive:
    """An open archive, all of whose members have the right checksum."""

    zip: zipfile.ZipFile
    root: str

    def member(self, name: str) -> bytes:
        """The bytes of a member under the root folder.

        Raises:
            Damaged: there is none.
        """
        try:
            return self.zip.read(self.root + name)
        except BROKEN_ZIP as error:
            raise Damaged(f"the archive has no readable member {name}") from error

    def json(self, name: str) -> dict[str, Any]:
        """A member that holds a JSON object.

        Raises:
            Damaged: it does not.
        """
        try:
            out = json.loads(self.member(name))
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{name} is not JSON") from error
        if not isinstance(out, dict):
            raise Damaged(f"{name} is not a JSON object")
        return out


def verify(archive: zipfile.ZipFile) -> None:
    """Read every member once and compare its checksum.

    Raises:
        Damaged: a checksum is wrong, a name occurs twice, or a size is absurd.
        One of `BROKEN_ZIP`: the structure of the archive is damaged.
    """
    members = archive.infolist()
    if sum(m.file_size for m in members) > MAX_BYTES:
        raise Damaged(f"the archive claims to unpack to more than {MAX_BYTES >> 30} GiB")
    if starts_late(archive):
        raise Damaged("the archive is cut off, or something stands in front of it")
    if len({m.filename for m in members}) != len(members):
        raise Damaged("a name occurs twice in the archive")
    for member in members:
        if member.file_size > max(MAX_SMALL, MAX_RATIO * member.compress_size):
            raise Damaged(f"{member.filename} is compressed more than {MAX_RATIO} times")
        with archive.open(member) as stream:
            while stream.read(CHUNK):
                pass


def starts_late(archive: zipfile.ZipFile) -> bool:
    """Whether the archive begins inside the file.

    A model file holds another zip archive near its end (the sample inputs). When the end is
    cut off, zipfile takes that one for the whole.
    """
    return min((m.header_offset for m in archive.infolist()), default=0) > 0


def find_model(names: list[str]) -> str | None:
    """The root folder of an exported program ("archive/"), or None if there is none."""
    ends = "models/model.json"
    roots = [n[: -len(ends)] for n in names if n.endswith(ends)]
    return roots[0] if len(roots) == 1 and roots[0].count("/") <= 1 else None


def read_archive(file: BinaryIO) -> Program:
    """The program in an open model file.

    Raises:
        Damaged: it is damaged or not an exported program.
        Unsupported: it is, in a form that cannot be certified (dynamic shapes, ...).
    """
    try:
        with zipfile.ZipFile(file) as opened:
            verify(opened)
            root = find_model(opened.namelist())
            if root is None:
                raise Damaged("the archive has no models/model.json")
            archive = Archive(opened, root)
            if root + "byteorder" in opened.namelist() and archive.member("byteorder") != b"little":
                raise Damaged("the numbers are not stored in little-endian order")
            return read_program(archive.json("models/model.json"), read_tensors(archive))
    except BROKEN_ZIP as error:
        raise Damaged(f"the zip archive is damaged ({error or type(error).__name__})") from error


def read_tensors(archive: Archive) -> dict[str, Tensors]:
    """Stored tensors by kind ("weights", "constants") and name.

    Returns:
        for each kind a mapping from name to (array, member name).

    Raises:
        Damaged: a tensor does not fit its own description.
    """
    out = {}
    for kind in ("weights", "constants"):
        config = archive.json(f"data/{kind}/model_{kind}_config.json")
        out[kind] = {
            name: (_stored(archive, kind, name, entry), text(entry, "path_name"))
            for name, entry in field(config, "config", dict).items()
        }
    return out


def _stored(archive: Archive, kind: str, name: str, entry: Any) -> np.ndarray | None:
    """One stored tensor, or None for one that is pickled: it is refused only if it is used."""
    if field(entry, "use_pickle", bool) or entry.get("tensor_meta") is None:
        return None
    meta = tensor_meta(field(entry, "tensor_meta", dict), name)
    data = archive.member(f"data/{kind}/{text(entry, 'path_name')}")
    if meta.dtype.name.startswith("complex"):
        raise Unsupported(
            f"{name} is made of complex numbers, which are not lowered; write the rotation with "
            "sin and cos of real tensors and export the model again"
        )
    if meta.dtype.raw is None:
        raise Damaged(f"{name} is stored in a number format that is not known here")
    if len(data) % meta.dtype.raw.itemsize:
        raise Damaged(f"{name} is cut off")
    flat = np.frombuffer(data, dtype=meta.dtype.raw)
    shape, strides = meta.shape, meta.strides
    if len(strides) != len(shape) or min((*strides, meta.offset), default=0) < 0:
        raise Damaged(f"{name} has impossible strides")
    if 0 in shape:
        return meta.dtype.exact(np.zeros(shape, meta.dtype.raw))
    end = meta.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if end >= len(flat):
        raise Damaged(f"{name} is longer than its data")
    steps = [s * flat.itemsize for s in strides]
    view = np.lib.stride_tricks.as_strided(flat[meta.offset :], shape, steps, writeable=False)
    return meta.dtype.exact(view)
