"""The encoder: shapes, options, no dropout, rescaling, export."""

import pytest
import torch

from probes.encoder import ACTIVATIONS, Encoder, EncoderConfig, parameter_count
from theory.errors import BadRequest

GRID = torch.linspace(-1, 1, 7)[:, None]


def encoder(**sizes):
    torch.manual_seed(0)
    return Encoder(EncoderConfig(**sizes)).eval()


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_number_in_one_number_out(activation, norm):
    module = encoder(activation=activation, norm=norm)
    with torch.no_grad():
        found = module(GRID)
    assert found.shape == (7, 1)
    assert found.isfinite().all()
    assert found.std() > 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exported_program_computes_the_same(activation):
    module = encoder(activation=activation, tokens=3, width=6)
    program = torch.export.export(module, (torch.zeros(1, 1),)).module()
    for x in GRID:
        assert torch.allclose(program(x[None]), module(x[None]), rtol=0, atol=1e-5)


def test_training_mode_computes_the_same():
    module = encoder()
    resting = module(GRID)
    assert torch.allclose(module.train()(GRID), resting, rtol=0, atol=1e-5)


def test_layers_start_with_their_own_weights():
    first, second = encoder().encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
    assert not torch.equal(first.self_attn.in_proj_weight, second.self_attn.in_proj_weight)


def test_parameters_of_the_default_by_hand():
    attention = 3 * 16 * 16 + 3 * 16 + 16 * 16 + 16
    block = 16 * 32 + 32 + 32 * 16 + 16
    layer = attention + block + 2 * 2 * 16
    embedding = 64 + 64 + 64
    assert parameter_count(encoder()) == embedding + 2 * layer + 17


def test_rescaled_moves_domain_and_heights():
    module = encoder().double()
    scaled = module.rescaled((2.0, 6.0), (-3.0, 7.0))
    x = GRID.double()
    with torch.no_grad():
        assert torch.allclose(scaled(4 + 2 * x), 2 + 5 * module(x), rtol=0, atol=1e-12)


def test_rescaled_leaves_the_original_alone():
    module = encoder()
    before = [parameter.clone() for parameter in module.parameters()]
    module.rescaled((0.0, 9.0), (0.0, 5.0))
    assert all(map(torch.equal, before, module.parameters()))


@pytest.mark.parametrize("name", ["layers", "width", "heads", "ffn", "tokens"])
@pytest.mark.parametrize("size", [0, -3])
def test_sizes_must_be_positive(name, size):
    with pytest.raises(BadRequest, match=f"{name} must be at least 1, not {size}"):
        EncoderConfig(**{name: size})


def test_width_must_be_a_multiple_of_heads():
    with pytest.raises(BadRequest, match="width 16 is not a multiple of heads 3"):
        EncoderConfig(heads=3)


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [("activation", "mish", "gelu, relu"), ("norm", "both", "post, pre")],
)
def test_unknown_names_are_answered_with_the_known(name, value, known):
    with pytest.raises(BadRequest, match=f"unknown {name} '{value}'; choose one of {known}"):
        EncoderConfig(**{name: value})


@pytest.mark.parametrize("sizes", [{"width": 2**13}, {"tokens": 400}, {"layers": 10**6}])
def test_large_encoders_are_refused(sizes):
    with pytest.raises(BadRequest, match="small encoders"):
        EncoderConfig(**sizes)
