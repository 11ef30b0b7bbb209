"""A program: instructions, filters, and where its inputs and outputs lie in DDR.

The arena is the stretch of DDR that a program sees; every address is a byte offset in it::

    code | filter stream | inputs, outputs and spilled maps
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.isa.encoding import encode
from tf2.isa.instructions import Instruction
from tf2.isa.layout import Layout, from_ddr, pack, to_ddr, unpack


@dataclass(frozen=True, kw_only=True)
class TapPacking:
    """Several taps of a first layer packed into the channels of one position, by the host.

    Channel ``tap * C + c`` of output position (z, y, x) is what that tap of a convolution reads of
    channel c there, taps in the order z, y, x; the zero point where it leaves the map.

    Attributes:
        kernel: Taps along (z, y, x).
        strides: As kernel.
        pads: Positions before the first.
        dilations: As kernel.
        size: Output positions along (z, y, x).
    """

    kernel: tuple[int, int, int]
    strides: tuple[int, int, int]
    pads: tuple[int, int, int]
    dilations: tuple[int, int, int]
    size: tuple[int, int, int]

    def __call__(self, features: NDArray[np.int8], zero_point: int) -> NDArray[np.int8]:
        """Return (taps * C, depth, height, width) of a map (C, depth, height, width)."""
        ends = [
            max(0, (o - 1) * s + (k - 1) * d + 1 - n - p)
            for n, k, s, p, d, o in zip(
                features.shape[1:], self.kernel, self.strides, self.pads, self.dilations,
                self.size, strict=True,
            )
        ]  # fmt: skip
        pads = [(0, 0), *((max(p, 0), e) for p, e in zip(self.pads, ends, strict=True))]
        padded = np.pad(features, pads, constant_values=zero_point)
        packed = []
        for tap in product(*(range(k) for k in self.kernel)):
            where = tuple(
                slice(t * d + max(-p, 0), t * d + max(-p, 0) + (o - 1) * s + 1, s)
                for t, d, p, s, o in zip(
                    tap, self.dilations, self.pads, self.strides, self.size, strict=True
                )
            )
            packed.append(padded[(slice(None), *where)])
        return np.concatenate(packed)


@dataclass(frozen=True, kw_only=True)
class InputPort:
    """A feature map that the host writes to DDR before a run.

    Attributes:
        name: Of the value in the integer graph.
        shape: (channels, depth, height, width).
        zero_point: Of the map.
        layout: Of what is written, after packing.
        address: Byte offset in the arena.
        packing: Taps packed into channels, if any.
    """

    name: str
    shape: tuple[int, int, int, int]
    zero_point: int
    layout: Layout
    address: int
    packing: TapPacking | None = None

    def write(
        self, features: NDArray[np.int8], arena: NDArray[np.uint8], config: OverlayConfig
    ) -> None:
        """Write one sample, of any shape with as many elements, into the arena."""
        values = features.reshape(self.shape)
        if self.packing is not None:
            values = self.packing(values, self.zero_point)
        data = np.frombuffer(to_ddr(pack(values, self.layout, config), config), dtype=np.uint8)
        arena[self.address : self.address + data.size] = data


@dataclass(frozen=True, kw_only=True)
class OutputPort:
    """A feature map, or int32 sums, that the host reads from DDR after a run.

    Attributes:
        name: Of the value in the integer graph.
        shape: (channels, depth, height, width).
        layout: Of the bytes; sums are four such maps, one a byte of the little-endian int32.
        address: Byte offset in the arena.
        sums: int32, not bytes.
    """

    name: str
    shape: tuple[int, int, int, int]
    layout: Layout
    address: int
    sums: bool = False

    def read(self, arena: NDArray[np.uint8], config: OverlayConfig) -> NDArray[np.integer]:
        """Return one sample, (channels, depth, height, width), int8 or int32."""
        count = self.layout.rows(config)
        size = count * config.row_beats * config.ddr_bytes
        maps = [
            unpack(from_ddr(arena[start : start + size], config), self.layout, config)
            for start in range(self.address, self.address + size * (4 if self.sums else 1), size)
        ]
        if not self.sums:
            return maps[0]
        octets = np.stack(maps, axis=-1).view(np.uint8).astype(np.uint32)
        return (
            (octets << np.arange(0, 32, 8, dtype=np.uint32))
            .sum(axis=-1, dtype=np.uint32)
            .view(np.int32)
        )


@dataclass(frozen=True, kw_only=True)
class Program:
    """What an overlay runs for one sample.

    Attributes:
        config: The overlay it was compiled for; no other runs it.
        instructions: Ending in `End`.
        filters: The filter stream.
        inputs: Written by the host before a run.
        outputs: Read by the host after it.
        code_address: Of the encoded instructions in the arena.
        filters_address: Of the filter stream.
        arena_bytes: Size of the arena.
    """

    config: OverlayConfig
    instructions: tuple[Instruction, ...]
    filters: bytes = field(repr=False)
    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]
    code_address: int = 0
    filters_address: int
    arena_bytes: int

    @cached_property
    def code(self) -> bytes:
        """The instructions as they lie in DDR."""
        return b"".join(encode(instruction, self.config) for instruction in self.instructions)

    def arena(self) -> NDArray[np.uint8]:
        """Return the arena with code and filters in place, the rest 0."""
        arena = np.zeros(self.arena_bytes, dtype=np.uint8)
        for address, data in ((self.code_address, self.code), (self.filters_address, self.filters)):
            arena[address : address + len(data)] = np.frombuffer(data, dtype=np.uint8)
        return arena
