"""Files that are not model files, damaged ones and hostile ones: one clear message each."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from certify.errors import PlateauError, UnreadableFile, Unsupported
from certify.evaluate import evaluate
from certify.frontend import load

POINT = torch.full((1, 1, 1), 0.3, dtype=torch.float64)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def pack(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def edited(model_file, path, edit):
    """A copy of the model file with `edit` applied to its model.json."""
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("models/model.json"))
    model = json.loads(contents[name])
    contents[name] = json.dumps(edit(model) or model).encode()
    return pack(path, contents)


def refusal(path, error=UnreadableFile):
    with pytest.raises(error) as caught:
        load(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and "Traceback" not in text
    return text


def make_files(folder):
    def saved(name, thing):
        torch.save(thing, folder / name)

    module = nn.Linear(1, 1)
    saved("state", module.state_dict())
    saved("checkpoint", {"epoch": 3, "model": module.state_dict()})
    saved("module", module)
    torch.jit.script(module).save(folder / "script")
    torch.save(module.state_dict(), folder / "legacy", _use_new_zipfile_serialization=False)
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (folder / "safe").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (folder / "onnx").write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:" + bytes(range(99)))
    (folder / "text").write_text("import torch\n")
    (folder / "json").write_text('{"a": 1}')
    (folder / "empty").write_bytes(b"")
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(999))
    np.savez(folder / "numpy.npz", a=np.ones(2))
    pack(folder / "zip", {"a.txt": "x"})
    (folder / "folder").mkdir()


KINDS = {
    "state": "a state dict",
    "checkpoint": "a training checkpoint",
    "module": "a pickled module",
    "script": "TorchScript",
    "legacy": "a state dict",
    "safe": "safetensors",
    "onnx": "ONNX",
    "text": "a text file",
    "json": "a text file",
    "empty": "an empty file",
    "noise": "neither a zip archive",
    "numpy.npz": "a numpy archive",
    "zip": "without models/model.json",
    "folder": "a folder",
    "missing": "no such file",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_other_files(kind, files):
    text = refusal(files / kind)
    assert KINDS[kind] in text
    if kind in ("state", "checkpoint", "legacy", "safe"):
        assert f"certify convert {files / kind} --arch pkg.mod:factory -o MODEL.pt" in text
    elif kind == "onnx":
        assert f"certify convert {files / kind} -o MODEL.pt" in text
    else:
        assert kind == "folder" or "certify.export" in text


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_cut_off(share, model_file, tmp_path):
    data = model_file.read_bytes()
    (tmp_path / "m.pt").write_bytes(data[: int(len(data) * share)])
    assert "cut off or damaged" in refusal(tmp_path / "m.pt")


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_flipped_bit(place, bit, model_file, tmp_path):
    data = bytearray(model_file.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    (tmp_path / "m.pt").write_bytes(data)
    try:
        model = load(tmp_path / "m.pt")
    except UnreadableFile:
        return
    same = evaluate(load(model_file).graph, POINT)["model"]
    assert torch.equal(evaluate(model.graph, POINT)["model"], same)


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_no_pickle_is_executed(model_file, tmp_path):
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("data/sample_inputs/model.pt"))
    contents[name] = pickle.dumps(Bomb(tmp_path / "executed"))
    assert load(pack(tmp_path / "m.pt", contents)).parameters
    torch.save(Bomb(tmp_path / "executed"), tmp_path / "b.pt")
    (tmp_path / "c.pt").write_bytes(contents[name])
    refusal(tmp_path / "b.pt")
    refusal(tmp_path / "c.pt")
    assert not (tmp_path / "executed").exists()


def test_pickled_weight_is_refused(model_file, tmp_path):
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("model_weights_config.json"))
    contents[name] = contents[name].replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    assert "never executed" in refusal(pack(tmp_path / "m.pt", contents), Unsupported)


def test_a_weight_of_one_entry_more_than_its_data(model_file, tmp_path):
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("model_weights_config.json"))
    config = json.loads(contents[name])
    entry = next(e for e in config["config"].values() if len(e["tensor_meta"]["sizes"]) == 1)
    entry["tensor_meta"]["sizes"][0]["as_int"] += 1
    contents[name] = json.dumps(config).encode()
    assert "longer than its data" in refusal(pack(tmp_path / "m.pt", contents))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(value, encoder, model_file, tmp_path):
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("weights/weight_0"))
    data = np.frombuffer(contents[name], "<f4").copy()
    data[0] = value
    contents[name] = data.tobytes()
    assert "nan or infinite" in refusal(pack(tmp_path / "m.pt", contents))


def graph_of(model):
    return model["graph_module"]["graph"]


def absurd_shape(model):
    next(iter(graph_of(model)["tensor_values"].values()))["sizes"] = [{"as_int": 1 << 40}]


def absurd_view(model):
    for node in graph_of(model)["nodes"]:
        for item in node["inputs"]:
            if "as_ints" in item["arg"]:
                item["arg"]["as_ints"] = [1 << 40, 1 << 40]


def cycle(model):
    node = graph_of(model)["nodes"][0]
    node["inputs"][0]["arg"]["as_tensor"]["name"] = node["outputs"][0]["as_tensor"]["name"]


def twice(model):
    nodes = graph_of(model)["nodes"]
    nodes.append(nodes[0])


def no_output(model):
    spec = model["graph_module"]["signature"]["output_specs"][0]
    spec["user_output"]["arg"]["as_tensor"]["name"] = "nothing"


def wrong_type(model):
    graph_of(model)["nodes"][0]["inputs"] = 3


def missing_argument(model):
    graph_of(model)["nodes"][0]["inputs"] = []


def unknown_argument(model):
    graph_of(model)["nodes"][0]["inputs"][0]["name"] = "context"


def not_a_graph(model):
    return [model]


def no_graph(model):
    del model["graph_module"]


def future(model):
    model["schema_version"]["major"] = 9


@pytest.mark.parametrize(
    "edit",
    [
        absurd_shape, absurd_view, cycle, twice, no_output, wrong_type, missing_argument,
        unknown_argument, not_a_graph, no_graph, future,
    ],
)  # fmt: skip
def test_contradictions(edit, model_file, tmp_path):
    assert "not a sound model file" in refusal(edited(model_file, tmp_path / "m.pt", edit))


def test_deep_json(model_file, tmp_path):
    contents = members(model_file)
    name = next(n for n in contents if n.endswith("models/model.json"))
    contents[name] = b"[" * 100_000
    refusal(pack(tmp_path / "m.pt", contents))


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_part_of_the_json_replaced(data, model_file, tmp_path):
    """Replace one place of model.json by something else: a refusal in words, or a graph."""
    scalars = [None, 0, -1, 7, 1 << 70, 0.5, True, "x", [], {}, [[]], {"as_int": -5}]

    def edit(model):
        place = model["graph_module"]
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(rarely):
                place[key] = data.draw(st.sampled_from(scalars))
                return
            place = place[key]

    rarely = st.integers(0, 9).map(lambda n: n == 0)
    try:
        load(edited(model_file, tmp_path / "m.pt", edit))
    except PlateauError as error:
        assert str(error)


def test_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/models/model.json", "{}")
        with archive.open("a/data/weights/weight_0", "w") as stream:
            for _ in range(80):
                stream.write(bytes(1 << 20))
    assert "compressed more than" in refusal(tmp_path / "m.pt")


def save(module, example, path, **options):
    torch.export.save(torch.export.export(module, example, **options), path)
    return path


class Sum(nn.Module):
    def forward(self, x, y):
        return x + y


class Pair(nn.Module):
    def forward(self, x):
        return x, x + 1


class Batch(nn.Module):
    def forward(self, x):
        return x * 2


def test_forms_that_cannot_be_certified(tmp_path):
    one, path = torch.ones(1, 1), tmp_path / "m.pt2"
    assert "2 inputs" in refusal(save(Sum(), (one, one), path), Unsupported)
    assert "returns 2 values" in refusal(save(Pair(), (one,), path), Unsupported)
    assert "batch" in refusal(save(Batch(), (torch.ones(5, 1),), path), Unsupported)
    assert "int64" in refusal(save(Batch(), (torch.ones(1, 1).long(),), path), Unsupported)
    shapes = {"x": {0: torch.export.Dim("batch", min=2, max=9)}}
    save(Batch(), (torch.ones(5, 1),), path, dynamic_shapes=shapes)
    assert "dynamic shapes" in refusal(path, Unsupported)
    trained = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).train()
    with pytest.raises(Unsupported, match="call model.eval"):
        load(save(trained, (one,), path))


def test_duplicate_member(model_file, tmp_path):
    data = io.BytesIO(model_file.read_bytes())
    with zipfile.ZipFile(data, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"again")
    (tmp_path / "m.pt").write_bytes(data.getvalue())
    assert "twice" in refusal(tmp_path / "m.pt")
