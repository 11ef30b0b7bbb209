"""The instructions of the overlay, as meaning: geometry and arithmetic, no bits.

A program is a list of `Load`, `Layer`, `Store` and one `End`. Each kind runs in order on a unit of
its own, beside the others; what must wait for what is said by counts of finished instructions.

Positions. A map of height x width is kept with a pitch >= width: position = y * pitch + x. Position
p of a map lies in bank ``p mod P``, row ``p div P`` (relative). A channel word (C channels, a byte
each) of all positions is a plane; planes of a map are `plane_rows` rows apart.

Rasters. A layer walks over its output positions in groups of `lanes` consecutive ones of a raster
of `raster_width` >= width columns; positions beyond the width are computed and dropped. Lane i of
group g has raster position ``g * lanes + i``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PoolKind = Literal["max", "sum"]


@dataclass(frozen=True, kw_only=True)
class InputMap:
    """What a layer reads.

    Attributes:
        base_row: Row of the Feature Buffer where plane 0 begins.
        plane_rows: Rows from a channel word's plane to the next.
        slice_rows: Rows from one step of the kernel's z axis to the next.
        height: Of the map; beyond it the zero point is read.
        width: As height.
        pitch: Positions from a row of the map to the next.
        zero_point: 0 or -128.
    """

    base_row: int
    plane_rows: int
    slice_rows: int = 0
    height: int
    width: int
    pitch: int
    zero_point: int


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """How the taps walk; y and x are rows and columns, z has no border (no padding, stride 1).

    Attributes:
        z: Taps.
        y: Taps.
        x: Taps.
        words: Channel words summed for each tap.
        word_step: Words by which the first word moves on, every `word_every` groups of outputs
            (grouped and depthwise convolutions); 0 for a plain one.
        word_every: See word_step.
        stride_y: Rows of the input a row of the output.
        stride_x: As stride_y.
        dilation_y: Rows from a tap to the next.
        dilation_x: As dilation_y.
        pad_top: Rows before the first; may be negative (a window that begins further in).
        pad_left: As pad_top.
    """

    z: int = 1
    y: int = 1
    x: int = 1
    words: int
    word_step: int = 0
    word_every: int = 1
    stride_y: int = 1
    stride_x: int = 1
    dilation_y: int = 1
    dilation_x: int = 1
    pad_top: int = 0
    pad_left: int = 0

    @property
    def length(self) -> int:
        """Filter words, and cycles, of one group of positions and outputs."""
        return self.z * self.y * self.x * self.words


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A map that is added to the layer's bytes, position by position.

    ``t = ((y - z_y) << shift_y) + ((r - zero_point) << shift_r)``, then
    ``saturate(round_half_even(t / 2**shift_out) + out_zero_point)`` clipped to low..high; ``z_y``
    is the layer's own zero point.

    Attributes:
        base_row: Of the map, whose plane and part follow the layer's outputs: group of outputs j
            reads plane ``(first_part + j) div parts``, part ``(first_part + j) mod parts``.
        plane_rows: Rows from a plane to the next.
        pitch: Of the map; congruent to the layer's raster_width modulo P.
        first_part: See base_row.
        zero_point: Of the map.
        shift_y: 0..14.
        shift_r: 0..14.
        shift_out: 0..14.
        out_zero_point: Of the sum.
        low: Smallest byte.
        high: Largest byte.
    """

    base_row: int
    plane_rows: int
    pitch: int
    first_part: int = 0
    zero_point: int
    shift_y: int
    shift_r: int
    shift_out: int
    out_zero_point: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pooling behind the layer (and behind the residual), over the layer's raster.

    "max": windows of `size` x `size` (1..3), stride 1 or 2; padding never wins. The window of
    output (oy, ox) covers rows ``oy*stride - pad_top ..+size`` of the layer's map, what lies
    outside of it left out. Outputs are height x width positions. The last window of a row may hang
    over the layer's map by one column where the stride is 2; any overhang is fine where the raster
    is wide enough to hold it (`overhang`). Rows as columns.

    "sum": over all positions; ``acc = bias + sum(bytes)``; one position out. Raw layers give acc;
    others ``saturate(round_half_even(acc * multiplier / 2**shift) + zero_point)``.

    Attributes:
        kind: See above.
        size: Taps an axis ("max").
        stride: Positions an output ("max").
        pad_top: Rows before the first ("max").
        pad_left: As pad_top.
        height: Of the pooled map.
        width: As height.
        bias: int32 ("sum").
        multiplier: 0..255 ("sum").
        shift: 0..17 ("sum").
        zero_point: Of the result ("sum").
    """

    kind: PoolKind
    size: int = 1
    stride: int = 1
    pad_top: int = 0
    pad_left: int = 0
    height: int = 1
    width: int = 1
    bias: int = 0
    multiplier: int = 0
    shift: int = 0
    zero_point: int = 0

    def overhang(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns by which the last window leaves a map of that size."""
        return (
            (self.height - 1) * self.stride - self.pad_top + self.size - height,
            (self.width - 1) * self.stride - self.pad_left + self.size - width,
        )


@dataclass(frozen=True, kw_only=True)
class OutputMap:
    """Where a layer writes.

    Output (oy, ox) goes to position ``origin + oy * step_y + ox * step_x``; group of outputs j to
    plane ``(first_part + j) div parts``, bytes of part ``(first_part + j) mod parts``.

    Attributes:
        base_row: Row where plane 0 begins.
        plane_rows: Rows from a plane to the next.
        raw_rows: Raw layers write byte k of the little-endian int32 this many rows times k further.
        first_part: See above.
        origin: Position of output (0, 0).
        step_y: Positions from a row to the next: the pitch of a plain map.
        step_x: Positions from a column to the next: 1 for a plain map.
    """

    base_row: int
    plane_rows: int
    raw_rows: int = 0
    first_part: int = 0
    origin: int = 0
    step_y: int
    step_x: int = 1


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One pass of the array: convolution, rescaling, residual, pooling, write.

    For each of `out_groups` groups of N outputs, one block of the filter stream is taken:
    parameters, then `kernel.length` filter words, in the order z, y, x, word. For lane p and
    output n::

        acc[p][n] = bias[n] + sum(byte * weight)        int32, wraps; "sac": negative codes add
                                                        ~(byte << k), see docs/isa.md
        y = saturate(rhe(acc * M / 2**s) + zero_point), clipped to low..high; M2, s2 where acc < 0

    Attributes:
        name: Of the network's layer, for people.
        input: What is read.
        kernel: How.
        height: Rows of the convolution's output.
        width: Columns of it.
        raster_height: Rows walked over, at least height.
        raster_width: Columns walked over, at least width. A max pooling sees -128 beyond height
            and width.
        lanes: Positions a group, at most P.
        out_groups: Groups of N output channels.
        raw: Write the int32 sums and not bytes; no residual, no max pooling then.
        zero_point: Of the bytes y.
        low: Smallest byte.
        high: Largest byte.
        residual: Added, if any.
        pool: Pooled, if any.
        output: Where the result goes.
        start_after: Cycles from the last issue of the layer before to the first of this one, at
            least; 0: it begins when the layer before is completely written. What there must be is
            for `isa.overlap` to say.
        wait_loads: Loads that must have finished, counted from the start of the program.
        wait_stores: Stores that must have finished.
        macs: Useful multiply-accumulates, for reports.
    """

    name: str
    input: InputMap
    kernel: Kernel
    height: int
    width: int
    raster_height: int
    raster_width: int
    lanes: int
    out_groups: int
    raw: bool = False
    zero_point: int = 0
    low: int = -128
    high: int = 127
    residual: Residual | None = None
    pool: Pool | None = None
    output: OutputMap
    start_after: int = 0
    wait_loads: int = 0
    wait_stores: int = 0
    macs: int = 0

    @property
    def groups(self) -> int:
        """Groups of positions in the raster."""
        return -(-self.raster_height * self.raster_width // self.lanes)


@dataclass(frozen=True, kw_only=True)
class Load:
    """Rows from DDR to the Feature Buffer; a row in DDR takes whole beats.

    Attributes:
        name: For people.
        address: Byte offset in the arena, a multiple of the beat.
        base_row: First row written.
        rows: How many.
        wait_layers: Layers that must have finished before the first row is written.
        wait_stores: Stores that must have finished before the first row is read.
    """

    name: str
    address: int
    base_row: int
    rows: int
    wait_layers: int = 0
    wait_stores: int = 0


@dataclass(frozen=True, kw_only=True)
class Store:
    """Rows from the Feature Buffer to DDR, as `Load`.

    Attributes:
        name: For people.
        address: Byte offset in the arena, a multiple of the beat.
        base_row: First row read.
        rows: How many.
        wait_layers: Layers that must have finished.
        wait_loads: Loads that must have finished.
    """

    name: str
    address: int
    base_row: int
    rows: int
    wait_layers: int = 0
    wait_loads: int = 0


@dataclass(frozen=True, kw_only=True)
class End:
    """Waits until all has finished, and reports it."""


Instruction = Layer | Load | Store | End
