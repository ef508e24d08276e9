"""Stored weights -> a module's parameters, exactly; nothing is unpickled but tensors."""

from __future__ import annotations

import functools
import warnings
import zipfile
from typing import Any

import torch

from certify.errors import BadRequest, UnreadableFile
from certify.frontend.archive import BROKEN_ZIP, verify
from certify.frontend.arguments import Damaged
from certify.frontend.origin import printable

#: Where training scripts keep the weights inside a checkpoint, most usual first.
PLACES = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")

#: What wrappers (data parallel, Lightning, torch.compile) put in front of every name.
PREFIXES = ("module.", "model.", "_orig_mod.", "net.")

_STORED = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip

Weights = dict[str, torch.Tensor]


def read_safetensors(path: str) -> Weights:
    """The tensors of a safetensors file.

    Raises:
        UnreadableFile: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return _ordinary(path, load_file(path))
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise UnreadableFile(f"{path}: not a sound safetensors file: {_reason(error)}") from error


def read_checkpoint(path: str, key: str | None = None) -> Weights:
    """The weights in a file of `torch.save`, read with weights_only=True.

    Args:
        path: the file.
        key: where in the checkpoint the weights are ("model", "ema.shadow"); by default they
            are looked for under the usual names.

    Raises:
        UnreadableFile: it is damaged, or holds objects other than tensors and numbers.
        BadRequest: the weights are not found under the key, or not without one.
    """
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                with zipfile.ZipFile(file) as archive:
                    verify(archive)  # a small archive may claim to unpack to any size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats of long ago, to torch's authors
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Damaged as error:
        raise UnreadableFile(f"{path}: not a sound checkpoint: {error}") from error
    except (*BROKEN_ZIP, Exception) as error:  # the unpickler refuses in many ways
        raise UnreadableFile(
            f"{path}: cannot be read as tensors alone ({_reason(error)}). Nothing else is ever "
            "unpickled here; in Python, where you trust it, save module.state_dict() by itself."
        ) from error
    return _ordinary(path, _found(path, data, key))


def _found(path: str, data: Any, key: str | None) -> Weights:
    if key is not None:
        for part in key.split("."):
            if not isinstance(data, dict) or part not in data:
                raise BadRequest(f"{path}: there is nothing under --key {key}; {_content(data)}")
            data = data[part]
    while not _is_weights(data):
        inside = [p for p in PLACES if isinstance(data, dict) and isinstance(data.get(p), dict)]
        if not inside or key is not None:
            raise BadRequest(
                f"{path}: no state dict {'there' if key else 'under the usual names'}; "
                f"name its place with --key; {_content(data)}"
            )
        data = data[inside[0]]
    return data


def _is_weights(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and bool(data)
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in data.items())
    )


def _content(data: Any) -> str:
    if not isinstance(data, dict):
        return f"what is there is a {type(data).__name__}"
    names = [printable(str(k), limit=60) for k in list(data)[:8]]
    return f"what is there: {', '.join(names) or 'nothing'}{', ...' if len(data) > 8 else ''}"


def _ordinary(path: str, weights: Weights) -> Weights:
    """The weights, if they are plain numbers in plain tensors."""
    for name, tensor in weights.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if tensor.dtype not in _STORED or not plain or tensor.is_quantized:
            raise UnreadableFile(
                f"{path}: {printable(name)} is of type {str(tensor.dtype).removeprefix('torch.')}"
                f"{'' if plain else ' in an unusual layout'}, which cannot be read as weights; "
                "convert them to float32 first"
            )
    return weights


def fill(module: torch.nn.Module, weights: Weights, path: str) -> torch.nn.Module:
    """Put weights into a module, every one of them and without rounding.

    The module becomes as wide as the widest floating type of the two. Names may carry the
    prefix of a wrapper. A name that shares its tensor with a stored one may be missing.

    Raises:
        BadRequest: names, shapes or types do not match.
    """
    own = _own(module)
    weights = _with_ties(own, _unwrapped(own, weights))
    _check_names(own, weights, path)
    for name, tensor in own.items():
        stored = weights[name]
        if stored.shape != tensor.shape:
            raise BadRequest(
                f"{path}: {printable(name)} has the shape {tuple(stored.shape)}, and the "
                f"architecture's has {tuple(tensor.shape)}; build it with the trained model's sizes"
            )
        if stored.is_floating_point() != tensor.is_floating_point():
            raise BadRequest(
                f"{path}: {printable(name)} is stored as {stored.dtype}, and the architecture's "
                f"is {tensor.dtype}; quantized weights are not read"
            )
    kinds = [t.dtype for t in [*own.values(), *weights.values()] if t.is_floating_point()]
    if kinds:
        module.to(functools.reduce(torch.promote_types, kinds))
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise BadRequest(f"{path}: the module refuses the weights ({_reason(error)})") from error
    return module


def _own(module: torch.nn.Module) -> Weights:
    """The module's tensors by name.

    Raises:
        BadRequest: some are not there yet.
    """
    tensors = module.state_dict()
    for name, tensor in tensors.items():
        if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta:
            raise BadRequest(
                f"{printable(name)} of the architecture has no size or no memory yet (a lazy "
                "module, or one on the meta device); build it with its sizes, on the CPU"
            )
    return tensors


def _unwrapped(own: Weights, weights: Weights) -> Weights:
    """The weights under the module's own names, where taking off prefixes gives them."""
    best, tried = weights, weights
    for _ in range(len(PREFIXES)):
        front = next((p for p in PREFIXES if all(k.startswith(p) for k in tried)), None)
        if front is None:
            break
        tried = {k.removeprefix(front): v for k, v in tried.items()}
        if len(own.keys() & tried.keys()) > len(own.keys() & best.keys()):
            best = tried
    return best


def _with_ties(own: Weights, weights: Weights) -> Weights:
    """Weights that the module shares between names, and the file holds once."""
    out = dict(weights)
    for name in own.keys() - weights.keys():
        for other in own.keys() & weights.keys():
            if own[name].numel() and _place(own[name]) == _place(own[other]):
                out[name] = weights[other]
    return out


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _check_names(own: Weights, weights: Weights, path: str) -> None:
    missing = sorted(own.keys() - weights.keys())
    extra = sorted(weights.keys() - own.keys())
    if not missing and not extra:
        return
    parts = []
    for names, what in ((missing, "missing from the file"), (extra, "not in the architecture")):
        if names:
            shown = ", ".join(printable(n, limit=80) for n in names[:4])
            parts.append(f"{len(names)} {what} ({shown}{', ...' if len(names) > 4 else ''})")
    raise BadRequest(
        f"{path}: the weights are not those of this architecture: {'; '.join(parts)}; "
        "check --arch, and --key if the checkpoint holds several models"
    )


def _reason(error: Exception) -> str:
    text = str(error).strip().split("\n")[0].split(". ")[0]
    return printable(text, limit=200) or type(error).__name__
