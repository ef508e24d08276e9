"""Model files: `load` reads one into a graph. Torch is not needed for that, nor imported."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

from certify.errors import UnreadableFile, Unsupported
from certify.frontend.archive import CHUNK, read_archive
from certify.frontend.arguments import Damaged
from certify.frontend.lower import lower
from certify.frontend.origin import printable
from certify.frontend.program import Program
from certify.frontend.sniff import Other, identify
from certify.graph import Graph, Shape

__all__ = ["Model", "Program", "load"]


@dataclass(frozen=True, eq=False)
class Model:
    """A model read from a file.

    Attributes:
        path: as it was given.
        sha256: of the whole file.
        graph: the model as a real function; its one output is named "model".
        parameters: number of trained numbers.
        inputs: shape of the input, with its batch axis of length 1.
        outputs: shape of the output, as the module returns it.
        program: the archive's own operators, for `certify.frontend.agree`.
    """

    path: str
    sha256: str
    graph: Graph
    parameters: int
    inputs: Shape
    outputs: Shape
    program: Program


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model file written by `certify.export` or `torch.export.save`.

    The file is data: nothing in it is executed. Scalars of the model (epsilons, scales) mean
    the doubles stored in it; weights mean exactly the numbers stored, whatever their type.

    Raises:
        UnreadableFile: there is no such file, it is damaged, or it is something else; the
            text says what it is and what to do.
        Unsupported: the model uses something that has no lowering to the primitives.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            other = identify(file)
            if other is not None:
                raise UnreadableFile(f"{name}: {other.told(name)}")
            return read(file, name)
    except OSError as error:
        raise UnreadableFile(_cannot_open(name, error)) from error


def read(file: BinaryIO, name: str) -> Model:
    """Read an open model file; errors call it `name`.

    Raises:
        UnreadableFile: it is damaged.
        Unsupported: the model uses something that has no lowering to the primitives.
    """
    try:
        digest = hashlib.sha256()
        file.seek(0)
        while block := file.read(CHUNK):
            digest.update(block)
        file.seek(0)
        program = read_archive(file)
        graph = lower(program)
    except Damaged as error:
        text = printable(str(error), limit=600)
        raise UnreadableFile(f"{name}: not a sound model file: {text}") from error
    except Unsupported as error:
        where = "" if str(error).startswith("cannot certify") else f"{name}: "
        raise Unsupported(f"{where}{error}") from error
    return Model(
        path=name,
        sha256=digest.hexdigest(),
        graph=graph,
        parameters=program.parameters,
        inputs=graph.input_shape,
        outputs=graph.shape(graph.outputs["model"]),
        program=program,
    )


def _cannot_open(name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name}: there is no such file; write one with certify.export or `probes train`."
    if isinstance(error, IsADirectoryError):
        if os.path.isfile(os.path.join(name, "config.json")):
            return f"{name}: {Other('a folder with a config.json', 'folder').told(name)}"
        return f"{name}: this is a folder, not a model file; name the file itself."
    return f"{name}: cannot be opened ({error.strerror or error}); check the path and permissions."
