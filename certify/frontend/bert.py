"""BERT encoders from a Hugging Face folder: config.json and the weights beside it.

Source:
    Devlin et al., BERT, 2019 (arXiv 1810.04805), section 3; Vaswani et al., 2017, section 3.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch
from torch import nn

from certify.errors import BadRequest, UnreadableFile, Unsupported
from certify.frontend.origin import printable
from certify.frontend.weights import Weights, fill, read_checkpoint, read_safetensors

ACTIVATIONS = {
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "relu": nn.functional.relu,
    "silu": nn.functional.silu,
    "swish": nn.functional.silu,
    "tanh": torch.tanh,
}

#: Names in a layer of the file, and in a layer of torch; q, k and v are one matrix there.
_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class BertEncoder(nn.Module):
    """A BERT encoder behind its word embeddings.

    Input: word embeddings, shape (1, tokens, width); positions and token type 0 are added here.
    Output: the last hidden states, of the same shape. All tokens are attended to.
    """

    def __init__(self, config: dict[str, Any], tokens: int) -> None:
        """Sizes by their names in config.json.

        Raises:
            BadRequest: a size is missing or impossible.
            Unsupported: another kind of encoder.
        """
        super().__init__()
        width, heads, layers, inner, places, types = sizes(config)
        if not 0 < tokens <= places:
            raise BadRequest(f"this encoder takes 1 to {places} tokens, not {tokens}")
        self.positions = nn.Parameter(torch.zeros(places, width))
        self.types = nn.Parameter(torch.zeros(types, width))
        eps = config.get("layer_norm_eps", 1e-12)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, inner, activation=_activation(config), layer_norm_eps=eps,
                batch_first=True,
            )
            for _ in range(layers)
        )  # fmt: skip

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Hidden states of the last layer."""
        x = embeddings + self.positions[: embeddings.shape[1]] + self.types[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return x


def sizes(config: dict[str, Any]) -> list[int]:
    """Width, heads, layers, inner width, positions and token types.

    Raises:
        BadRequest: one is missing or impossible.
    """
    names = (
        "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size",
        "max_position_embeddings", "type_vocab_size",
    )  # fmt: skip
    for name in names:
        value = config.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1 << 20:
            raise BadRequest(f"config.json: {name} is {value!r}, not a size")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise BadRequest("config.json: hidden_size is not a multiple of num_attention_heads")
    return [config[name] for name in names]


def _activation(config: dict[str, Any]) -> Any:
    name = config.get("hidden_act", "gelu")
    if name not in ACTIVATIONS:
        raise Unsupported(f"config.json: the activation {name!r} is none of {list(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def from_folder(folder: str, shape: tuple[int, ...] | None) -> tuple[BertEncoder, torch.Tensor]:
    """The encoder in a folder with its weights, and an example of its input.

    Args:
        folder: with config.json, and model.safetensors or pytorch_model.bin.
        shape: of the input, (1, tokens, width).

    Raises:
        UnreadableFile: a file is missing or damaged.
        BadRequest: the shape or the weights do not fit the config.
        Unsupported: the config is not that of a BERT encoder.
    """
    config = _config(folder)
    width = config.get("hidden_size")
    if shape is None or len(shape) != 3 or shape[0] != 1 or shape[2] != width:
        raise BadRequest(
            f"{folder}: the input is the embeddings of some tokens; give --shape 1,TOKENS,{width}"
        )
    path = next(
        (p for n in ("model.safetensors", "pytorch_model.bin")
         if os.path.isfile(p := os.path.join(folder, n))), None,
    )  # fmt: skip
    if path is None:
        raise UnreadableFile(
            f"{folder}: there is neither model.safetensors nor pytorch_model.bin in it; weights "
            "in several files are not read"
        )
    try:
        width, _, layers, inner, places, types = sizes(config)
        stored = read_safetensors(path) if path.endswith(".safetensors") else read_checkpoint(path)
        weights = _renamed(stored, layers, path)
        # before anything of these sizes is made: the config may ask for any amount of memory
        shapes = {"positions": (places, width), "types": (types, width)}
        for name, size in (shapes | {"layers.0.linear1.weight": (inner, width)}).items():
            if weights[name].shape != size:
                raise BadRequest(f"{name} has the shape {tuple(weights[name].shape)}, not {size}")
        module = BertEncoder(config, shape[1])
    except (BadRequest, Unsupported) as error:
        text = str(error)
        raise type(error)(text if text.startswith(folder) else f"{folder}: {text}") from error
    fill(module, weights, path)
    kind = next(module.parameters()).dtype
    return module, torch.zeros(shape, dtype=kind)


def _config(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, "config.json")
    try:
        with open(path, "rb") as file:
            config = json.loads(file.read(1 << 20))
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{path}: not JSON") from error
    if not isinstance(config, dict):
        raise UnreadableFile(f"{path}: not a JSON object")
    kind, places = config.get("model_type"), config.get("position_embedding_type", "absolute")
    if kind != "bert" or places != "absolute" or config.get("is_decoder"):
        raise Unsupported(
            f"{folder}: a {printable(str(kind))} model with {printable(str(places))} positions; "
            "encoders like BERT are read. Build another one in Python and use --arch, or "
            "certify.export"
        )
    return config


def _renamed(stored: Weights, layers: int, path: str) -> Weights:
    """The file's tensors under the module's names; heads and word embeddings are left out."""
    stored = {k.removeprefix("bert."): v for k, v in stored.items()}
    # the oldest files call the norms' weights gamma and beta
    for old, new in (("gamma", "weight"), ("beta", "bias")):
        stored = {k.replace(f"LayerNorm.{old}", f"LayerNorm.{new}"): v for k, v in stored.items()}

    def take(name: str) -> torch.Tensor:
        if name not in stored:
            raise BadRequest(f"{path}: there is no tensor {name} in it, as BERT encoders have")
        return stored[name]

    out = {
        "positions": take("embeddings.position_embeddings.weight"),
        "types": take("embeddings.token_type_embeddings.weight"),
    }
    for part in ("weight", "bias"):
        out[f"norm.{part}"] = take(f"embeddings.LayerNorm.{part}")
        for i in range(layers):
            own, file = f"layers.{i}.", f"encoder.layer.{i}."
            qkv = [take(f"{file}attention.self.{n}.{part}") for n in ("query", "key", "value")]
            if len({t.shape for t in qkv}) > 1 or qkv[0].dim() == 0:
                raise BadRequest(f"{path}: query, key and value of layer {i} differ in shape")
            out[f"{own}self_attn.in_proj_{part}"] = torch.cat(qkv)
            for name, torchs in _LAYER.items():
                out[f"{own}{torchs}.{part}"] = take(f"{file}{name}.{part}")
    if f"encoder.layer.{layers}.output.dense.weight" in stored:
        raise BadRequest(f"{path}: it has more layers than config.json says ({layers})")
    return out
