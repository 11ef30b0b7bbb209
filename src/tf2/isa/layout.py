"""Where the bytes of a feature map lie in the Feature Buffer, and in DDR when loaded or stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A map of channels x depth x height x width in planes of channel words, slice by slice.

    Maps with fewer axes have depth (and height) 1.

    Attributes:
        depth: Slices, each `words` planes.
        height: Rows.
        width: Columns.
        pitch: Positions from a row to the next, at least width.
        slots: Place of each channel: word * C + byte. Places no channel has hold anything.
        words: Channel words, enough for all slots.
    """

    depth: int = 1
    height: int
    width: int
    pitch: int
    slots: tuple[int, ...]
    words: int

    def plane_rows(self, config: OverlayConfig) -> int:
        """Return the rows of one plane."""
        return -(-self.height * self.pitch // config.pixels)

    def slice_rows(self, config: OverlayConfig) -> int:
        """Return the rows of one slice."""
        return self.words * self.plane_rows(config)

    def rows(self, config: OverlayConfig) -> int:
        """Return the rows of the whole map."""
        return self.depth * self.slice_rows(config)


def pack(features: NDArray[np.int8], layout: Layout, config: OverlayConfig) -> NDArray[np.int8]:
    """Return the rows of a map, (channels, depth, height, width) to (rows, P, C); the rest is 0."""
    p, c, size = config.pixels, config.inputs, layout.height * layout.pitch
    words = np.zeros((layout.depth, layout.words * c, layout.height, layout.pitch), dtype=np.int8)
    words[:, list(layout.slots), :, : layout.width] = features.transpose(1, 0, 2, 3)
    raster = np.zeros((layout.depth, layout.words, c, layout.plane_rows(config) * p), np.int8)
    raster[..., :size] = words.reshape(layout.depth, layout.words, c, size)
    return np.ascontiguousarray(raster.swapaxes(2, 3)).reshape(-1, p, c)


def unpack(rows: NDArray[np.int8], layout: Layout, config: OverlayConfig) -> NDArray[np.int8]:
    """Return the map that `pack` laid out, (channels, depth, height, width)."""
    size = layout.height * layout.pitch
    raster = rows.reshape(layout.depth, layout.words, -1, config.inputs)[:, :, :size]
    planes = raster.swapaxes(2, 3).reshape(layout.depth, -1, layout.height, layout.pitch)
    chosen = planes[:, list(layout.slots), :, : layout.width]
    return np.ascontiguousarray(chosen.transpose(1, 0, 2, 3))


def to_ddr(rows: NDArray[np.int8], config: OverlayConfig) -> bytes:
    """Return rows as `Load` finds them in DDR: each filled up to whole beats."""
    padded = np.zeros((len(rows), config.row_beats * config.ddr_bytes), dtype=np.int8)
    padded[:, : config.row_bytes] = rows.reshape(len(rows), -1)
    return padded.tobytes()


def from_ddr(data: bytes | NDArray[np.uint8], config: OverlayConfig) -> NDArray[np.int8]:
    """Return the rows that `Store` left in DDR, (rows, P, C)."""
    beats = np.frombuffer(data, dtype=np.int8).reshape(-1, config.row_beats * config.ddr_bytes)
    rows = beats[:, : config.row_bytes]
    return np.ascontiguousarray(rows).reshape(-1, config.pixels, config.inputs)
