"""What a segment of the array computes, before it is placed: maps, layers, maps made of maps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Axes = tuple[int, int, int]
"""One number each for z, y, x: slices, rows, columns."""


@dataclass(frozen=True, kw_only=True)
class MapType:
    """A feature map, or int32 sums, of one sample; maps with fewer axes have sizes 1 in front.

    Attributes:
        channels: C.
        size: Slices, rows, columns.
        zero_point: 0 or -128; 0 for sums.
        frac_bits: Q; 0 for sums.
        sums: int32, not bytes.
    """

    channels: int
    size: Axes
    zero_point: int = 0
    frac_bits: int = 0
    sums: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(channels, depth, height, width)."""
        return (self.channels, *self.size)


@dataclass(frozen=True, kw_only=True)
class AddPart:
    """A map added to a layer's bytes; fields as in `isa.Residual`."""

    operand: str
    shift_y: int
    shift_r: int
    shift_out: int
    zero_point: int
    out_zero_point: int
    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class MaxPart:
    """Max pooling behind a layer; fields as in `isa.Pool`."""

    size: int
    stride: int
    pad_top: int
    pad_left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class SumPart:
    """The sum over all positions behind a layer; fields as in `isa.Pool`."""

    bias: int
    multiplier: int
    shift: int
    zero_point: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv:
    """A convolution with what is fused behind it: everything the array computes is one of these.

    Attributes:
        name: Of the graph's node, or derived from it.
        source: Map that is read.
        target: Map that is written.
        weight: int8 (O, I / groups, z, y, x).
        groups: Of channels.
        factors: bias, multiplier, shift, negative multiplier, negative shift, each (O,) int64.
        strides: As size.
        pads: Positions before the first.
        dilations: As size.
        size: Of the convolution's own output, before pooling.
        zero_point: Of the bytes it is rescaled to.
        low: Smallest of them.
        high: Largest of them.
        raw: Gives out the int32 sums (those of `pool`, if it is a `SumPart`).
        add: Added behind it.
        pool: Pooled behind that.
        nodes: Names of the graph's nodes that it computes.
        macs: Useful multiply-accumulates.
    """

    name: str
    source: str
    target: str
    weight: NDArray[np.int8] = field(repr=False)
    groups: int = 1
    factors: tuple[NDArray[np.int64], ...] = field(repr=False)
    strides: Axes = (1, 1, 1)
    pads: Axes = (0, 0, 0)
    dilations: Axes = (1, 1, 1)
    size: Axes
    zero_point: int = 0
    low: int = -128
    high: int = 127
    raw: bool = False
    add: AddPart | None = None
    pool: MaxPart | SumPart | None = None
    nodes: tuple[str, ...] = ()
    macs: int = 0

    @property
    def kernel(self) -> Axes:
        """Taps an axis."""
        z, y, x = self.weight.shape[2:]
        return z, y, x

    @property
    def reads(self) -> tuple[str, ...]:
        """The maps that are read."""
        return (self.source,) if self.add is None else (self.source, self.add.operand)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A map whose channels are those of other maps, one after the other."""

    target: str
    parts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A map whose channels are some of another map's, in any order."""

    target: str
    source: str
    channels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayGraph:
    """What one segment computes, in order.

    Attributes:
        inputs: Maps that the host provides.
        outputs: Maps that the host reads.
        maps: Type of every map.
        convs: In the order in which they run.
        joined: In an order where parts come first.
        chosen: Views of other maps.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    maps: dict[str, MapType]
    convs: tuple[Conv, ...]
    joined: tuple[Joined, ...] = ()
    chosen: tuple[Chosen, ...] = ()

    def base(self, value: str) -> tuple[str, tuple[int, ...]]:
        """Return the map that a view looks at, and which of its channels it shows."""
        views = {view.target: view for view in self.chosen}
        channels = tuple(range(self.maps[value].channels))
        while value in views:
            view = views[value]
            channels = tuple(view.channels[c] for c in channels)
            value = view.source
        return value, channels
