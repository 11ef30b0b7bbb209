"""Codes and scales that are known already: what training starts from, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tf2.ir import Feature, Graph, Node
from tf2.ir.integer_ops import DOMAIN
from tf2.quantization import bytes_name


@dataclass(frozen=True, kw_only=True, eq=False)
class Codes:
    """The weights alpha * q of one layer.

    Attributes:
        q: int8 (O, K), on the layer's grid.
        alpha: float64 (O,), positive; gains that the layer's multiplier and shift can express.
    """

    q: np.ndarray
    alpha: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An integer network but for its biases.

    Attributes:
        scales: Of every feature value, by its float name.
        layers: By the name of the layer's node.
    """

    scales: Mapping[str, Feature]
    layers: Mapping[str, Codes]


def settled_of(graph: Graph) -> Settled:
    """Return the scales and codes of an integer graph."""
    ending = bytes_name("")
    scales = {
        name.removesuffix(ending): kind.dtype
        for name, kind in graph.types.items()
        if name.endswith(ending) and isinstance(kind.dtype, Feature)
    }
    layers = [n for n in graph.nodes if n.domain == DOMAIN and n.op == "Conv"]
    return Settled(scales=scales, layers={n.name: _codes(graph, n) for n in layers})


def accumulator_step(graph: Graph, layer: Node) -> np.ndarray:
    """Return the value of one step of a layer's accumulators, (O,)."""
    y = graph.types[layer.output].dtype
    if not isinstance(y, Feature):
        return graph.constants[f"{layer.name}:scale"].reshape(-1).astype(np.float64)
    multiplier, shift = (graph.constants[n] for n in layer.inputs[3:5])
    return np.ldexp(multiplier.astype(np.float64), -shift) * y.scale


def _codes(graph: Graph, layer: Node) -> Codes:
    q = graph.constants[layer.inputs[1]]
    x = graph.types[layer.inputs[0]].dtype
    assert isinstance(x, Feature), "layers of the array read bytes"
    return Codes(q=q.reshape(len(q), -1), alpha=accumulator_step(graph, layer) / x.scale)
