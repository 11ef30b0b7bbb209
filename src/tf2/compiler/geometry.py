"""From a layer and the places of its maps to the `isa.Layer`, and what that costs.

The raster of a layer is walked in groups of lanes; its width must suit the pitch of what is read
(`tf2.isa.walk`), so it may be wider than the map. That, and the pooling's overhang, is all that
lanes lose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np

from tf2.arch import OverlayConfig
from tf2.compiler.ops import Conv, MaxPart, SumPart
from tf2.errors import CompileError
from tf2.isa import InputMap, Kernel, Layer, OutputMap, Pool, Residual
from tf2.isa.filters import block_bytes
from tf2.isa.timing import START, pipeline_cycles
from tf2.isa.walk import walk


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where some rows of a map lie in the Feature Buffer.

    Attributes:
        base_row: Of word 0, first slice, first row.
        plane_rows: Rows from a word's plane to the next.
        slice_rows: Rows from a slice to the next.
        byte_rows: Rows from a byte of int32 sums to the next.
        pitch: Positions from a row of the map to the next.
        first: Row of the map that lies first.
        height: Rows of the map that lie there.
        together: The slices that are read lie one behind the other from `base_row` on.
    """

    base_row: int
    plane_rows: int
    slice_rows: int = 0
    byte_rows: int = 0
    pitch: int
    first: int = 0
    height: int
    together: bool = False


@dataclass(frozen=True, kw_only=True)
class Cover:
    """The channel words that groups of outputs read: `words` from `first` on, see `isa.Kernel`."""

    first: int
    words: int
    step: int = 0
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class Region:
    """What one `isa.Layer` computes of a layer's result: rows of a slice, or some columns of them.

    Attributes:
        slice: Of the result.
        begin: First row.
        end: Row after the last.
        left: First column; only layers on which nothing is fused are cut there.
        right: Column after the last; 0: all columns.
    """

    slice: int
    begin: int
    end: int
    left: int = 0
    right: int = 0


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a region takes.

    Attributes:
        begin: First row of the convolution's own output.
        end: Row after the last.
        taps: First slice tap inside of the map, and the one after the last; none: (0, 0).
        slices: First slice of the input that is read, and the one after the last; one at least.
        source_begin: First row of the input that exists.
        source_end: Row after the last.
    """

    begin: int
    end: int
    taps: tuple[int, int]
    slices: tuple[int, int]
    source_begin: int
    source_end: int


def reach(conv: Conv, region: Region, source_size: tuple[int, int, int]) -> Reach:
    """Return the rows that a region of a layer's result is made of."""
    begin, end = region.begin, region.end
    pool = conv.pool
    if isinstance(pool, MaxPart):
        begin = max(0, region.begin * pool.stride - pool.pad_top)
        end = min(conv.size[1], (region.end - 1) * pool.stride - pool.pad_top + pool.size)
    elif isinstance(pool, SumPart):
        begin, end = 0, conv.size[1]
    (depth, height, _), (kz, ky, _) = source_size, conv.kernel
    first = region.slice * conv.strides[0] - conv.pads[0]
    inside = [t for t in range(kz) if 0 <= first + t * conv.dilations[0] < depth]
    taps = (inside[0], inside[-1] + 1) if inside else (0, 0)
    slices = [first + t * conv.dilations[0] for t in inside] or [min(max(first, 0), depth - 1)]
    low = begin * conv.strides[1] - conv.pads[1]
    high = (end - 1) * conv.strides[1] - conv.pads[1] + (ky - 1) * conv.dilations[1] + 1
    low, high = min(max(low, 0), height - 1), max(min(high, height), 1)
    return Reach(
        begin=begin,
        end=end,
        taps=taps,
        slices=(slices[0], slices[-1] + 1),
        source_begin=low,
        source_end=max(high, low + 1),
    )


@dataclass(frozen=True, kw_only=True)
class Raster:
    """How a layer walks: see `isa.Layer`."""

    height: int
    width: int
    lanes: int

    @property
    def groups(self) -> int:
        """Groups of positions."""
        return -(-self.height * self.width // self.lanes)


def raster(
    conv: Conv,
    config: OverlayConfig,
    *,
    rows: int,
    columns: int,
    clips: tuple[int, int],
    pitch: int,
    added_pitch: int | None,
) -> Raster | None:
    """Return the raster of fewest groups that the pitches allow, None where they allow none.

    Args:
        conv: The layer.
        config: The overlay.
        rows: Of the convolution's own output.
        columns: Of it.
        clips: Rows and columns by which the last pooling window hangs over.
        pitch: Of the input.
        added_pitch: Of the map that is added.
    """
    return _raster(
        config.pixels, rows, columns, conv.strides[1], conv.strides[2],
        tuple(0 if _clipped(conv, over) else max(over, 0) for over in clips), pitch, added_pitch,
    )  # fmt: skip


def _clipped(conv: Conv, over: int) -> bool:
    return isinstance(conv.pool, MaxPart) and conv.pool.stride == 2 and over == 1


@lru_cache(maxsize=1 << 16)
def _raster(
    p: int,
    rows: int,
    width: int,
    stride_y: int,
    stride_x: int,
    over: tuple[int, ...],
    pitch: int,
    added_pitch: int | None,
) -> Raster | None:
    height, narrowest = rows + over[0], width + over[1]
    pitches = [(stride_x, stride_y, pitch)] + ([(1, 1, added_pitch)] if added_pitch else [])
    if height * narrowest <= p:
        lanes = height * narrowest
        y, x = np.divmod(np.arange(lanes), narrowest)
        if all(np.unique((y * sy * q + x * sx) % p).size == lanes for sx, sy, q in pitches):
            return Raster(height=height, width=narrowest, lanes=lanes)
    lanes = p // gcd(stride_x, p)
    for wide in range(narrowest, narrowest + p):
        if any((sy * q - sx * wide) % p for sx, sy, q in pitches) or (lanes % p and added_pitch):
            continue
        return Raster(height=height, width=wide, lanes=lanes)
    return None


def overhang(conv: Conv, begin: int, end: int, region: Region) -> tuple[int, int]:
    """Return the rows and columns by which the last pooling window leaves the layer's map."""
    pool = conv.pool
    if not isinstance(pool, MaxPart):
        return (0, 0)
    pad_top = begin - (region.begin * pool.stride - pool.pad_top)
    return (
        (region.end - region.begin - 1) * pool.stride - pad_top + pool.size - (end - begin),
        (pool.width - 1) * pool.stride - pool.pad_left + pool.size - conv.size[2],
    )


def build_layer(
    conv: Conv,
    config: OverlayConfig,
    region: Region,
    *,
    source_size: tuple[int, int, int],
    zero_point: int,
    cover: Cover,
    terms: int,
    source: Grid,
    target: Grid,
    first_part: int,
    added: Grid | None,
    added_part: int,
    out_groups: int,
) -> Layer:
    """Return the instruction for one region of a layer.

    Raises:
        CompileError: No raster suits the pitches.
    """
    far = reach(conv, region, source_size)
    rows, columns = far.end - far.begin, (region.right or conv.size[2]) - region.left
    walked = raster(
        conv, config, rows=rows, columns=columns, clips=overhang(conv, far.begin, far.end, region),
        pitch=source.pitch, added_pitch=added.pitch if added else None,
    )  # fmt: skip
    if walked is None:
        raise CompileError(
            f"layer {conv.name!r}: no raster suits pitch {source.pitch} and strides {conv.strides}"
        )
    taps = max(far.taps[1] - far.taps[0], 1)
    first_slice, step = (0, 1) if source.together else (far.slices[0], conv.dilations[0])
    assert taps == 1 or terms == 1  # partition keeps the others on the host
    return Layer(
        name=conv.name,
        input=InputMap(
            base_row=source.base_row
            + cover.first * source.plane_rows
            + first_slice * source.slice_rows,
            plane_rows=source.plane_rows,
            slice_rows=0 if terms > 1 or taps == 1 else step * source.slice_rows,
            height=source.height,
            width=source_size[2],
            pitch=source.pitch,
            zero_point=zero_point,
        ),
        kernel=Kernel(
            z=terms * taps,
            y=conv.kernel[1],
            x=conv.kernel[2],
            words=cover.words,
            word_step=cover.step,
            word_every=cover.every,
            stride_y=conv.strides[1],
            stride_x=conv.strides[2],
            dilation_y=conv.dilations[1],
            dilation_x=conv.dilations[2],
            pad_top=conv.pads[1] + source.first - far.begin * conv.strides[1],
            pad_left=conv.pads[2] - region.left * conv.strides[2],
        ),
        height=rows,
        width=columns,
        raster_height=walked.height,
        raster_width=walked.width,
        lanes=walked.lanes,
        out_groups=out_groups,
        raw=conv.raw,
        zero_point=conv.zero_point,
        low=conv.low,
        high=conv.high,
        residual=_residual(conv, config, added, added_part, region, far),
        pool=_pool(conv, region, far),
        output=OutputMap(
            base_row=target.base_row + region.slice * target.slice_rows,
            plane_rows=target.plane_rows,
            raw_rows=target.byte_rows,
            first_part=first_part,
            origin=(region.begin - target.first) * target.pitch + region.left,
            step_y=target.pitch,
        ),
        macs=conv.macs
        * ((region.end - region.begin) * columns)
        // (conv_rows(conv) * conv.size[2] * conv.size[0]),
    )


def conv_rows(conv: Conv) -> int:
    """Return the rows of a layer's result."""
    if isinstance(conv.pool, MaxPart):
        return conv.pool.height
    return 1 if isinstance(conv.pool, SumPart) else conv.size[1]


def _residual(
    conv: Conv, config: OverlayConfig, added: Grid | None, part: int, region: Region, far: Reach
) -> Residual | None:
    if conv.add is None or added is None:
        return None
    rows, rest = divmod((far.begin - added.first) * added.pitch, config.pixels)
    assert rest == 0  # regions of layers that add begin where a row of the Feature Buffer does
    return Residual(
        base_row=added.base_row + region.slice * added.slice_rows + rows,
        plane_rows=added.plane_rows,
        pitch=added.pitch,
        first_part=part,
        zero_point=conv.add.zero_point,
        shift_y=conv.add.shift_y,
        shift_r=conv.add.shift_r,
        shift_out=conv.add.shift_out,
        out_zero_point=conv.add.out_zero_point,
        low=conv.add.low,
        high=conv.add.high,
    )


def _pool(conv: Conv, region: Region, far: Reach) -> Pool | None:
    part = conv.pool
    if isinstance(part, SumPart):
        return Pool(
            kind="sum", bias=part.bias, multiplier=part.multiplier, shift=part.shift,
            zero_point=part.zero_point,
        )  # fmt: skip
    if part is None:
        return None
    return Pool(
        kind="max",
        size=part.size,
        stride=part.stride,
        pad_top=far.begin - (region.begin * part.stride - part.pad_top),
        pad_left=part.pad_left,
        height=region.end - region.begin,
        width=part.width,
    )


def layer_cycles(layer: Layer, config: OverlayConfig) -> int:
    """Return the cycles of a layer: those of the array, or of its filters' way from DDR."""
    interval, segments = _interval(layer, config)
    filters = -(-block_bytes(layer.kernel.length, config) // config.ddr_bytes)
    issues = layer.out_groups * max(layer.groups * interval, filters)
    behind = pipeline_cycles(layer, config, segments) - (interval - layer.kernel.length) - 1
    return START + issues + behind


def _interval(layer: Layer, config: OverlayConfig) -> tuple[int, int]:
    """Return `Walk.interval` and `segments`, at once where a group's filters take longest by far.

    The second is then taken for 1.
    """
    rows = (layer.lanes - 1) // layer.raster_width + 2
    most = max(rows * (4 if layer.raw else 1) + 1, config.post_beats)
    if (layer.pool is None or layer.pool.kind == "max") and layer.kernel.length >= most:
        return layer.kernel.length, 1
    walked = walk(layer, config)
    return walked.interval, walked.segments
