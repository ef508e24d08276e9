"""The transformers of the paper's experiments: tokens in, tokens or class scores out."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from probes.encoder import ACTIVATIONS, NORMS
from probes.schemes import diagonal, stream
from theory.errors import BadRequest

ARCHITECTURES = ("encoder", "transformer")
POSITIONS = ("sinusoid", "learned")
#: Numbers beyond which a model takes gigabytes to train.
MOST_PARAMETERS = 2**28


@dataclass(frozen=True)
class TokenConfig:
    """The shape of a `TokenModel`.

    Attributes:
        d: features of the task's tokens.
        inputs, outputs: input and output tokens, m and n.
        width: features inside, D (d_model), a multiple of `heads`; D = d unless `embedded`.
        architecture: "encoder" (the first n tokens of `nn.TransformerEncoder` are the answer)
            or "transformer" (`nn.Transformer`, whose decoder is fed its own answers).
        layers: of the encoder, and as many of the decoder.
        heads: attention heads.
        ffn: hidden features of a feed-forward block; None means 2 * width.
        activation: a name from `probes.encoder.ACTIVATIONS`.
        norm: "post" or "pre"; either way the stack ends in LayerNorm.
        positions: "sinusoid" or "learned".
        classes: K of a K-way classification; None is regression.
        embedded: whether an affine map takes tokens from d to D features.
        head: whether an affine map takes D features to the answer; classification needs one.
        causal: whether the decoder's tokens are kept from seeing later ones.
        registered: whether start token and learned positions are trained and saved. Otherwise
            they are random, and a saved model comes back with other ones.
        input_dropout: dropout on what enters the first layer.
        dropout: dropout inside the layers.

    Raises:
        BadRequest: a size is not positive, does not fit the others or takes gigabytes, or a
            name is unknown.
    """

    d: int
    inputs: int
    outputs: int
    width: int
    architecture: str = "transformer"
    layers: int = 2
    heads: int = 2
    ffn: int | None = None
    activation: str = "gelu"
    norm: str = "post"
    positions: str = "sinusoid"
    classes: int | None = None
    embedded: bool = True
    head: bool = True
    causal: bool = True
    registered: bool = True
    input_dropout: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("d", "inputs", "outputs", "width", "layers", "heads", "ffn"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise BadRequest(f"{name} must be at least 1, not {size}")
        known = (
            ("architecture", ARCHITECTURES),
            ("activation", tuple(ACTIVATIONS)),
            ("norm", NORMS),
            ("positions", POSITIONS),
        )
        for name, names in known:
            if getattr(self, name) not in names:
                raise BadRequest(
                    f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(names)}"
                )
        for name in ("input_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadRequest(f"{name} must be at least 0 and below 1")
        self._fit_together()

    def _fit_together(self) -> None:
        if self.width % self.heads:
            raise BadRequest(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.architecture == "encoder" and self.outputs > self.inputs:
            raise BadRequest("an encoder answers with at most as many tokens as it is given")
        if self.classes is not None and not (self.head and self.classes >= 2):
            raise BadRequest("classification needs at least 2 classes and a linear head")
        if self.width != self.d and not (self.embedded and self.head):
            raise BadRequest(
                f"width {self.width} differs from d = {self.d}: that needs affine maps in and out"
            )
        hidden = self.ffn or 2 * self.width
        each = 12 * self.width**2 + 4 * self.width * hidden
        if self.layers * each + 4 * self.width * self.d > MOST_PARAMETERS:
            raise BadRequest(f"about {self.layers * each:.2g} parameters are too many to train")

    @property
    def answers(self) -> int:
        """Numbers per output token: d, or K."""
        return self.classes or self.d

    @property
    def obstructed(self) -> bool:
        """Whether theorem C3 bounds this model's error: a LayerNorm readout, D = d."""
        return not self.head


class TokenModel(nn.Module):
    """A transformer from m tokens to n.

    Input:
        x: shape (batch, m, d).

    Output:
        shape (batch, n, d), or class scores (batch, n, K). A decoder answers one token after
        another and is fed its own answers; `forced` feeds it the wanted ones.
    """

    def __init__(self, config: TokenConfig) -> None:
        super().__init__()
        self.config = config
        d, width = config.d, config.width
        decoding = config.architecture == "transformer"
        self.embedding = nn.Linear(d, width) if config.embedded else nn.Identity()
        self.head = nn.Linear(width, config.answers) if config.head else nn.Identity()
        self.body = _transformer(config) if decoding else _encoder(config)
        self.noise = nn.Dropout(config.input_dropout)
        self._vectors("positions", config.inputs)
        if decoding:
            self.answer_embedding = nn.Linear(d, width) if config.embedded else nn.Identity()
            self._vectors("answer_positions", config.outputs)
            self._hold("start", torch.randn(1, width), trained=config.registered)
        if config.classes:
            self.register_buffer("labels", torch.from_numpy(diagonal(config.classes)).float())

    def _vectors(self, name: str, count: int) -> None:
        """Position vectors for `count` tokens, under `name`."""
        if self.config.positions == "sinusoid":
            self.register_buffer(name, _sinusoid(count, self.config.width))
        else:
            values = 0.5 * torch.randn(count, self.config.width)
            self._hold(name, values, trained=self.config.registered)

    def _hold(self, name: str, values: Tensor, *, trained: bool) -> None:
        if trained:
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values)

    def reloaded(self, seed: int) -> TokenModel:
        """The model as its file would give it back: what is not registered is drawn anew.

        Args:
            seed: of the new random vectors.
        """
        other = copy.deepcopy(self)
        if self.config.registered:
            return other
        names = ["start"] if hasattr(self, "start") else []
        if self.config.positions == "learned":
            names += [n for n in ("positions", "answer_positions") if hasattr(self, n)]
        for name in names:
            old = getattr(other, name)
            generator = torch.Generator().manual_seed(stream(seed, "reloaded", name))
            scale = 1.0 if name == "start" else 0.5
            old.copy_(scale * torch.randn(old.shape, generator=generator))
        return other

    def forward(self, x: Tensor) -> Tensor:
        if self.config.architecture == "encoder":
            return self._encoded(x)
        memory = self.body.encoder(self._sources(x))
        fed = x[:, :0]
        answers = []
        for count in range(1, self.config.outputs + 1):
            answers.append(self._decoded(memory, fed)[:, -1:])
            if count < self.config.outputs:
                fed = torch.cat([fed, self._as_tokens(answers[-1])], dim=1)
        return torch.cat(answers, dim=1)

    def forced(self, x: Tensor, wanted: Tensor) -> Tensor:
        """The answers where the decoder is fed the wanted tokens, for training.

        Args:
            x: shape (batch, m, d).
            wanted: shape (batch, n, d), or class numbers (batch, n).
        """
        if self.config.architecture == "encoder":
            return self._encoded(x)
        if self.config.classes:
            wanted = self._label_tokens(wanted)
        return self._decoded(self.body.encoder(self._sources(x)), wanted[:, :-1])

    def _encoded(self, x: Tensor) -> Tensor:
        return self.head(self.body(self._sources(x))[:, : self.config.outputs])

    def _sources(self, x: Tensor) -> Tensor:
        return self.noise(self.embedding(x) + self.positions)

    def _decoded(self, memory: Tensor, fed: Tensor) -> Tensor:
        """Answers for one token more than `fed` (batch, k, d) holds."""
        count = fed.shape[1] + 1
        start = self.start.expand(memory.shape[0], 1, -1)
        tokens = start if count == 1 else torch.cat([start, self.answer_embedding(fed)], dim=1)
        tokens = self.noise(tokens + self.answer_positions[:count])
        masked = self.config.causal and count > 1
        mask = nn.Transformer.generate_square_subsequent_mask(count, dtype=tokens.dtype)
        found = self.body.decoder(
            tokens, memory, tgt_mask=mask if masked else None, tgt_is_causal=masked
        )
        return self.head(found)

    def _as_tokens(self, answers: Tensor) -> Tensor:
        return self._label_tokens(answers.argmax(dim=-1)) if self.config.classes else answers

    def _label_tokens(self, numbers: Tensor) -> Tensor:
        return self.labels[numbers][..., None].expand(*numbers.shape, self.config.d)


def _layer_options(config: TokenConfig) -> dict[str, object]:
    return {
        "d_model": config.width,
        "nhead": config.heads,
        "dim_feedforward": config.ffn or 2 * config.width,
        "dropout": config.dropout,
        "activation": ACTIVATIONS[config.activation],
        "batch_first": True,
        "norm_first": config.norm == "pre",
    }


def _encoder(config: TokenConfig) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(**_layer_options(config))
    # After a post-norm layer another LayerNorm would add nothing.
    final = nn.LayerNorm(config.width) if config.norm == "pre" else None
    body = nn.TransformerEncoder(layer, config.layers, norm=final, enable_nested_tensor=False)
    # The stack holds copies of one layer, which would start with equal weights.
    for parameter in body.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return body


def _transformer(config: TokenConfig) -> nn.Transformer:
    options = _layer_options(config)
    layer = nn.TransformerEncoderLayer(**options)
    # nn.Transformer's own encoder warns of nested tensors; this one is the same without.
    encoder = nn.TransformerEncoder(
        layer, config.layers, norm=nn.LayerNorm(config.width), enable_nested_tensor=False
    )
    return nn.Transformer(**options, num_decoder_layers=config.layers, custom_encoder=encoder)


def _sinusoid(count: int, width: int) -> Tensor:
    """Position vectors, shape (count, width): sines, cosines of geometric wave lengths.

    Source:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5.
    """
    place = torch.arange(count, dtype=torch.float64)[:, None]
    pair = torch.arange((width + 1) // 2, dtype=torch.float64)
    angle = place * torch.exp(-math.log(10_000.0) * 2 * pair / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width].float()
