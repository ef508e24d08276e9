"""What `export` writes, and what it leaves alone."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from certify.errors import BadRequest, Unsupported
from certify.frontend import load
from certify.frontend.export import export
from certify.frontend.origin import short


def test_torch_reads_it(encoder, model_file):
    x = torch.full((1, 1), 0.4)
    again = torch.export.load(model_file).module()
    assert torch.allclose(again(x), encoder(x), atol=1e-6)


def test_no_absolute_paths(model_file):
    data = model_file.read_bytes()
    for path in (os.getcwd(), sys.prefix, sys.base_prefix, os.path.expanduser("~/")):
        assert os.fsencode(path) not in data
    assert b"conftest.py" in data and b"torch/nn/modules" in data


def test_same_module_same_bytes(encoder, model_file, tmp_path):
    export(encoder, (torch.zeros(1, 1),), tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == model_file.read_bytes()


def test_training_flags_are_put_back(tmp_path):
    module = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))
    module[1].eval()
    export(module, torch.zeros(1, 1), tmp_path / "m.pt")
    assert module.training and module[0].training and not module[1].training
    assert torch.backends.mha.get_fastpath_enabled()
    assert len(load(tmp_path / "m.pt").graph.nodes) == 1


def test_frozen_encoder_takes_the_ordinary_path(tmp_path):
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    module = nn.TransformerEncoder(layer, 1).requires_grad_(False)
    with torch.no_grad():
        export(module, torch.zeros(1, 3, 4), tmp_path / "m.pt")
    assert load(tmp_path / "m.pt").outputs == (1, 3, 4)


def test_no_grad_inside(tmp_path):
    class Frozen(nn.Module):
        def forward(self, x):
            with torch.no_grad():
                y = x.sin()
            return y + x

    export(Frozen(), torch.zeros(1, 1), tmp_path / "m.pt")
    assert "sin" in load(tmp_path / "m.pt").graph.functions()


@pytest.mark.parametrize("example", [torch.zeros(3, 1), torch.zeros(()), 1.0, ()])
def test_bad_examples(example, tmp_path):
    with pytest.raises(BadRequest, match="example_input"):
        export(nn.Linear(1, 1), example, tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


def test_unwritable(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "m.pt"):
        with pytest.raises(BadRequest, match="^cannot write .*(Is a directory|No such file)"):
            export(nn.Linear(1, 1), torch.zeros(1, 1), path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_untraceable(tmp_path):
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(Unsupported, match="cannot trace this Branch"):
        export(Branch(), torch.zeros(1, 1), tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


def test_loading_needs_no_torch(model_file):
    code = (
        "import sys; from certify.frontend import load; load(sys.argv[1]); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, model_file]).returncode == 0


def test_short_paths():
    assert short("/a/lib/python3/site-packages/torch/nn/x.py") == "torch/nn/x.py"
    assert short("/srv/me/work/pkg/model.py", "/srv/me/work") == "pkg/model.py"
    assert short("/srv/me/model.py", "/somewhere") == "model.py"
    assert short("C:\\Users\\me\\model.py") == "model.py"
    assert short("pkg/model.py") == "pkg/model.py"
    assert short("../me/model.py") == "model.py"


def test_what_is_no_module(encoder, tmp_path):
    with pytest.raises(BadRequest, match="not OrderedDict; .* `certify convert`"):
        export(encoder.state_dict(), torch.zeros(1, 1), tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()


def test_a_row_without_a_batch(tmp_path):
    with pytest.raises(Unsupported, match="its only axis is the batch"):
        export(nn.Linear(4, 1), torch.zeros(1), tmp_path / "m.pt")
    assert logging.root.manager.disable == 0


def test_an_operator_without_a_lowering_is_named_at_once(tmp_path):
    class Sorted(nn.Module):
        def forward(self, x):
            return torch.sort(x)[0]

    with pytest.warns(UserWarning, match=r"no lowering of aten\.sort\.default"):
        export(Sorted(), torch.zeros(1, 3), tmp_path / "m.pt")
    with pytest.raises(Unsupported, match="sort"):
        load(tmp_path / "m.pt")
