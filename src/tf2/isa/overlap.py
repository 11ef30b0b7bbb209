"""How soon a layer may begin while the results of the one before are still under way.

Times are cycles from the last issue of the layer before (`before`), when no filter word is late: a
late one moves the later layer only, or what comes before that issue. The array's first stage is
told the later layer before its first issue, the others as its first group reaches them, so

- no stage may still work for the layer before by then,
- and a row of the Feature Buffer that the layer before writes must not be read until then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.encoding import START_AFTER
from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.isa.timing import (
    READ_TAKEN,
    START,
    TELL,
    announce_cycles,
    pipeline_cycles,
    post_cycles,
    sum_cycles,
)
from tf2.isa.walk import output_positions, walk

MAX_START = (1 << START_AFTER) - 1
"""Largest `Layer.start_after`."""


def least_start(before: Layer, layer: Layer, config: OverlayConfig) -> int:
    """Return the least `Layer.start_after` of a layer behind another."""
    return max(TELL, _stages_free(before, layer, config), _rows_written(before, layer, config))


def late_start(before: Layer, config: OverlayConfig) -> int:
    """Return the cycles to the first issue of a layer that waits until `before` is written."""
    return pipeline_cycles(before, config, walk(before, config).segments) + START


def check_starts(program: Program) -> None:
    """Check that no layer begins before it may.

    Raises:
        ProgramError: One does; names it, the layer before it, and the cycles that are needed.
    """
    before: Layer | None = None
    for layer in program.instructions:
        if not isinstance(layer, Layer):
            continue
        if layer.start_after and before is None:
            raise ProgramError(
                f"layer {layer.name!r} is the first and has start_after {layer.start_after}; it "
                "must be 0"
            )
        if layer.start_after and before is not None:
            needed = least_start(before, layer, program.config)
            if layer.start_after < needed:
                raise ProgramError(
                    f"layer {layer.name!r} begins {layer.start_after} cycles after the last issue "
                    f"of {before.name!r}; at least {needed} are needed, or 0, to wait until that "
                    "is written"
                )
        before = layer


def _stages_free(before: Layer, layer: Layer, config: OverlayConfig) -> int:
    """Return when the first group of the layer meets no stage that works for the one before."""
    written = pipeline_cycles(before, config, walk(before, config).segments)
    first_end = max(
        post_cycles(before, config),
        written + 1 - announce_cycles(config),
        # The residual is read ahead from then on, beside no write of the layer before.
        written + 1 - sum_cycles(config) if layer.residual is not None else 0,
    )
    return first_end - (layer.kernel.length - 1)


def _rows_written(before: Layer, layer: Layer, config: OverlayConfig) -> int:
    """Return when each row that is read has been written."""
    rows, times = _last_writes(before, config)
    written = np.full(config.feature_rows, np.iinfo(np.int64).min)
    np.maximum.at(written, rows, times)
    rows, times = _first_reads(layer, config, int(times.max(initial=0)))
    late = written[rows] > 0
    # A read is taken READ_TAKEN cycles after its issue; it sees writes of earlier cycles.
    return int((written[rows][late] - times[late]).max(initial=0)) + 1 - READ_TAKEN


def _last_writes(layer: Layer, config: OverlayConfig) -> tuple[NDArray, NDArray]:
    """Return rows that are written at or after the last issue, and the cycle of each, at most."""
    w = walk(layer, config)
    end = pipeline_cycles(layer, config, w.segments)
    total = layer.out_groups * layer.groups
    back = np.arange(min(total, end // w.interval + 1))
    block, group = np.divmod(total - 1 - back, layer.groups)
    emitted, position, _ = output_positions(layer, config)
    plane, _ = np.divmod(layer.output.first_part + block, config.parts)
    octets = np.arange(4 if layer.raw else 1) * layer.output.raw_rows
    first = layer.output.base_row + plane * layer.output.plane_rows
    rows = (first[:, None] + position[group] // config.pixels)[..., None] + octets
    writes = np.broadcast_to(emitted[group][..., None], rows.shape)
    times = np.broadcast_to((end - back * w.interval)[:, None, None], rows.shape)
    return rows[writes], times[writes]


def _first_reads(layer: Layer, config: OverlayConfig, cycles: int) -> tuple[NDArray, NDArray]:
    """Return rows that are read by the issues of so many cycles, and the cycle of each issue."""
    kernel, source, interval = layer.kernel, layer.input, walk(layer, config).interval
    groups = np.arange(min(layer.out_groups * layer.groups, cycles // interval + 1))
    taps = np.arange(min(kernel.length, cycles + 1))
    number, tap, lane = np.meshgrid(groups, taps, np.arange(layer.lanes), indexing="ij")
    block, group = np.divmod(number, layer.groups)
    tap_y, word = np.divmod(tap, kernel.words)
    tap_y, tap_x = np.divmod(tap_y, kernel.x)
    tap_z, tap_y = np.divmod(tap_y, kernel.y)
    y, x = np.divmod(group * layer.lanes + lane, layer.raster_width)
    y = y * kernel.stride_y - kernel.pad_top + tap_y * kernel.dilation_y
    x = x * kernel.stride_x - kernel.pad_left + tap_x * kernel.dilation_x
    word = word + block // kernel.word_every * kernel.word_step
    rows = (y * source.pitch + x) // config.pixels + source.base_row
    rows = rows + word * source.plane_rows + tap_z * source.slice_rows
    inside = (y >= 0) & (y < source.height) & (x >= 0) & (x < source.width)
    return rows[inside], (number * interval + tap)[inside]
