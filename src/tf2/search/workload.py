"""What a network asks of any overlay: the least cycles that a frame can take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tf2.arch import OverlayConfig
from tf2.ir import Graph
from tf2.ir.integer_ops import DOMAIN

PACKED_CHANNELS = 4
"""Channels of an image, whose taps are packed densely into the lanes of inputs."""


@dataclass(frozen=True, kw_only=True)
class LayerWork:
    """One convolution or fully connected layer.

    Attributes:
        outputs: Output channels of one group of channels.
        groups: Of channels.
        channels: Input channels of one group.
        taps: Of the kernel.
        positions: Of its output map.
    """

    outputs: int
    groups: int
    channels: int
    taps: int
    positions: int

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates."""
        return self.weights * self.positions

    @property
    def weights(self) -> int:
        """Weights of it."""
        return self.outputs * self.groups * self.channels * self.taps

    def interval(self, inputs: int) -> int:
        """Return the filter words of one output, at least, on that many lanes of inputs."""
        if self.channels <= PACKED_CHANNELS:
            return -(-self.channels * self.taps // inputs)
        if self.groups > 1:  # a word may hold several groups
            return max(1, self.channels * self.taps // inputs)
        return self.taps * -(-self.channels // inputs)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A network as its layers, for bounds; the exact figure is the cycle model's.

    Attributes:
        graph: The integer graph.
        layers: Convolutions and fully connected layers.
        pooled_width: Of the widest map that is pooled: the pooling unit holds a row and more.
    """

    graph: Graph
    layers: tuple[LayerWork, ...]
    pooled_width: int

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of a frame."""
        return sum(layer.macs for layer in self.layers)

    def least_cycles(self, config: OverlayConfig, ddr_share: float = 1.0) -> int:
        """Return cycles that no schedule goes below: lanes, post-processing, or filters from DDR.

        Nothing is computed twice, layers follow each other without a gap. Layers that the host
        computes instead of the array count as well: for such networks it may be too high.
        """
        pairs = list(self._layer_cycles(config, ddr_share))
        return max(sum(lanes for lanes, _ in pairs), math.ceil(sum(load for _, load in pairs)))

    def likely_cycles(self, config: OverlayConfig, ddr_share: float = 1.0) -> int:
        """Return a guess of the cycles: no layer's filters come while another one computes."""
        return math.ceil(sum(max(pair) for pair in self._layer_cycles(config, ddr_share)))

    def _layer_cycles(self, config: OverlayConfig, ddr_share: float) -> Iterator[tuple[int, float]]:
        """Yield of each layer the cycles of the lanes, and those in which its filters come."""
        bytes_a_cycle = config.ddr_bytes * ddr_share
        for layer in self.layers:
            blocks = math.ceil(layer.outputs * layer.groups / config.outputs)
            groups = math.ceil(layer.positions / config.pixels)
            interval = layer.interval(config.inputs)
            words = blocks * interval
            yield (
                blocks * groups * max(interval, config.post_beats),
                max(words, words * config.filter_word_bytes / bytes_a_cycle),
            )


def workload(graph: Graph) -> Workload:
    """Return a compressed network's layers."""
    layers: list[LayerWork] = []
    pooled = 1
    for node in graph.nodes:
        if node.op == "MaxPool":
            pooled = max(pooled, graph.shape(node.inputs[0])[-1])
        if node.op != "Conv" or node.domain != DOMAIN:
            continue
        weight, groups = graph.shape(node.inputs[1]), node.attr("group", 1)
        layers.append(
            LayerWork(
                outputs=weight[0] // groups,
                groups=groups,
                channels=weight[1],
                taps=math.prod(weight[2:]),
                positions=math.prod(graph.shape(node.output)[2:]),
            )
        )
    return Workload(graph=graph, layers=tuple(layers), pooled_width=pooled)
