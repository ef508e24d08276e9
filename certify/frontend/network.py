"""The graph in a certificate's words, and whether a model file has the graph of a certificate."""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.certificate import ALL, Bundle, Certificate, Network, Node
from certify.errors import BadRequest
from certify.frontend import load
from certify.frontend.curve import along, from_header
from certify.frontend.target import model_graph
from certify.graph import Affine, Apply, Gather, Graph
from theory.expressions import meaning


def as_network(graph: Graph) -> Network:
    """A graph whose one output is called "model"."""
    nodes = []
    for node in graph.nodes:
        more: dict[str, Any] = {}
        match node.primitive:
            case Gather(index):
                more["index"] = tuple(index.reshape(-1).tolist())
            case Affine(weight, scale, divisor, bias):
                more["weight"] = None if weight is None else tuple(map(tuple, weight.tolist()))
                more["divisor"] = divisor
                for name, part in (("scale", scale), ("bias", bias)):
                    if part is not None:
                        more[name] = tuple(np.broadcast_to(part, node.shape).ravel().tolist())
            case Apply(function):
                more["function"] = function.name
                if meaning(function.name) != function.expression:
                    raise BadRequest(f"{function.name} cannot be written into a certificate")
        kind = type(node.primitive).__name__.lower()
        nodes.append(Node(kind, node.inputs, node.shape, **more))
    return Network(graph.input_shape, tuple(nodes), graph.outputs["model"])


def mismatch(certificate: Certificate | Bundle, path: str) -> str:
    """Why the certificate is not about this model file; empty if it is.

    Raises:
        UnreadableFile, Unsupported: see `certify.load`.
    """
    model = load(path)
    said = certificate.header.get("model")
    said = said if isinstance(said, dict) else {}
    if said.get("sha256") != model.sha256:
        return f"the certificate is about a model file with another SHA-256 than {path}"
    try:
        path_in = from_header(said)
        model = along(model, path_in) if path_in else model
        output, bundle = said.get("output"), isinstance(certificate, Bundle)
        network = as_network(model.graph if bundle else model_graph(model, output))
    except (BadRequest, TypeError, ValueError) as error:
        return f"the certificate names an output or a curve that {path} does not have ({error})"
    if network != certificate.network or bundle is not (output == ALL):
        return f"the certificate's graph is not the one that {path} is read as"
    return ""
