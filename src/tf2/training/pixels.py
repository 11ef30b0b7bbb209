"""The first layer on pixels: what the array reads, in units that train as the model's own do.

The array reads pixels p = (x - offset) / gain, bytes, where the model reads x. In training the
layer gets t = (p - centre) * 2**-shift instead: about as large as x, so that one learning rate fits
all layers, and exact in float32, so that sums are the array's to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tf2.ir import FLOAT32, Feature, Graph, Node, TensorType, verify
from tf2.ir.rewriter import Rewriter
from tf2.numerics import fixed_point

CENTRE = 128
"""Steps that are taken off bytes that cannot be negative."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """How one layer's input follows from the model's.

    Attributes:
        gain: Of x = p * gain + offset, (C,).
        offset: (C,).
        feature: Scale of p.
        shift: See above.
    """

    gain: np.ndarray
    offset: np.ndarray
    feature: Feature
    shift: int

    @classmethod
    def of(cls, gain: np.ndarray, offset: np.ndarray, feature: Feature) -> Pixels:
        """Return the units for pixels of this scale."""
        gain, offset = (np.asarray(a, np.float64) for a in (gain, offset))
        shift = -round(float(np.log2(np.abs(gain)).mean()))
        return cls(gain=gain, offset=offset, feature=feature, shift=shift)

    @property
    def centre(self) -> float:
        """What is taken off each pixel."""
        unsigned = self.feature.zero_point == fixed_point.UNSIGNED
        return CENTRE * self.feature.scale if unsigned else 0.0

    @property
    def input(self) -> Feature:
        """The layer's input, as the scale of its steps says."""
        return Feature(self.feature.frac_bits + self.shift, fixed_point.SIGNED)

    def on_pixels(self, alpha: np.ndarray) -> np.ndarray:
        """Return gains of a layer that reads t as gains of one that reads p."""
        return np.ldexp(alpha, -self.shift)

    def from_model(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the parameters on t of a layer with these on x; float64."""
        wide = np.asarray(weight, np.float64)
        on_pixels = wide * self._by_channel(self.gain, wide)
        moved = bias + self._sum(wide, self.offset) + self._sum(on_pixels, self.centre)
        return np.ldexp(on_pixels, self.shift), moved

    def to_model(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the parameters on x of a layer with these on t; float64."""
        on_pixels = np.ldexp(np.asarray(weight, np.float64), -self.shift)
        wide = on_pixels / self._by_channel(self.gain, on_pixels)
        return wide, bias - self._sum(wide, self.offset) - self._sum(on_pixels, self.centre)

    def _by_channel(self, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return values.reshape(1, -1, *[1] * (weight.ndim - 2))

    def _sum(self, weight: np.ndarray, values: np.ndarray | float) -> np.ndarray:
        each = np.broadcast_to(values, weight.shape[1:2])
        return (weight * self._by_channel(each, weight)).reshape(len(weight), -1).sum(1)


def centred(graph: Graph, layer: Node, pixels: Pixels) -> Graph:
    """Return the graph with t before a layer, where pixels were; its parameters are not changed."""
    source = layer.inputs[0]
    rewriter = Rewriter(graph)
    kind = TensorType(FLOAT32, graph.shape(source))
    chain: list[Node] = []
    for op, value in (("Sub", pixels.centre), ("Mul", 2.0**-pixels.shift)):
        constant = rewriter.constant(f"{source}.{op}", np.array(value, np.float32))
        name = centre_node(layer.name) if op == "Sub" else f"{layer.name}:input"
        inputs = (chain[-1].output if chain else source, constant)
        chain.append(Node(name=name, op=op, inputs=inputs, outputs=(name,)))
    moved = replace(layer, inputs=(chain[-1].output, *layer.inputs[1:]))
    types = {node.output: kind for node in chain}
    rewriter.replace([layer], [*chain, moved], types=types)
    return verify(rewriter.graph)


def centre_node(layer: str) -> str:
    """Return the name of the node that reads the pixels of a layer."""
    return f"{layer}:centred"
