"""Every stored model approximates its target as well as its entry says."""

import zipfile

import numpy as np
import pytest
import torch

from certify.evaluate import evaluate
from certify.frontend import load
from probes.encoder import EncoderConfig
from probes.training import Options
from probes.values import refined, values
from probes.zoo.make import FOLDER, ZOO, Entry, main, make, path
from theory.errors import BadRequest
from theory.targets import find_target


@pytest.mark.parametrize("name", ZOO)
def test_stored_models_are_as_close_as_promised(name):
    target = find_target(ZOO[name].target)
    points = refined(target, np.linspace(*target.domain, 1001), 200)
    found = evaluate(load(path(name)).graph, torch.from_numpy(points)[:, None, None])["model"]
    error = np.abs(found.numpy().reshape(-1) - values(target, points)).max()
    assert 0 < error < ZOO[name].within


def test_there_is_a_file_for_every_entry_and_no_other():
    assert {file.stem for file in FOLDER.glob("*.pt")} == set(ZOO)


def test_the_zoo_stays_small():
    assert sum(path(name).stat().st_size for name in ZOO) < 2_000_000


@pytest.mark.parametrize("name", ZOO)
def test_stored_models_name_no_folder_of_the_machine_they_were_made_on(name):
    with zipfile.ZipFile(path(name)) as archive:
        (model,) = (member for member in archive.namelist() if member.endswith("/model.json"))
        text = archive.read(model)
    # Stack traces say: File \\"encoder.py\\", line 7; an absolute path would start with a slash.
    assert b'File \\"/' not in text
    assert str(FOLDER.parents[1]).encode() not in text


def test_unknown_names_are_refused_before_training(capsys):
    assert main(["exp", "no_such_model"]) == 2
    assert "no model 'no_such_model' in the zoo; choose from exp, " in capsys.readouterr().err


def test_a_worse_model_does_not_replace_the_stored_one(monkeypatch):
    config = EncoderConfig(layers=1, width=2, heads=1, tokens=1)
    entry = Entry("exp", 1e-9, config, Options(steps=2, polish=0))
    monkeypatch.setitem(ZOO, "exp", entry)
    before = path("exp").read_bytes()
    with pytest.raises(BadRequest, match="exp: sup error .* is not below 1e-09"):
        make("exp")
    assert path("exp").read_bytes() == before
