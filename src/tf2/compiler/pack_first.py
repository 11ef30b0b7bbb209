"""First layers whose input has few channels read several taps in one word, packed by the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tf2.arch import OverlayConfig
from tf2.compiler.ops import ArrayGraph, Axes, Conv, MapType
from tf2.compiler.weights import terms_needed


@dataclass(frozen=True, kw_only=True)
class PackedInput:
    """A map whose channels are the taps of a window over an input's.

    Attributes:
        value: The input.
        kind: Its type.
        kernel: Taps an axis.
        strides: As kernel.
        pads: As kernel.
        dilations: As kernel.
    """

    value: str
    kind: MapType
    kernel: Axes
    strides: Axes
    pads: Axes
    dilations: Axes


def pack_first(
    graph: ArrayGraph, config: OverlayConfig
) -> tuple[ArrayGraph, Mapping[str, PackedInput]]:
    """Return the graph with packed inputs where that fills more lanes, and how they are packed."""
    packed: dict[str, PackedInput] = {}
    convs = list(graph.convs)
    maps, inputs = dict(graph.maps), list(graph.inputs)
    for value in graph.inputs:
        readers = [i for i, conv in enumerate(convs) if value in conv.reads]
        elsewhere = value in graph.outputs or any(value in join.parts for join in graph.joined)
        if len(readers) != 1 or elsewhere or any(v.source == value for v in graph.chosen):
            continue
        conv, kind = convs[readers[0]], maps[value]
        if conv.source != value or not _gains(conv, kind, config):
            continue
        if conv.add is not None and conv.add.operand == value:
            continue
        name = f"{value}.packed"
        packed[name] = PackedInput(
            value=value, kind=kind, kernel=conv.kernel, strides=conv.strides, pads=conv.pads,
            dilations=conv.dilations,
        )  # fmt: skip
        outs, channels = conv.weight.shape[:2]
        taps = conv.weight.size // outs // channels
        maps[name] = replace(kind, channels=taps * channels, size=conv.size)
        inputs[inputs.index(value)] = name
        weight = conv.weight.transpose(0, 2, 3, 4, 1).reshape(outs, taps * channels, 1, 1, 1)
        convs[readers[0]] = replace(
            conv, source=name, weight=weight, strides=(1, 1, 1), pads=(0, 0, 0),
            dilations=(1, 1, 1),
        )  # fmt: skip
    packed_graph = replace(graph, convs=tuple(convs), maps=maps, inputs=tuple(inputs))
    return packed_graph, packed


def _gains(conv: Conv, kind: MapType, config: OverlayConfig) -> bool:
    outs, channels = conv.weight.shape[:2]
    taps = conv.weight.size // outs // channels
    if conv.groups != 1 or terms_needed(conv.weight, config) == 0:
        return False
    return -(-taps * channels // config.inputs) < taps * -(-channels // config.inputs)
