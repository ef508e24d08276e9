"""A model along a curve in its inputs: a model of one variable, whatever its size.

The curve becomes a few nodes in front of the graph, so search, claims, certificates and the checker
see a model of one input.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from certify.errors import BadRequest, UnreadableFile
from certify.evaluate import evaluate
from certify.frontend import Model
from certify.frontend.target import target_node
from certify.graph import Builder, Gather, Graph, Node
from theory.curves import in_x, segment
from theory.expressions import parse

MOST_BYTES = 2**26  # of a segment's end


@dataclass(frozen=True)
class Curve:
    """Every input as an expression in t, in the order of the flattened input.

    Attributes:
        texts: one expression for each input.
        ends: start and end of a segment, which one affine map computes instead; or None.
    """

    texts: tuple[str, ...]
    ends: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """For a certificate's header: exact, as JSON."""
        if self.ends is None:
            return {"curve": list(self.texts)}
        return {"segment": [[value.hex() for value in end] for end in self.ends]}


def curve(text: str) -> Curve:
    """Read "t**3,t": expressions in t, commas between them; those inside parentheses belong to
    functions.

    Raises:
        BadRequest: one of them cannot be read.
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    for part in parts:
        try:
            parse(in_x(part))
        except BadRequest as problem:
            raise BadRequest(f'--curve, in "{part.strip()}" with t as x: {problem}') from None
    return Curve(tuple(part.strip() for part in parts))


def straight(start: str | Path, end: str | Path) -> Curve:
    """The segment between two inputs, from files with JSON lists of numbers, of any nesting.

    Raises:
        UnreadableFile: a file is missing or no such list.
        BadRequest: the two have different sizes.
    """
    ends = tuple(_numbers(Path(path)) for path in (start, end))
    if len(ends[0]) != len(ends[1]):
        raise BadRequest(f"--segment: {len(ends[0])} numbers in {start}, {len(ends[1])} in {end}")
    return Curve(segment(*ends), ends)


def _numbers(path: Path) -> tuple[float, ...]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableFile(f"{path}: more than {MOST_BYTES >> 20} MiB for one input")
        array = np.asarray(json.loads(path.read_text()), dtype=np.float64)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise UnreadableFile(f"{path}: not a JSON list of numbers ({str(error)[:80]})") from None
    if not array.size or not np.isfinite(array).all():
        raise UnreadableFile(f"{path}: not a list of finite numbers")
    return tuple(array.reshape(-1).tolist())


def along(model: Model, path: Curve) -> Model:
    """The model as a function of t.

    Raises:
        BadRequest: the curve has another number of inputs than the model.
    """
    size = math.prod(model.inputs)
    if len(path.texts) != size:
        raise BadRequest(
            f"the curve has {len(path.texts)} expressions; {model.path} has {size} inputs, of "
            f"shape {tuple(model.inputs)}"
        )
    graph = Graph((1,), *_joined(model.graph, path))
    return replace(model, graph=graph, inputs=(1,), curve=path, whole=model)


def points(model: Model, t: torch.Tensor) -> torch.Tensor:
    """The inputs at points (P, 1) of the curve, plain float64, shape (P, *input_shape)."""
    builder = Builder((1,))
    value = _inputs(builder, model.curve, model.whole.inputs)
    return evaluate(builder.graph(inputs=value), t)["inputs"]


def _inputs(builder: Builder, path: Curve, shape: tuple[int, ...]) -> int:
    """The inputs in terms of value 0, t."""
    if path.ends is not None:
        weight = np.array([[-1.0], [1.0]])  # 1 - t and t
        mixed = builder.affine(0, weight=weight, bias=np.array([1.0, 0.0]))
        ends = np.array(path.ends, dtype=np.float64).T
        return builder.reshape(builder.affine(mixed, weight=ends), shape)
    total = None
    for text in dict.fromkeys(path.texts):
        value = target_node(builder, parse(in_x(text)), 0)
        places = np.array([0 if other == text else -1 for other in path.texts])
        spread = builder.gather(value, places)
        total = spread if total is None else builder.add(total, spread)
    return builder.reshape(total, shape)


def _joined(graph: Graph, path: Curve) -> tuple[tuple[Node, ...], dict[str, int]]:
    """Nodes of the curve and then those of the model, renumbered; and the outputs.

    Zeros are gathered from t itself: a constant of the model does not depend on the curve.
    """
    builder = Builder((1,))
    start = _inputs(builder, path, graph.input_shape)
    number = {0: start}
    for old, node in enumerate(graph.nodes, start=1):
        blank = isinstance(node.primitive, Gather) and bool((node.primitive.index < 0).all())
        inputs = (0,) if blank else tuple(number[i] for i in node.inputs)
        builder.nodes.append(Node(node.primitive, inputs, node.shape, node.origin))
        number[old] = len(builder.nodes)
    return tuple(builder.nodes), {name: number[i] for name, i in graph.outputs.items()}


def from_header(data: dict[str, Any]) -> Curve | None:
    """The curve of a certificate's header, if it names one.

    Raises:
        BadRequest, ValueError, TypeError: it names none that can be read.
    """
    if "segment" in data:
        ends = tuple(tuple(float.fromhex(v) for v in end) for end in data["segment"])
        return Curve(segment(*ends), ends)
    return curve(",".join(data["curve"])) if "curve" in data else None
