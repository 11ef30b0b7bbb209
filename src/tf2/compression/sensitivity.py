"""How much of the output's error each layer's rounded weights cause, one layer at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf2.compression.compress import Batch, Compressed
from tf2.compression.settled import accumulator_step
from tf2.execution import Runner
from tf2.ir import FLOAT32, Feature, Graph, Node
from tf2.ir.integer_ops import DOMAIN

SAMPLES = 32
"""Enough to rank layers, whose effects differ by factors."""


def sensitivity(compressed: Compressed, batches: Sequence[Batch]) -> dict[str, float]:
    """Return for each layer the noise-to-signal ratio of the outputs if it alone is rounded.

    All else stays float. Layers at 8 bits and exact ones are measured like the others.

    Args:
        compressed: The network.
        batches: Samples; the first `SAMPLES` are used.
    """
    graph = compressed.float_graph
    some = _first(batches, SAMPLES)
    outputs = [name for name in graph.outputs if graph.types[name].dtype == FLOAT32]
    wanted = _run(graph, some, outputs)
    layers = [n for n in compressed.graph.nodes if n.domain == DOMAIN and n.op == "Conv"]
    noise: dict[str, float] = {}
    for layer in layers:
        rounded = graph.replaced(constants=rounded_parameters(compressed, layer))
        got = _run(rounded, some, outputs)
        noise[layer.name] = _noise_to_signal(wanted, got)
    return noise


def rounded_parameters(compressed: Compressed, layer: Node) -> dict[str, np.ndarray]:
    """Return a layer's float weight and bias as the integers stand for, by constant name."""
    integer, graph = compressed.graph, compressed.float_graph
    node = graph.node(layer.name)
    weight, bias = (integer.constants[n] for n in layer.inputs[1:3])
    x = integer.types[layer.inputs[0]].dtype
    assert isinstance(x, Feature)
    step = accumulator_step(integer, layer)
    values = weight * (step / x.scale).reshape(-1, *[1] * (weight.ndim - 1))
    parameters = {node.inputs[1]: values.astype(np.float32)}
    if node.operand(2):
        parameters[node.inputs[2]] = (bias * step).astype(np.float32)
    return parameters


def _first(batches: Sequence[Batch], count: int) -> list[Batch]:
    taken: list[Batch] = []
    for batch in batches:
        if count <= 0:
            break
        taken.append(batch)
        count -= max(len(array) for array in batch.values())
    return taken


def _run(graph: Graph, batches: Sequence[Batch], outputs: Sequence[str]) -> list[np.ndarray]:
    runner = Runner(graph, outputs=outputs)
    results = [runner(batch) for batch in batches]
    return [np.concatenate([r[name].reshape(-1) for r in results]) for name in outputs]


def _noise_to_signal(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    noise = sum(
        float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(wanted, got, strict=True)
    )
    signal = sum(float(np.square(a, dtype=np.float64).sum()) for a in wanted)
    return noise / max(signal, 1e-300)
