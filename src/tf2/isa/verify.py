"""Whether a program may run: all that it touches exists, and what depends on each other is ordered.

The overlay checks opcodes, the arena's bounds and rows of transfers itself. All else would be a
wrong answer and no error, so no program runs before this.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf2.arch import OverlayConfig
from tf2.errors import ProgramError
from tf2.isa.encoding import encode
from tf2.isa.filters import PARAMETER_FIELDS, block_bytes
from tf2.isa.in_place import check_in_place
from tf2.isa.instructions import End, InputMap, Layer, Load, Pool, Residual, Store
from tf2.isa.ordering import check_order
from tf2.isa.overlap import check_starts
from tf2.isa.program import Program
from tf2.isa.walk import output_positions
from tf2.numerics.fixed_point import MAX_ADD_SPREAD, MAX_SHIFT, SIGNED, UNSIGNED

MAX_RASTER = 1 << 22
"""Largest raster; any map that fits into a Feature Buffer is smaller."""

MAX_COUNT = (1 << 16) - 1
"""Most instructions of a kind: the overlay counts them in 16 bits."""


def verify(program: Program) -> None:
    """Check that a program may run.

    Raises:
        ProgramError: It may not; names the instruction, what was found and what is allowed.
    """
    _check_instructions(program)
    for instruction in program.instructions:
        if isinstance(instruction, Layer):
            _check_layer(instruction, program.config)
        encode(instruction, program.config)
    stretches = list(_stretches(program))
    _check_filters(program, stretches)
    _check_arena(program)
    check_order(program)
    check_starts(program)
    for layer, start in stretches:
        check_in_place(layer, program.filters[start:], program.config)


def _check_instructions(program: Program) -> None:
    instructions = program.instructions
    if not instructions or not isinstance(instructions[-1], End):
        raise ProgramError("the program does not end in End")
    if any(isinstance(instruction, End) for instruction in instructions[:-1]):
        raise ProgramError("End stands before the program's end")
    for kind in (Load, Layer, Store):
        count = sum(isinstance(instruction, kind) for instruction in instructions)
        if count > MAX_COUNT:
            raise ProgramError(f"{count} instructions of kind {kind.__name__}; at most {MAX_COUNT}")


def _check_layer(layer: Layer, config: OverlayConfig) -> None:
    for rule, holds in _layer_rules(layer, config):
        if not holds:
            raise ProgramError(f"layer {layer.name!r}: {rule}")
    emitted, _, _ = output_positions(layer, config)
    size = layer.pool if layer.pool is not None else layer
    if emitted.sum() != size.height * size.width:
        raise ProgramError(
            f"layer {layer.name!r}: its raster of {layer.raster_height} x {layer.raster_width} "
            f"gives {emitted.sum()} outputs, not {size.height} x {size.width}"
        )


def _layer_rules(layer: Layer, config: OverlayConfig) -> Iterator[tuple[str, bool]]:
    """Yield what must hold of a layer, and whether it does; `encode` knows the sizes of fields."""
    source, kernel, target = layer.input, layer.kernel, layer.output
    sizes = (
        layer.height, layer.width, layer.out_groups, layer.lanes, source.height, source.width,
        kernel.z, kernel.y, kernel.x, kernel.words, kernel.word_every, kernel.stride_y,
        kernel.stride_x, kernel.dilation_y, kernel.dilation_x,
    )  # fmt: skip
    yield f"a size is below 1: {sizes}", min(sizes) >= 1
    yield f"{layer.lanes} lanes of {config.pixels}", layer.lanes <= config.pixels
    steps = (source.plane_rows, source.slice_rows, kernel.word_step, target.plane_rows,
             target.raw_rows, target.first_part, target.origin, target.step_y,
             target.step_x)  # fmt: skip
    yield f"a step is negative: {steps}", min(steps) >= 0
    raster = f"{layer.raster_height} x {layer.raster_width}"
    yield (
        f"the raster of {raster} is smaller than the map of {layer.height} x {layer.width}",
        layer.raster_height >= layer.height and layer.raster_width >= layer.width,
    )
    yield (
        f"the raster of {raster} is too large",
        (layer.raster_height * layer.raster_width <= MAX_RASTER),
    )
    yield from _pitch_rules("input", source)
    yield (
        f"{kernel.length} filter words do not fit into the Filter Cache of {config.filter_words}, "
        f"and it needs them for {layer.groups} groups of positions",
        kernel.length <= config.filter_words or layer.groups == 1,
    )
    yield f"zero point {layer.zero_point}", layer.zero_point in (SIGNED, UNSIGNED)
    yield f"bytes clipped to {layer.low}..{layer.high}", -128 <= layer.low <= layer.high <= 127
    yield "raw sums cannot have a residual", not (layer.raw and layer.residual)
    if layer.residual is not None:
        yield from _residual_rules(layer, layer.residual)
    if layer.pool is not None:
        yield from _pool_rules(layer, layer.pool, config)


def _pitch_rules(what: str, source: InputMap) -> Iterator[tuple[str, bool]]:
    yield f"{what}: pitch {source.pitch} of a map {source.width} wide", source.pitch >= source.width
    yield f"{what}: zero point {source.zero_point}", source.zero_point in (SIGNED, UNSIGNED)


def _residual_rules(layer: Layer, residual: Residual) -> Iterator[tuple[str, bool]]:
    yield (
        f"residual: pitch {residual.pitch} of a map {layer.width} wide",
        residual.pitch >= layer.width,
    )
    for name in ("zero_point", "out_zero_point"):
        value = getattr(residual, name)
        yield f"residual: {name} {value}", value in (SIGNED, UNSIGNED)
    for name in ("shift_y", "shift_r", "shift_out"):
        value = getattr(residual, name)
        yield f"residual: {name} {value}", 0 <= value <= MAX_ADD_SPREAD
    yield "residual: a step is negative", residual.plane_rows >= 0 and residual.first_part >= 0
    yield (
        f"residual: bytes clipped to {residual.low}..{residual.high}",
        -128 <= residual.low <= residual.high <= 127,
    )


def _pool_rules(layer: Layer, pool: Pool, config: OverlayConfig) -> Iterator[tuple[str, bool]]:
    yield f"pooling of kind {pool.kind!r}", pool.kind in ("max", "sum")
    if pool.kind == "sum":
        yield f"sum: {pool.height} x {pool.width} outputs", pool.height == pool.width == 1
        yield f"sum: zero point {pool.zero_point}", pool.zero_point in (SIGNED, UNSIGNED)
        yield f"sum: shift {pool.shift}", 0 <= pool.shift <= MAX_SHIFT[SIGNED]
        return
    yield "raw sums cannot have a max pooling", not layer.raw
    yield f"max: size {pool.size}", 1 <= pool.size <= 3
    yield f"max: stride {pool.stride}", pool.stride in (1, 2)
    yield (
        f"max: pads {pool.pad_top}, {pool.pad_left} of windows of {pool.size}",
        0 <= pool.pad_top < pool.size and 0 <= pool.pad_left < pool.size,
    )
    yield f"max: {pool.height} x {pool.width} outputs", pool.height >= 1 and pool.width >= 1
    needed = layer.raster_width // layer.lanes + 2
    yield (
        f"max: a raster {layer.raster_width} wide needs {needed} groups of the pooling unit's "
        f"line buffer, which has {config.pool_groups}",
        pool.size == 1 or needed <= config.pool_groups,
    )


def _stretches(program: Program) -> Iterator[tuple[Layer, int]]:
    """Yield each layer and where its stretch of the filter stream begins."""
    start = 0
    for layer in program.instructions:
        if isinstance(layer, Layer):
            yield layer, start
            start += layer.out_groups * block_bytes(layer.kernel.length, program.config)


def _check_filters(program: Program, stretches: list[tuple[Layer, int]]) -> None:
    config = program.config
    needed = sum(
        layer.out_groups * block_bytes(layer.kernel.length, config) for layer, _ in stretches
    )
    if needed != len(program.filters):
        raise ProgramError(
            f"the filter stream has {len(program.filters)} bytes, its layers take {needed}"
        )
    data = np.frombuffer(program.filters, dtype=np.uint8)
    for layer, start in stretches:
        size = layer.out_groups * block_bytes(layer.kernel.length, config)
        blocks = data[start : start + size].reshape(layer.out_groups, -1)
        _check_blocks(layer, blocks, config)


def _check_blocks(layer: Layer, blocks: np.ndarray, config: OverlayConfig) -> None:
    head = config.parameter_words * config.filter_word_bytes
    packed = np.ascontiguousarray(blocks[:, : 8 * config.outputs]).view("<u8")
    offset = 0
    for name, bits, _ in PARAMETER_FIELDS:
        if name.endswith("shift"):
            largest = int(((packed >> np.uint64(offset)) & np.uint64((1 << bits) - 1)).max())
            if largest > MAX_SHIFT[SIGNED]:
                raise ProgramError(
                    f"layer {layer.name!r}: its parameters hold {name} {largest}; "
                    f"at most {MAX_SHIFT[SIGNED]}"
                )
        offset += bits
    words = blocks[:, head:]
    if config.lane == "sac" and (((words & 15) == 15).any() or ((words >> 4) == 15).any()):
        raise ProgramError(f"layer {layer.name!r}: its filters hold code 15, which is no weight")


def _check_arena(program: Program) -> None:
    """Check that all lies inside, at whole beats, and that nothing writes code or filters."""
    config, beat = program.config, program.config.ddr_bytes
    row = config.row_beats * beat
    fixed = [
        ("the code", program.code_address, len(program.code)),
        ("the filter stream", program.filters_address, -(-len(program.filters) // beat) * beat),
    ]
    written = [(f"store {i.name!r}", i.address, i.rows * row)
               for i in program.instructions if isinstance(i, Store)]  # fmt: skip
    written += [
        (f"input {port.name!r}", port.address, port.layout.rows(config) * row)
        for port in program.inputs
    ]
    read = [(f"load {i.name!r}", i.address, i.rows * row)
            for i in program.instructions if isinstance(i, Load)]  # fmt: skip
    read += [
        (f"output {port.name!r}", port.address,
         port.layout.rows(config) * row * (4 if port.sums else 1))
        for port in program.outputs
    ]  # fmt: skip
    for what, address, size in (*fixed, *written, *read):
        if address % beat:
            raise ProgramError(f"{what} begins at byte {address}, which is no multiple of {beat}")
        if address < 0 or address + size > program.arena_bytes:
            raise ProgramError(
                f"{what} takes bytes {address} to {address + size - 1}; the arena has "
                f"{program.arena_bytes}"
            )
    for i, (what, start, size) in enumerate(fixed):
        for other, address, length in (*fixed[:i], *written):
            if start < address + length and address < start + size:
                raise ProgramError(f"{other} lies over {what}")
