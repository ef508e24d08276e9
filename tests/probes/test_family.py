"""The token models: shapes, masks, what is trained, what a file does not keep, export."""

import pytest
import torch

from certify import load
from certify.frontend.export import export
from probes.family import TokenConfig, TokenModel
from theory.errors import BadRequest

SMALL = {"d": 4, "inputs": 4, "outputs": 3, "width": 6, "layers": 1}


def model(**fields):
    torch.manual_seed(0)
    return TokenModel(TokenConfig(**{**SMALL, **fields})).eval()


X = torch.linspace(-1, 1, 5 * 4 * 4).view(5, 4, 4)
RAW = {"width": 4, "embedded": False, "head": False}


@pytest.mark.parametrize("architecture", ["encoder", "transformer"])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("positions", ["sinusoid", "learned"])
def test_tokens_in_tokens_out(architecture, norm, positions):
    module = model(architecture=architecture, norm=norm, positions=positions, activation="relu")
    with torch.no_grad():
        assert module(X).shape == (5, 3, 4)
        assert module.forced(X, X[:, :3]).shape == (5, 3, 4)
    assert module(X).std() > 0


@pytest.mark.parametrize("architecture", ["encoder", "transformer"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_without_a_head_the_answer_is_a_layernorm_output(architecture, norm):
    found = model(architecture=architecture, norm=norm, **RAW)(X)
    assert torch.allclose(found.mean(dim=-1), torch.zeros(5, 3), atol=1e-6)
    assert torch.allclose(found.square().mean(dim=-1), torch.ones(5, 3), atol=1e-3)


def test_classes_are_scored():
    module = model(classes=5)
    assert module(X).shape == (5, 3, 5)
    assert module.forced(X, torch.zeros(5, 3, dtype=torch.int64)).shape == (5, 3, 5)


def test_the_decoder_is_fed_its_own_answers():
    module = model()
    with torch.no_grad():
        own = module(X)
        assert torch.allclose(module.forced(X, own), own, atol=1e-6)
        assert not torch.allclose(module.forced(X, own + 1), own, atol=1e-3)


def test_a_class_is_fed_back_as_its_label():
    module = model(classes=5)
    with torch.no_grad():
        own = module(X)
        assert torch.allclose(module.forced(X, own.argmax(dim=-1)), own, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_causal_decoder_cannot_see_later_tokens(causal):
    module = model(causal=causal)
    wanted = torch.rand(5, 3, 4)
    other = wanted.clone()
    other[:, 1] += 1
    with torch.no_grad():
        first, second = module.forced(X, wanted)[:, 0], module.forced(X, other)[:, 0]
    assert torch.allclose(first, second, atol=1e-6) == causal


@pytest.mark.parametrize("registered", [True, False])
def test_what_is_not_registered_is_neither_trained_nor_kept(registered):
    module = model(registered=registered, positions="learned")
    trained = {name for name, _ in module.named_parameters()}
    tables = {"start", "positions", "answer_positions"}
    assert (tables <= trained) == registered
    again = module.reloaded(3)
    for name in tables:
        assert torch.equal(getattr(again, name), getattr(module, name)) == registered
    assert torch.equal(again.start, module.reloaded(3).start)
    assert torch.equal(again.embedding.weight, module.embedding.weight)
    with torch.no_grad():
        assert torch.equal(again(X), module(X)) == registered


def test_sinusoids_are_the_same_whatever_is_registered():
    module = model(registered=False)
    assert torch.equal(module.reloaded(3).positions, module.positions)
    assert module.positions[1, 0] == pytest.approx(0.8414709848, abs=1e-6)
    assert module.positions[0].tolist() == [0, 1, 0, 1, 0, 1]


def test_layers_start_with_different_weights():
    for architecture in ("encoder", "transformer"):
        body = model(architecture=architecture, layers=2).body
        first, second = (body.encoder if architecture == "transformer" else body).layers
        assert not torch.equal(first.linear1.weight, second.linear1.weight)


@pytest.mark.parametrize("architecture", ["encoder", "transformer"])
def test_an_exported_model_is_read_and_computes_the_same(architecture, tmp_path):
    module = model(architecture=architecture)
    export(module, X[:1], tmp_path / "m.pt")
    read = load(tmp_path / "m.pt")
    assert (tuple(read.inputs), tuple(read.outputs)) == ((1, 4, 4), (1, 3, 4))
    program = torch.export.load(tmp_path / "m.pt").module()
    assert torch.allclose(program(X[1:2]), module(X[1:2]), atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"d": 0}, "d must be at least 1"),
        ({"heads": 4}, "width 6 is not a multiple of heads 4"),
        ({"architecture": "decoder"}, "unknown architecture 'decoder'"),
        ({"positions": "rotary"}, "unknown positions 'rotary'"),
        ({"architecture": "encoder", "outputs": 5}, "at most as many tokens"),
        ({"classes": 1}, "at least 2 classes"),
        ({**RAW, "classes": 3}, "a linear head"),
        ({"head": False}, "affine maps in and out"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"width": 2**14}, "too many to train"),
    ],
)
def test_shapes_that_mean_nothing_are_refused(fields, message):
    with pytest.raises(BadRequest, match=message):
        TokenConfig(**{**SMALL, **fields})
