"""Batch normalization put into a network that has none, without changing what it computes.

Importers and passes fold normalization into the layers before it. A network without it is slow to
train where its weights have far to go; with it behind each convolution, rates may be several times
as large. `tf2.passes.canonicalize` folds it into the weights again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from tf2.ir import FLOAT32, Graph, Node, TensorType, verify
from tf2.training.module import Feed, GraphModule

EPSILON = 1e-5

LENGTH = 2.0**0.5
"""Of the weights of each output channel, as He et al. 2015 (arXiv:1502.01852) start layers before a
ReLU: in front of a normalization only their direction counts, and one rate turns short ones faster.
"""


def with_batch_norm(graph: Graph, feeds: Iterable[Feed]) -> Graph:
    """Return the network with a BatchNormalization behind each convolution.

    Its statistics are those of the samples; scale and shift undo them, so that the network computes
    what it did, up to float rounding.

    Args:
        graph: Float. Convolutions that write an output of the graph, or have a normalization
            behind them already, stay as they are.
        feeds: Batches of samples, at least one.
    """
    layers = {n.name: n for n in graph.nodes if n.kind == "Conv" and _can_bear_one(graph, n)}
    moments = _moments(graph, [n.output for n in layers.values()], feeds)
    nodes: list[Node] = []
    types: dict[str, TensorType] = {}
    constants: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if node.name not in layers:
            nodes.append(node)
            continue
        own = _constants(graph, node, *moments[node.output])
        names = tuple(own)
        between = f"{node.output}.before_norm"
        types[between] = graph.types[node.output]
        constants |= own
        nodes.append(replace(node, inputs=(node.inputs[0], names[0]), outputs=(between,)))
        norm = Node(
            name=f"{node.name}.norm",
            op="BatchNormalization",
            inputs=(between, *names[1:]),
            outputs=node.outputs,
            attrs={"epsilon": EPSILON},
        )
        nodes.append(norm)
    types |= {name: TensorType(FLOAT32, data.shape) for name, data in constants.items()}
    return verify(graph.replaced(nodes=nodes, types=types, constants=constants))


def _can_bear_one(graph: Graph, node: Node) -> bool:
    behind = graph.users.get(node.output, ())
    if node.output in graph.outputs or any(n.kind == "BatchNormalization" for n in behind):
        return False
    return all(name in graph.constants for name in node.inputs[1:] if name)


def _constants(
    graph: Graph, node: Node, mean: np.ndarray, var: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the layer's weights at `LENGTH`, then scale, shift, mean and variance behind them."""
    weight = graph.constants[node.inputs[1]].astype(np.float64)
    bias = graph.constants[node.inputs[2]] if node.operand(2) else np.zeros(len(weight))
    length = np.sqrt(np.square(weight).reshape(len(weight), -1).sum(1))
    gain = LENGTH / np.maximum(length, 1e-12)
    var = var * gain**2
    values = {
        "direction": weight * gain.reshape(-1, *[1] * (weight.ndim - 1)),
        "scale": np.sqrt(var + EPSILON) / gain,
        "shift": mean,
        "mean": (mean - bias) * gain,
        "var": var,
    }
    return {f"{node.name}.{name}": v.astype(np.float32) for name, v in values.items()}


def _moments(
    graph: Graph, values: Sequence[str], feeds: Iterable[Feed]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return mean and variance of each channel of these values, (C,) each."""
    if not values:
        return {}
    module = GraphModule(graph, outputs=values).eval()
    sums: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for feed in feeds:
            found = module(feed)
            tensors = (found,) if isinstance(found, torch.Tensor) else found
            for name, x in zip(values, tensors, strict=True):
                rows = x.transpose(0, 1).flatten(1).double()
                count = torch.full((len(rows),), float(rows.shape[1]), dtype=torch.float64)
                part = torch.stack([rows.sum(1), rows.square().sum(1), count]).numpy()
                sums[name] = sums[name] + part if name in sums else part
    means = {name: total[:2] / total[2] for name, total in sums.items()}
    return {name: (m[0], np.maximum(m[1] - m[0] ** 2, 0.0)) for name, m in means.items()}
