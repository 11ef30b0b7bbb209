"""The rows of the Feature Buffer that an instruction reads and writes; that they exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.instructions import Instruction, Layer, Load, Residual, Store
from tf2.isa.walk import output_positions

Rows = NDArray[np.int64]
"""Row numbers, sorted, each once."""

_NONE: Rows = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Access:
    """What an instruction does to the Feature Buffer."""

    reads: Rows
    writes: Rows


def access(instruction: Instruction, config: OverlayConfig) -> Access:
    """Return the rows that an instruction reads and writes.

    Raises:
        ProgramError: One lies outside of the Feature Buffer; names the instruction.
    """
    match instruction:
        case Load():
            return Access(reads=_NONE, writes=_transfer_rows(instruction, config))
        case Store():
            return Access(reads=_transfer_rows(instruction, config), writes=_NONE)
        case Layer():
            reads = [input_rows(instruction, config)]
            if instruction.residual is not None:
                reads.append(residual_rows(instruction, instruction.residual, config))
            return Access(
                reads=np.unique(np.concatenate(reads)), writes=output_rows(instruction, config)
            )
    return Access(reads=_NONE, writes=_NONE)


def _transfer_rows(transfer: Load | Store, config: OverlayConfig) -> Rows:
    first, count = transfer.base_row, transfer.rows
    if count < 1 or first < 0 or first + count > config.feature_rows:
        raise ProgramError(
            f"{transfer.name!r}: rows {first} to {first + count - 1}; the Feature Buffer has rows "
            f"0 to {config.feature_rows - 1}"
        )
    return np.arange(first, first + count)


def input_words(layer: Layer) -> NDArray[np.int64]:
    """Return the channel words that each group of outputs sums over, (out_groups, words)."""
    kernel = layer.kernel
    first = np.arange(layer.out_groups) // kernel.word_every * kernel.word_step
    return first[:, None] + np.arange(kernel.words)


def word_rows(layer: Layer, config: OverlayConfig) -> Rows:
    """Return the rows of one channel word and z that the layer's taps reach, from its first row."""
    kernel, source = layer.kernel, layer.input
    y = _reached(layer.height, kernel.stride_y, kernel.pad_top, kernel.y, kernel.dilation_y,
                 source.height)  # fmt: skip
    x = _reached(layer.width, kernel.stride_x, kernel.pad_left, kernel.x, kernel.dilation_x,
                 source.width)  # fmt: skip
    if not y.size or not x.size:
        return _NONE
    _check(layer.name, "reads", int(y[-1] * source.pitch + x[-1]) // config.pixels, config)
    return np.unique((y[:, None] * source.pitch + x) // config.pixels)


def _reached(outputs: int, stride: int, pad: int, taps: int, dilation: int, size: int) -> Rows:
    where = np.arange(outputs)[:, None] * stride - pad + np.arange(taps) * dilation
    return np.unique(where[(where >= 0) & (where < size)])


def input_rows(layer: Layer, config: OverlayConfig) -> Rows:
    """Return the rows of the input that the layer reads; taps beyond its borders read none."""
    source = layer.input
    planes = np.unique(input_words(layer)) * source.plane_rows
    first = source.base_row + planes[:, None] + np.arange(layer.kernel.z) * source.slice_rows
    return _spread(layer, "reads", np.unique(first), word_rows(layer, config), config)


def residual_rows(layer: Layer, residual: Residual, config: OverlayConfig) -> Rows:
    """Return the rows of the residual that the layer reads."""
    last = (layer.height - 1) * residual.pitch + layer.width - 1
    _check(layer.name, "reads", last // config.pixels, config)
    y, x = np.arange(layer.height)[:, None], np.arange(layer.width)
    plane = np.unique((residual.first_part + np.arange(layer.out_groups)) // config.parts)
    first = residual.base_row + plane * residual.plane_rows
    rows = np.unique((y * residual.pitch + x) // config.pixels)
    return _spread(layer, "reads", first, rows, config)


def output_rows(layer: Layer, config: OverlayConfig) -> Rows:
    """Return the rows that the layer writes."""
    emitted, position, _ = output_positions(layer, config)
    plane = np.unique((layer.output.first_part + np.arange(layer.out_groups)) // config.parts)
    octets = np.arange(4 if layer.raw else 1) * layer.output.raw_rows
    first = layer.output.base_row + plane[:, None] * layer.output.plane_rows + octets
    rows = np.unique(position[emitted] // config.pixels)
    return _spread(layer, "writes", np.unique(first), rows, config)


def _spread(layer: Layer, does: str, first: Rows, rows: Rows, config: OverlayConfig) -> Rows:
    """Return ``first + rows``, all of them."""
    if not first.size or not rows.size:
        return _NONE
    _check(layer.name, does, int(first.min() + rows[0]), config)
    _check(layer.name, does, int(first.max() + rows[-1]), config)
    touched = np.zeros(config.feature_rows, dtype=np.bool_)
    for start in first:
        touched[start + rows] = True
    return np.flatnonzero(touched)


def _check(name: str, does: str, row: int, config: OverlayConfig) -> None:
    if not 0 <= row < config.feature_rows:
        raise ProgramError(
            f"layer {name!r} {does} row {row}; the Feature Buffer has rows 0 to "
            f"{config.feature_rows - 1}"
        )
