"""A Q for each channel, without hardware for it: powers of two moved from channels into weights.

The original gives each channel its own Q (128 = 2**Q * fmax). The same resolution is had with one Q
a tensor: a quiet channel is enlarged by 2**e in the layer that writes it, and the layers that read
it divide by 2**e. Exact through ReLU, leaky ReLU, max pooling and concat, and before any weight is
rounded, so integers and hardware stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np

from tf2.ir import Graph
from tf2.quantization.calibration import TensorRange
from tf2.quantization.partition import Partition, Step

MAX_ENLARGEMENT = 3
"""Channels are enlarged by at most 2**3: 99 % of the channels of the networks measured need no
more, and near-dead channels would otherwise get weights out of all proportion."""

CHANNEL_MOVES = frozenset({"MaxPool", "Concat", "Flatten", "Identity"})
"""Moves that keep track of which channel is which."""


def equalize(
    graph: Graph,
    plan: Partition,
    groups: Sequence[Sequence[str]],
    ranges: Mapping[str, TensorRange],
) -> Graph:
    """Return the graph with quiet channels enlarged, wherever that is exact; same function.

    Args:
        graph: Canonical.
        plan: Its partition.
        groups: Values that share bytes.
        ranges: Of those values.
    """
    constants: dict[str, np.ndarray] = {}
    for group in groups:
        writers = [s for s in plan.steps if s.output in group and s.kind == "conv"]
        if _can_equalize(graph, plan, set(group), writers):
            exponents = _enlargements(graph, plan, group, writers, ranges)
            _apply(graph, plan, exponents, writers, constants)
    return graph.replaced(constants=constants)


def _can_equalize(graph: Graph, plan: Partition, group: set[str], writers: Sequence[Step]) -> bool:
    """Whether only layers write and read the group, and only moves that keep channels lie between.

    Weights that two layers share, or a bias computed from elsewhere, would be changed twice.
    """
    inside = [s for s in plan.steps if s.kind == "move" and s.output in group]
    if any(not _keeps_channels(s) for s in inside) or group & {*graph.inputs, *graph.outputs}:
        return False
    if {s.output for s in (*inside, *writers)} != group:
        return False
    if any(s.activation.high != inf or s.activation.low not in (0.0, -inf) for s in writers):
        return False
    readers = [s for s in plan.steps if s not in inside and group & set(s.node.inputs)]
    layers = [*writers, *readers]
    if any(s.kind != "conv" for s in readers):
        return False
    shared = [name for s in layers for name in s.node.inputs[1:] if len(graph.users[name]) > 1]
    return not shared


def _keeps_channels(step: Step) -> bool:
    if step.node.op == "Concat":
        return step.node.attr("axis", 0) == 1
    if step.node.op == "Flatten":
        return step.node.attr("axis", 1) == 1
    return step.node.op in CHANNEL_MOVES


def _enlargements(
    graph: Graph,
    plan: Partition,
    group: Sequence[str],
    writers: Sequence[Step],
    ranges: Mapping[str, TensorRange],
) -> dict[str, np.ndarray]:
    """Return log2 of the enlargement of each channel of each value of the group."""
    loudest = max(float(ranges[name].channel_max.max()) for name in group if name in ranges)
    exponents: dict[str, np.ndarray] = {}
    for step in writers:
        channel_max = ranges[step.output].channel_max
        quiet = np.where(channel_max > 0, channel_max, loudest)
        ratio = np.floor(np.log2(loudest / quiet)) if loudest > 0 else np.zeros(len(quiet))
        exponents[step.output] = np.clip(ratio, 0, MAX_ENLARGEMENT).astype(int)
    for step in plan.steps:
        if step.kind == "move" and step.output in group:
            parts = [exponents[name] for name in step.node.inputs if name in exponents]
            repeat = graph.shape(step.output)[1] // sum(len(part) for part in parts)
            exponents[step.output] = np.repeat(np.concatenate(parts), repeat)
    return exponents


def _apply(
    graph: Graph,
    plan: Partition,
    exponents: Mapping[str, np.ndarray],
    writers: Sequence[Step],
    constants: dict[str, np.ndarray],
) -> None:
    """Scale the weights of the layers that write and read the group; exact in float32."""

    def current(name: str) -> np.ndarray:
        return constants.get(name, graph.constants[name])

    for step in writers:
        gain = exponents[step.output]
        for name in (n for n in step.node.inputs[1:3] if n):
            data = current(name)
            shape = (-1, *[1] * (data.ndim - 1))
            constants[name] = np.ldexp(data, gain.reshape(shape)).astype(np.float32)
    for step in plan.steps:
        source = step.node.inputs[0] if step.node.inputs else ""
        if step.kind != "conv" or source not in exponents:
            continue
        name = step.node.inputs[1]
        weight = current(name)
        groups = int(step.node.attr("group", 1))
        per_group = exponents[source].reshape(groups, weight.shape[1])
        per_row = np.repeat(per_group, len(weight) // groups, axis=0)
        shape = (*weight.shape[:2], *[1] * (weight.ndim - 2))
        constants[name] = np.ldexp(weight, -per_row.reshape(shape)).astype(np.float32)
