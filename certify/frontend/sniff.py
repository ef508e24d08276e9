"""What is this file, if it is not a model file? Answered from its bytes, executing nothing."""

from __future__ import annotations

import io
import pickletools
import shlex
import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

from certify.frontend.archive import BROKEN_ZIP, find_model, starts_late

_WRITE = "certify.export(module, example_input, path)"

#: What to do about each kind of file; {file} is its name, quoted for a shell.
CURES = {
    "weights": "Convert it with: certify convert {file} --arch pkg.mod:factory -o MODEL.pt, "
    "where factory() builds the module.",
    "onnx": "Convert it with: certify convert {file} -o MODEL.pt",
    "folder": "Convert it with: certify convert {file} --shape 1,TOKENS,WIDTH -o MODEL.pt",
    "object": "In Python, where you trust it, load it and write the module with "
    f"{_WRITE}, or save module.state_dict() and use certify convert.",
    "other": f"Write the module with {_WRITE}.",
    "damaged": f"Copy it again, or write it again with {_WRITE}.",
}


@dataclass(frozen=True)
class Other:
    """A file that is not a model file: what it is, and the key of its cure in `CURES`."""

    what: str
    kind: str = "other"

    def told(self, name: str) -> str:
        """In words, for the file of that name."""
        return f"this is {self.what}. {CURES[self.kind].format(file=shlex.quote(name))}"


_DAMAGED = Other("a zip archive that is cut off or damaged", "damaged")

_MAGIC = [
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "an image"),
    (b"\x7fELF", "a program"),
]

#: Modules whose objects occur in a pickled dictionary of tensors.
_TENSOR_MODULES = ("torch", "collections", "numpy", "_codecs")


def identify(file: BinaryIO) -> Other | None:
    """What an open file is, or None for what may be a model file.

    Args:
        file: binary and seekable; it is left at an arbitrary position.
    """
    head = file.read(4096)
    if not head:
        return Other("an empty file, not a model file")
    if head.startswith(b"PK"):
        return _zip(file)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        file.seek(0)
        return _pickle(file.read(1 << 24))
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return Other(f"{what}, not a model file")
    if _is_safetensors(head):
        return Other("a safetensors file (weights only), not a model file", "weights")
    if head[0] == 8 and head[1] < 32 and (head[2:3] in b"\x12\x3a\x42" or b"onnx" in head):
        return Other("an ONNX file, not a model file", "onnx")
    if _is_text(head):
        return Other("a text file, not a model file")
    return Other("neither a zip archive nor any model format known here (it may be damaged)")


def _zip(file: BinaryIO) -> Other | None:
    try:
        with zipfile.ZipFile(file) as archive:
            if starts_late(archive):
                return _DAMAGED
            names = archive.namelist()
            if find_model(names) is not None:
                return None
            return _other_zip(archive, names)
    except BROKEN_ZIP:
        return _DAMAGED


def _other_zip(archive: zipfile.ZipFile, names: list[str]) -> Other:
    if any(n.endswith("serialized_exported_program.json") for n in names):
        return Other(
            "an exported program in the format of an older torch; load it with that torch first"
        )
    if any("data/aotinductor/" in n for n in names):
        return Other("a compiled AOTInductor package, not a model file")
    if any(n.endswith("constants.pkl") for n in names) or any("/code/" in n for n in names):
        return Other("a TorchScript archive, not a model file")
    data = [n for n in names if n.rpartition("/")[2] == "data.pkl"]
    if data:
        with archive.open(data[0]) as stream:
            return _pickle(stream.read(1 << 24))
    if names and all(n.endswith(".npy") for n in names):
        return Other("a numpy archive, not a model file")
    return Other("a zip archive without models/model.json, not a model file")


def _pickle(data: bytes) -> Other:
    """Which kind of pickle, by the names in it; opcodes are listed, never executed."""
    globals_, texts = _names(data)
    foreign = [g for g in globals_ if g.split(".")[0] not in _TENSOR_MODULES]
    if foreign or any(g.startswith("torch.nn.modules") for g in globals_):
        return Other("a pickled module or object, which is never executed here", "object")
    marks = ("state_dict", "optimizer", "epoch", "model")
    if any(t in marks or t.endswith("_state_dict") for t in texts):
        return Other("a training checkpoint, not a model file", "weights")
    if any(g.startswith("torch") for g in globals_):
        return Other("a state dict, not a model file", "weights")
    return Other("a pickle, not a model file", "object")


def _names(data: bytes) -> tuple[list[str], list[str]]:
    """Modules that a pickle imports from, and the texts in it."""
    globals_: list[str] = []
    texts: list[str] = []
    stream = io.BytesIO(data)
    try:
        for _ in range(5):  # old torch files are five pickles, one after the other
            for opcode, value, _ in pickletools.genops(stream):
                if opcode.name == "GLOBAL":
                    globals_.append(str(value).split(" ")[0])
                elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                    globals_.append(texts[-2])
                elif isinstance(value, str):
                    texts.append(value)
    except (ValueError, IndexError, struct.error, OverflowError):
        pass  # cut off, or not a pickle after all; what was seen will do
    return globals_, texts


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 1 << 32


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return all(c.isprintable() or c in "\r\n\t\f" for c in text)
