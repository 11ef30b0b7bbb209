"""How a layer walks over its rasters: everything the address generators are told, in integers.

All of it follows from the meaning of a `Layer`; `tf2.isa.encoding` only writes it down in bits.
Positions are split as (bank, row) = (p mod P, p div P); row is signed where a position may be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.instructions import Layer

Split = tuple[int, int]
"""A number of positions as (bank, row)."""


def split(positions: int, pixels: int) -> Split:
    """Return (bank, row) of a position or of a step, which may be negative."""
    row, bank = divmod(positions, pixels)
    return bank, row


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Where lane i of group 0 stands; every pass over the raster begins there.

    Attributes:
        x: Column of the raster.
        y: Row of it.
        in_x: Column of the input that the first tap reads; may lie outside.
        in_y: As in_x.
        in_bank: Bank of that position, of every group.
        in_row: Row of it, base row included.
        out: Where its output goes, base row and first plane included; meaningful where one is
            emitted.
        residual: As out, of the residual.
    """

    x: int
    y: int
    in_x: int
    in_y: int
    in_bank: int
    in_row: int
    out: Split
    residual: Split


@dataclass(frozen=True, kw_only=True)
class Emission:
    """Which raster columns (or rows) end a pooling window, and how many taps it has there.

    A position c emits if ``first <= c <= last`` and ``(c - first)`` is a multiple of the stride, or
    c is `clipped`; its window holds ``min(size, c + 1)`` taps, ``size - 1`` where clipped.

    Attributes:
        first: First column that ends a window.
        last: Last one, the clipped one left out.
        clipped: The column that ends the window hanging over the edge, or -1.
    """

    first: int
    last: int
    clipped: int


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The constants of one layer's address generators.

    A lane advances by `lanes` raster positions a group: x += advance_x, y += advance_y, and where x
    reaches the raster's width, x -= raster_width and y += 1 (a wrap). The pairs are (without, with
    a wrap).

    Attributes:
        lanes: Lane tables, P of them; those from `Layer.lanes` on are never valid.
        advance_x: Columns.
        advance_y: Rows.
        in_x: Added to Lane.in_x, by wrap.
        in_y: Added to Lane.in_y, by wrap.
        in_row: Added to Lane.in_row, by wrap.
        tap_word: Step to the next channel word.
        tap_x: Step to the next tap of the row, channel words rewound.
        tap_y: Step to the next row of taps, all inner loops rewound.
        tap_z: Step to the next z, all inner loops rewound.
        group_rows: Rows added to the plane for each `word_every` groups of outputs.
        out: Step of Lane.out by wrap, for even parities (`out_phase`).
        out_dx: Step of one more output column.
        out_dy: Step of one more output row.
        out_phase_x: The position's (x + pad_left - size + stride) of lane 0 at the raster's start,
            modulo the stride; an output column more is stepped each time the stride is passed.
        out_phase_y: As out_phase_x.
        residual: Rows added to the residual's row, by wrap; its bank is fixed.
        emit_x: Columns that emit an output.
        emit_y: Rows.
        segments: Write cycles of a group; more than 1: row by row of the raster, else all at once.
        write_cycles: segments; for raw layers 4 beats, each the larger of segments and post_beats.
        interval: Cycles from a group to the next.
    """

    lanes: tuple[Lane, ...]
    advance_x: int
    advance_y: int
    in_x: tuple[int, int]
    in_y: tuple[int, int]
    in_row: tuple[int, int]
    tap_word: Split
    tap_x: Split
    tap_y: Split
    tap_z: Split
    group_rows: int
    out: tuple[Split, Split]
    out_dx: Split
    out_dy: Split
    out_phase_x: int
    out_phase_y: int
    residual: tuple[int, int]
    emit_x: Emission
    emit_y: Emission
    segments: int
    write_cycles: int
    interval: int


SUM_DRAIN_CYCLES = 12
"""Cycles beyond N that a fused sum needs between the ends of two groups of outputs."""


@lru_cache(maxsize=4096)
def walk(layer: Layer, config: OverlayConfig) -> Walk:
    """Return the constants of a layer's address generators.

    Raises:
        ProgramError: The lanes of a group would meet in a bank of the Feature Buffer.
    """
    p, width = config.pixels, layer.raster_width
    kernel, source, target = layer.kernel, layer.input, layer.output
    _check_banks(layer, config)
    advance_y, advance_x = divmod(layer.lanes, width)
    row_of_lanes = kernel.stride_y * source.pitch - kernel.stride_x * width  # multiple of P
    in_row = tuple(
        (kernel.stride_x * layer.lanes + (advance_y + wrap) * row_of_lanes) // p for wrap in (0, 1)
    )
    words_back = (kernel.words - 1) * source.plane_rows
    columns_back = (kernel.x - 1) * kernel.dilation_x
    rows_back = (kernel.y - 1) * kernel.dilation_y * source.pitch

    def tap(positions: int, rows: int) -> Split:
        bank, row = split(positions, p)
        return bank, row + rows

    stride = layer.pool.stride if layer.pool else 1
    phase_x, phase_y = _phases(layer)
    out = tuple(
        split(
            _steps(advance_x - wrap * width, stride) * target.step_x
            + _steps(advance_y + wrap, stride) * target.step_y,
            p,
        )
        for wrap in (0, 1)
    )
    residual_pitch = layer.residual.pitch if layer.residual else width
    emit_x, emit_y = _emissions(layer)
    segments = _segments(layer, config)
    raw = layer.raw and layer.pool is None
    write_cycles = 4 * max(segments, config.post_beats) if raw else segments
    return Walk(
        lanes=tuple(_lane(layer, config, i) for i in range(p)),
        advance_x=advance_x,
        advance_y=advance_y,
        in_x=(kernel.stride_x * advance_x, kernel.stride_x * (advance_x - width)),
        in_y=(kernel.stride_y * advance_y, kernel.stride_y * (advance_y + 1)),
        in_row=(in_row[0], in_row[1]),
        tap_word=(0, source.plane_rows),
        tap_x=tap(kernel.dilation_x, -words_back),
        tap_y=tap(kernel.dilation_y * source.pitch - columns_back, -words_back),
        tap_z=tap(-rows_back - columns_back, source.slice_rows - words_back),
        group_rows=kernel.word_step * source.plane_rows,
        out=(out[0], out[1]),
        out_dx=split(target.step_x, p),
        out_dy=split(target.step_y, p),
        out_phase_x=phase_x % stride,
        out_phase_y=phase_y % stride,
        residual=tuple(
            (layer.lanes + (advance_y + wrap) * (residual_pitch - width)) // p for wrap in (0, 1)
        ),  # type: ignore[arg-type]
        emit_x=emit_x,
        emit_y=emit_y,
        segments=segments,
        write_cycles=write_cycles,
        interval=_interval(layer, config, write_cycles),
    )


def _steps(positions: int, stride: int) -> int:
    """Return the whole strides in a step; a phase that overflows adds one."""
    return positions // stride


def _phases(layer: Layer) -> tuple[int, int]:
    """Return (x, y) of the raster's origin on the scale that `stride` outputs apart are stepped."""
    pool = layer.pool
    if pool is None or pool.kind == "sum":
        return 0, 0
    return (
        pool.pad_left - pool.size + pool.stride,
        pool.pad_top - pool.size + pool.stride,
    )


def _lane(layer: Layer, config: OverlayConfig, index: int) -> Lane:
    p, kernel, source, target = config.pixels, layer.kernel, layer.input, layer.output
    y, x = divmod(index, layer.raster_width)
    in_y = y * kernel.stride_y - kernel.pad_top
    in_x = x * kernel.stride_x - kernel.pad_left
    in_bank, in_row = split(in_y * source.pitch + in_x, p)
    stride = layer.pool.stride if layer.pool else 1
    phase_x, phase_y = _phases(layer)
    out_y, out_x = (y + phase_y) // stride, (x + phase_x) // stride
    if layer.pool and layer.pool.kind == "sum":
        out_y = out_x = 0
    out_bank, out_row = split(target.origin + out_y * target.step_y + out_x * target.step_x, p)
    residual = (0, 0)
    if layer.residual:
        bank, row = split(y * layer.residual.pitch + x, p)
        plane = layer.residual.first_part // config.parts
        residual = (bank, row + layer.residual.base_row + plane * layer.residual.plane_rows)
    return Lane(
        x=x,
        y=y,
        in_x=in_x,
        in_y=in_y,
        in_bank=in_bank,
        in_row=in_row + source.base_row,
        out=(
            out_bank,
            out_row + target.base_row + target.first_part // config.parts * target.plane_rows,
        ),
        residual=residual,
    )


def _check_banks(layer: Layer, config: OverlayConfig) -> None:
    p, kernel = config.pixels, layer.kernel
    if not 1 <= layer.lanes <= p:
        raise ProgramError(f"layer {layer.name!r}: {layer.lanes} lanes; it must be 1 to {p}")
    pitches = [("input", kernel.stride_x, kernel.stride_y, layer.input.pitch)]
    if layer.residual:
        pitches.append(("residual", 1, 1, layer.residual.pitch))
    for what, stride_x, stride_y, pitch in pitches:
        rules = (
            (stride_x * layer.lanes, "stride * lanes"),
            (stride_y * pitch - stride_x * layer.raster_width, "stride * (pitch - raster width)"),
        )
        for value, rule in rules:
            if value % p and layer.groups > 1:  # with one group no lane ever moves on
                raise ProgramError(
                    f"layer {layer.name!r}, {what}: {rule} = {value}; it must be a multiple of "
                    f"the {p} banks"
                )
        y, x = np.divmod(np.arange(layer.lanes), layer.raster_width)
        if np.unique((y * stride_y * pitch + x * stride_x) % p).size != layer.lanes:
            raise ProgramError(f"layer {layer.name!r}, {what}: lanes of a group meet in a bank")


def _emissions(layer: Layer) -> tuple[Emission, Emission]:
    pool = layer.pool
    if pool is None or pool.kind == "sum":
        return (
            Emission(first=0, last=layer.width - 1, clipped=-1),
            Emission(first=0, last=layer.height - 1, clipped=-1),
        )
    over_y, over_x = pool.overhang(layer.height, layer.width)
    return (
        _emission(layer, "columns", pool.width, pool.pad_left, over_x, layer.width,
                  layer.raster_width),
        _emission(layer, "rows", pool.height, pool.pad_top, over_y, layer.height,
                  layer.raster_height),
    )  # fmt: skip


def _emission(
    layer: Layer, what: str, outputs: int, pad: int, over: int, size: int, raster: int
) -> Emission:
    assert layer.pool is not None
    first = layer.pool.size - 1 - pad
    last = (outputs - 1) * layer.pool.stride + first
    if over <= raster - size:
        return Emission(first=first, last=last, clipped=-1)
    if layer.pool.stride != 2 or over != 1:
        raise ProgramError(
            f"layer {layer.name!r}: the last window hangs over by {over} {what}; the raster must "
            f"have {size + over}, or the stride be 2 and the overhang 1"
        )
    return Emission(first=first, last=last - 2, clipped=size - 1)


def emits(emission: Emission, positions: NDArray[np.int64], stride: int) -> NDArray[np.bool_]:
    """Return which raster columns (or rows) emit an output."""
    inside = (positions >= emission.first) & (positions <= emission.last)
    return (inside & ((positions - emission.first) % stride == 0)) | (positions == emission.clipped)


def output_positions(
    layer: Layer, config: OverlayConfig
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return (emits, position, raster row) of every lane of every group; each (groups, P)."""
    pool = layer.pool
    index = np.arange(layer.groups)[:, None] * layer.lanes + np.arange(config.pixels)[None, :]
    y, x = np.divmod(index, layer.raster_width)
    inside = (np.arange(config.pixels) < layer.lanes)[None, :] & (y < layer.raster_height)
    if pool is not None and pool.kind == "sum":
        only = np.zeros_like(inside)
        only[-1, 0] = True
        return only, np.full_like(index, layer.output.origin), y
    stride = pool.stride if pool else 1
    emit_x, emit_y = _emissions(layer)
    phase_x, phase_y = _phases(layer)
    out_y, out_x = (y + phase_y) // stride, (x + phase_x) // stride
    position = layer.output.origin + out_y * layer.output.step_y + out_x * layer.output.step_x
    return inside & emits(emit_x, x, stride) & emits(emit_y, y, stride), position, y


def _segments(layer: Layer, config: OverlayConfig) -> int:
    emitted, position, y = output_positions(layer, config)
    bank = position % config.pixels
    if not _meet(emitted, bank, config.pixels):
        return 1
    row = y - y[:, :1]
    segments = int(row[emitted].max()) + 1
    for segment in range(segments):
        if _meet(emitted & (row == segment), bank, config.pixels):
            raise ProgramError(
                f"layer {layer.name!r}: outputs of one raster row meet in a bank when written "
                f"(step {layer.output.step_x}, {config.pixels} banks)"
            )
    return segments


def _meet(emitted: NDArray[np.bool_], bank: NDArray[np.int64], pixels: int) -> bool:
    """Return whether two lanes of a group write to the same bank."""
    groups = np.broadcast_to(np.arange(len(bank))[:, None], bank.shape)
    keys = (groups * pixels + bank)[emitted]
    return keys.size != np.unique(keys).size


def _interval(layer: Layer, config: OverlayConfig, write_cycles: int) -> int:
    """Return the cycles a group takes: the longest of its stages."""
    if layer.pool is not None and layer.pool.kind == "sum":
        drain = -(-(config.outputs + SUM_DRAIN_CYCLES) // layer.groups)
        # A residual read a group; beside it the sum's write, now and then, must find a free cycle.
        port = 2 if layer.residual else 1
        return max(layer.kernel.length, config.post_beats, drain, port)
    port = write_cycles + (1 if layer.residual else 0)
    return max(layer.kernel.length, config.post_beats, port)
