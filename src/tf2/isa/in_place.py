"""Whether a layer reads nothing that it may have written before.

The array reads inputs while results of earlier groups are written, so rows that a layer both reads
and writes are refused, with two exceptions that are exact:

- Bytes that only meet weights of zero: a map whose channels share words with the layer's result.
- A residual that lies where the layer writes: the residual of a group is read before the results of
  that group are written, so a byte may be read up to the group that writes it, not later.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.access import input_rows, input_words, output_rows, residual_rows, word_rows
from tf2.isa.filters import block_bytes, decode_words
from tf2.isa.instructions import Layer, Residual
from tf2.isa.walk import output_positions


def check_in_place(layer: Layer, filters: bytes, config: OverlayConfig) -> None:
    """Check one layer.

    Args:
        layer: Whose rows all exist.
        filters: The filter stream from the layer's first block on.
        config: Of the overlay.

    Raises:
        ProgramError: It reads what it may have written; names the layer and a row.
    """
    written = output_rows(layer, config)
    both = np.intersect1d(input_rows(layer, config), written)
    if both.size:
        live = _live_parts(layer, filters, config) & _written_parts(layer, config)
        if live.any():
            raise ProgramError(
                f"layer {layer.name!r} reads row {int(np.flatnonzero(live.any(axis=1))[0])} and "
                "writes it; only a residual may lie where a layer writes"
            )
    residual = layer.residual
    if (
        residual is not None
        and np.intersect1d(residual_rows(layer, residual, config), written).size
    ):
        _check_residual(layer, residual, config)


def _live_parts(layer: Layer, filters: bytes, config: OverlayConfig) -> NDArray[np.bool_]:
    """Return which parts of which rows meet weights other than zero, (feature_rows, parts)."""
    kernel, source = layer.kernel, layer.input
    live = np.zeros((config.feature_rows, config.parts), dtype=np.bool_)
    rows = word_rows(layer, config)
    size = block_bytes(kernel.length, config)
    head = config.parameter_words * config.filter_word_bytes
    for group, words in enumerate(input_words(layer)):
        weights = decode_words(filters[group * size + head : (group + 1) * size], config)
        used = (weights != 0).any(axis=1).reshape(kernel.z, -1, kernel.words, config.inputs)
        parts = used.any(axis=1).reshape(kernel.z, kernel.words, config.parts, -1).any(axis=3)
        for z, word in np.ndindex(kernel.z, kernel.words):
            first = source.base_row + words[word] * source.plane_rows + z * source.slice_rows
            live[first + rows] |= parts[z, word]
    return live


def _written_parts(layer: Layer, config: OverlayConfig) -> NDArray[np.bool_]:
    """Return which parts of which rows the layer writes, (feature_rows, parts)."""
    written = np.zeros((config.feature_rows, config.parts), dtype=np.bool_)
    emitted, position, _ = output_positions(layer, config)
    rows = np.unique(position[emitted] // config.pixels)
    target = layer.output
    for group in range(layer.out_groups):
        plane, part = divmod(target.first_part + group, config.parts)
        for octet in range(4 if layer.raw else 1):
            first = target.base_row + plane * target.plane_rows + octet * target.raw_rows
            written[first + rows, part] = True
    return written


def _check_residual(layer: Layer, residual: Residual, config: OverlayConfig) -> None:
    """Check that no byte of the residual is read in a later group than it is written in."""
    p = config.pixels
    size = config.feature_rows * p * config.parts
    written = np.full(size, np.iinfo(np.int64).max)
    emitted, position, _ = output_positions(layer, config)
    group_of = np.broadcast_to(np.arange(layer.groups)[:, None], position.shape)[emitted]
    position = position[emitted]
    raster = np.arange(layer.groups)[:, None] * layer.lanes + np.arange(layer.lanes)
    y, x = np.divmod(raster, layer.raster_width)
    inside = (y < layer.height) & (x < layer.width)
    read_group = np.broadcast_to(np.arange(layer.groups)[:, None], raster.shape)[inside]
    read_position = (y * residual.pitch + x)[inside]

    def places(base: int, plane_rows: int, first_part: int, block: int, at: NDArray) -> NDArray:
        plane, part = divmod(first_part + block, config.parts)
        return ((base + plane * plane_rows) * p + at) * config.parts + part

    target = layer.output
    for block in range(layer.out_groups):
        where = places(target.base_row, target.plane_rows, target.first_part, block, position)
        np.minimum.at(written, where, block * layer.groups + group_of)
    for block in range(layer.out_groups):
        where = places(
            residual.base_row, residual.plane_rows, residual.first_part, block, read_position
        )
        late = written[where] < block * layer.groups + read_group
        if late.any():
            row = int(where[late][0]) // (p * config.parts)
            raise ProgramError(
                f"layer {layer.name!r} reads its residual in row {row} after it has written there"
            )
