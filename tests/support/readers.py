"""Every reader of the project, with good files to damage, for the fuzzer.

A reader takes a path. It may raise the project's own exceptions for what a user can cause, and
nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mutating import expression, mutated, mutated_json, mutated_zip
from torch import nn

Made = Callable[[random.Random], bytes]


@dataclass(frozen=True)
class Reader:
    """read: called with a path; make: ways to make a file; allowed: exceptions besides
    PlateauError; name: of the file, which matters to some."""

    read: Callable[[Path], object]
    make: tuple[Made, ...]
    allowed: tuple[type[Exception], ...] = field(default=())


class Tiny(nn.Module):
    """A hidden layer, LayerNorm and attention of two tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(1, 4), nn.LayerNorm(4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(torch.tanh(self.first(x))).reshape(1, 2, 2)
        return self.last((torch.softmax(h @ h.transpose(1, 2), -1) @ h).reshape(1, 4))


class Bomb:
    """Makes a folder if it is unpickled."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.target,)


def readers(folder: Path) -> dict[str, Reader]:
    """All of them; their good files are made in `folder`."""
    torch.manual_seed(0)
    made = (_model, _checkpoint, _training, _safetensors, _state, _certificate, _onnx, _texts,
            _bert, _results)  # fmt: skip
    out: dict[str, Reader] = {}
    for make in made:
        out |= make(folder)
    return out


def _noise(*seeds: bytes) -> Made:
    return lambda rng: mutated(rng.choice(seeds), rng, list(seeds))


def _model(folder: Path) -> dict[str, Reader]:
    from certify.frontend import load
    from certify.frontend.export import export

    path = folder / "good.pt"
    export(Tiny().eval(), torch.zeros(1, 1), path)
    data = path.read_bytes()
    return {"model": Reader(load, (_noise(data), lambda rng: mutated_zip(data, rng)))}


def _saved(thing: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def _checkpoint(folder: Path) -> dict[str, Reader]:
    from certify.frontend.weights import read_checkpoint

    state = Tiny().state_dict()
    zipped = _saved({"epoch": 3, "model": state})
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    old, bomb = buffer.getvalue(), pickle.dumps(Bomb(str(folder / "executed")), 2)

    def packed(rng: random.Random) -> bytes:
        """A zip whose pickle is damaged, and whose checksums are right."""
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        name = next(n for n in members if n.endswith("data.pkl"))
        content = members[name] if rng.random() < 0.7 else bomb
        members[name] = mutated(content, rng, [bomb, members[name]])
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, one in members.items():
                archive.writestr(member, one)
        return out.getvalue()

    return {"checkpoint": Reader(read_checkpoint, (_noise(zipped, old, bomb), packed))}


def _training(folder: Path) -> dict[str, Reader]:
    from probes import checkpoints

    path = folder / "training.ckpt"
    module = Tiny()
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.zeros(1, 1)).sum().backward()
    optimizer.step()
    state = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "step": 3}
    checkpoints.write(path, "key", state)
    return {"training checkpoint": Reader(lambda p: checkpoints.read(p, "key"),
                                          (_noise(path.read_bytes()),))}  # fmt: skip


def _safetensors(folder: Path) -> dict[str, Reader]:
    from safetensors.torch import save

    from certify.frontend.weights import read_safetensors

    data = save(Tiny().state_dict())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])

    def described(rng: random.Random) -> bytes:
        text = json.dumps(mutated_json(header, rng)).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + size :]

    return {"safetensors": Reader(read_safetensors, (_noise(data), described))}


def _state(folder: Path) -> dict[str, Reader]:
    from certify.checking import check
    from certify.frontend import load
    from certify.frontend.target import compare
    from certify.options import Options, partition
    from certify.resuming import FORMAT, StateFile, question
    from certify.run import Limits
    from certify.search import Problem
    from theory.targets import find_target

    path, model = folder / "good.state", load(folder / "good.pt")
    options = Options(cells=2, gap=0.5, domain=(0.0, 1.0), limits=Limits(10))
    check(model, "exp", options, resume=path)
    target = find_target("exp", None)
    cells = partition(0.0, 1.0, options)
    asked = question(model, target.expression, options, cells)
    problem = Problem(compare(model, target.expression, None), cells)
    payload = path.read_bytes().split(b"\n", 1)[1]
    size = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + size])

    def sealed(inner: bytes) -> bytes:
        return FORMAT + b" " + hashlib.sha256(inner).hexdigest().encode() + b"\n" + inner

    def described(rng: random.Random) -> bytes:
        mine = json.loads(json.dumps(header))
        if rng.random() < 0.6:
            part = rng.choice(("question", "searches"))
            inner = json.loads(mine["__metadata__"][part])
            mine["__metadata__"][part] = json.dumps(mutated_json(inner, rng))
        else:
            mine = mutated_json(mine, rng)
        text = json.dumps(mine).encode()
        return sealed(len(text).to_bytes(8, "little") + text + payload[8 + size :])

    def numbers(rng: random.Random) -> bytes:
        out = bytearray(payload)
        for _ in range(rng.choice((1, 1, 3))):
            at = 8 + size + 8 * rng.randrange((len(payload) - 8 - size) // 8)
            specials = (0.0, 1.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e300, 5e-324)
            out[at : at + 8] = rng.choice(
                [struct.pack("<d", rng.choice(specials)), rng.randbytes(8),
                 struct.pack("<q", rng.choice((0, 1, -1, 2, 2**62)))]
            )  # fmt: skip
        return sealed(bytes(out))

    def read(place: Path) -> object:
        return StateFile(place, asked).found(problem, options.goal)

    shallow = _noise(path.read_bytes())
    return {"state": Reader(read, (shallow, lambda r: sealed(mutated(payload, r)), described,
                                   numbers))}  # fmt: skip


def _certificate(folder: Path) -> dict[str, Reader]:
    import gzip

    from certify.certificate.reading import read
    from certify.certificate.writing import as_bytes, as_data, digest
    from certify.checker.frame import Rejected, check_frame
    from certify.checking import check
    from certify.options import Options
    from certify.report.certificate import as_certificate
    from certify.run import Limits

    options = Options(cells=2, gap=0.5, within=9.0, domain=(0.0, 1.0), limits=Limits(10))
    data = as_data(as_certificate(check(folder / "good.pt", "exp", options)))
    plain, packed = as_bytes(data), as_bytes(data, packed=True)

    def sealed(rng: random.Random) -> bytes:
        changed = mutated_json(data, rng)
        try:
            text = json.dumps(changed | {"digest": digest(changed)})
        except (AttributeError, TypeError, ValueError):
            text = json.dumps(changed)
        raw = text.encode()
        return gzip.compress(raw, 1) if rng.random() < 0.1 else raw

    def bomb(rng: random.Random) -> bytes:
        return gzip.compress(b"[" * rng.choice((10**4, 10**6, 3 * 10**7)), 9)

    return {"certificate": Reader(lambda p: check_frame(read(p)),
                                  (_noise(plain, packed), sealed, sealed, sealed,
                                   lambda r: bomb(r) if r.random() < 0.02 else sealed(r)),
                                  (Rejected,))}  # fmt: skip


def _onnx(folder: Path) -> dict[str, Reader]:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper
    from onnx_files import saved

    from certify.frontend.onnx.module import onnx_module

    node = helper.make_node
    rng = np.random.default_rng(0)
    weight = rng.random((4, 4)).astype("f4")
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["c"]),
        node("Softmax", ["c"], ["d"], axis=-1),
        node("Transpose", ["d"], ["e"], perm=[0, 2, 1]),
        node("Reshape", ["e", "s"], ["f"]),
        node("ReduceMean", ["f"], ["y"], keepdims=1),
    ]
    constants = {"w": weight, "b": weight[0], "s": np.array([1, 12])}
    data = Path(saved(folder / "good.onnx", nodes, constants=constants)).read_bytes()

    def built(random_: random.Random) -> bytes:
        """Valid protobuf, wrong model: cycles, absurd shapes, foreign files, odd types."""
        model = onnx.load_model_from_string(data)
        graph = model.graph
        for _ in range(random_.choice((1, 1, 2))):
            one = random_.choice(graph.node)
            kind = random_.randrange(9)
            if kind == 0 and one.input:
                one.input[random_.randrange(len(one.input))] = random_.choice(("y", "x", "", "s"))
            elif kind == 1:
                one.op_type = random_.choice(("Loop", "Exp", "Gather", "Slice", "Expand", "Conv",
                                              "Pad", "Tile", "ConstantOfShape"))  # fmt: skip
            elif kind == 2:
                values = [random_.choice((-1, 0, 1, 12, 2**31, 2**40, 2**62)) for _ in "abc"]
                shape = numpy_helper.from_array(np.array(values), "s")
                graph.initializer[2].CopyFrom(shape)
            elif kind == 3:
                del graph.node[random_.randrange(len(graph.node))]
            elif kind == 4:
                graph.node.append(graph.node[random_.randrange(len(graph.node))])
            elif kind == 5:
                tensor = random_.choice(graph.initializer)
                tensor.dims[0] = random_.choice((0, -1, 3, 2**40, 2**62))
            elif kind == 6:
                tensor = random_.choice(graph.initializer)
                tensor.data_location = 1
                entry = tensor.external_data.add()
                entry.key, entry.value = "location", random_.choice(
                    ("../x", "/etc/passwd", "good.pt", ".", "", "\0"))  # fmt: skip
            elif kind == 7:
                axis = graph.input[0].type.tensor_type.shape.dim[random_.randrange(3)]
                axis.dim_value = random_.choice((0, 1, 10**5, 10**9, 2**40))
            else:
                for attribute in one.attribute:
                    attribute.i = random_.choice((-1, 5, 2**40))
            if not graph.node:
                break
        return model.SerializeToString()

    return {"onnx": Reader(lambda p: onnx_module(str(p), None), (_noise(data), built))}


def _texts(folder: Path) -> dict[str, Reader]:
    from certify.frontend.curve import curve, straight
    from theory.targets import find_target

    def text(path: Path) -> str:
        return path.read_bytes().decode("utf-8", "replace")

    seeds = [b"sin(3*x) + x^2/4", b"exp(-x^2)*cbrt(x)", b"max(x, -x, 1e-3)", b"((x))**(1/3)"]
    grammar = lambda rng: expression(rng).encode()  # noqa: E731
    segment = [b"[0.5, 1]", b"[[0, 1e308], [2, -0.0]]"]

    def numbers(rng: random.Random) -> bytes:
        return json.dumps(mutated_json([[0.5, 1], [1e308, 3]], rng)).encode()

    return {
        "expression": Reader(lambda p: find_target(text(p), None), (_noise(*seeds), grammar)),
        "curve": Reader(lambda p: curve(text(p)), (_noise(b"t^3,t", b"max(t,0),(t)"), grammar)),
        "segment": Reader(lambda p: straight(p, p), (_noise(*segment), numbers)),
    }


def _bert(folder: Path) -> dict[str, Reader]:
    from certify.frontend.bert import from_folder

    place = folder / "bert"
    place.mkdir()
    config = {"model_type": "bert", "hidden_size": 4, "num_attention_heads": 2,
              "num_hidden_layers": 1, "intermediate_size": 8, "max_position_embeddings": 4,
              "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}  # fmt: skip
    (place / "model.safetensors").write_bytes(b"")  # the config is what is read first

    def read(path: Path) -> object:
        (place / "config.json").write_bytes(path.read_bytes())
        return from_folder(str(place), (1, 2, 4))

    return {"BERT config": Reader(
        read, (_noise(json.dumps(config).encode()),
               lambda rng: json.dumps(mutated_json(config, rng)).encode()))}  # fmt: skip


def _results(folder: Path) -> dict[str, Reader]:
    from probes.store import Store, content_key

    store, settings = Store(folder / "store"), {"a": 1}
    with store.opened():
        store.put(settings, {"x": 0.5})
    place = folder / "store" / "results" / f"{content_key(settings)}.json"
    good = place.read_bytes()

    def read(path: Path) -> object:
        place.write_bytes(path.read_bytes())
        return store.get(settings)

    return {"result of probes paper": Reader(
        read, (_noise(good),
               lambda rng: json.dumps(mutated_json(json.loads(good), rng)).encode()))}  # fmt: skip
