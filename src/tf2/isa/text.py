"""A program as text: one line an instruction, in the terms of the ISA."""

from __future__ import annotations

from collections.abc import Iterator

from tf2.arch import OverlayConfig
from tf2.isa.filters import block_bytes
from tf2.isa.instructions import End, Instruction, Layer, Load, Store
from tf2.isa.program import InputPort, OutputPort, Program
from tf2.isa.walk import walk


def disassemble(program: Program, *, details: bool = False) -> str:
    """Return a program as text.

    Args:
        program: Of any configuration.
        details: Say of each layer where it reads and writes, too.
    """
    return "\n".join(_lines(program, details=details)) + "\n"


def _lines(program: Program, *, details: bool) -> Iterator[str]:
    config = program.config
    yield (
        f"overlay {config.name!r} ({config.hash:08x}): {config.outputs} outputs x {config.pixels} "
        f"pixels x {config.inputs} inputs, {config.lane}, {config.feature_rows} rows"
    )
    yield (
        f"arena {program.arena_bytes} bytes: code {len(program.code)} at {program.code_address}, "
        f"filters {len(program.filters)} at {program.filters_address}"
    )
    yield from (_port("input", port) for port in program.inputs)
    yield from (_port("output", port) for port in program.outputs)
    stream = 0
    for index, instruction in enumerate(program.instructions):
        yield f"{index:4}  {instruction_text(instruction, config)}"
        if isinstance(instruction, Layer):
            if details:
                yield from (f"        {line}" for line in _details(instruction, config, stream))
            stream += instruction.out_groups * block_bytes(instruction.kernel.length, config)


def _port(kind: str, port: InputPort | OutputPort) -> str:
    shape = " x ".join(map(str, port.shape))
    element = " int32" if isinstance(port, OutputPort) and port.sums else ""
    packing = ", taps packed" if isinstance(port, InputPort) and port.packing else ""
    return f"{kind} {port.name}: {shape}{element} at {port.address}{packing}"


def instruction_text(instruction: Instruction, config: OverlayConfig) -> str:
    """Return one instruction as a line: opcode, name, what it does, what it waits for."""
    match instruction:
        case Load():
            what = f"{_rows(instruction)} <- arena {instruction.address}"
            waits = _waits(layers=instruction.wait_layers, stores=instruction.wait_stores)
            return f"load   {instruction.name}: {what}{waits}"
        case Store():
            what = f"{_rows(instruction)} -> arena {instruction.address}"
            waits = _waits(layers=instruction.wait_layers, loads=instruction.wait_loads)
            return f"store  {instruction.name}: {what}{waits}"
        case Layer():
            waits = _waits(loads=instruction.wait_loads, stores=instruction.wait_stores)
            start = f", start {instruction.start_after}" if instruction.start_after else ""
            return f"layer  {instruction.name}: {_layer(instruction, config)}{waits}{start}"
        case End():
            return "end"


def _rows(transfer: Load | Store) -> str:
    return f"rows {transfer.base_row}..{transfer.base_row + transfer.rows - 1}"


def _waits(**counts: int) -> str:
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f", after {said}" if said else ""


def _layer(layer: Layer, config: OverlayConfig) -> str:
    kernel, w = layer.kernel, walk(layer, config)
    parts = [
        f"{kernel.words}w {layer.input.height}x{layer.input.width} -> "
        f"{layer.out_groups}g {layer.height}x{layer.width}",
        f"kernel {kernel.z}x{kernel.y}x{kernel.x}",
    ]
    if (kernel.stride_y, kernel.stride_x) != (1, 1):
        parts.append(f"stride {kernel.stride_y}x{kernel.stride_x}")
    if (kernel.dilation_y, kernel.dilation_x) != (1, 1):
        parts.append(f"dilation {kernel.dilation_y}x{kernel.dilation_x}")
    if (kernel.pad_top, kernel.pad_left) != (0, 0):
        parts.append(f"pad {kernel.pad_top},{kernel.pad_left}")
    if kernel.word_step:
        parts.append(f"words +{kernel.word_step} every {kernel.word_every}g")
    if layer.residual is not None:
        parts.append(f"+ rows {layer.residual.base_row}..")
    if layer.pool is not None and layer.pool.kind == "max":
        pool = layer.pool
        parts.append(
            f"max {pool.size}x{pool.size}/{pool.stride} pad {pool.pad_top},{pool.pad_left} -> "
            f"{pool.height}x{pool.width}"
        )
    elif layer.pool is not None:
        parts.append("sum")
    if layer.raw:
        parts.append("int32")
    cycles = layer.out_groups * layer.groups * w.interval
    return f"{', '.join(parts)}; {layer.groups} groups x {w.interval} = {cycles} cycles"


def _details(layer: Layer, config: OverlayConfig, stream: int) -> Iterator[str]:
    source, target, w = layer.input, layer.output, walk(layer, config)
    yield (
        f"reads rows {source.base_row}.., planes +{source.plane_rows}, slices "
        f"+{source.slice_rows}, pitch {source.pitch}, zero point {source.zero_point}"
    )
    yield (
        f"raster {layer.raster_height}x{layer.raster_width} by {layer.lanes} lanes, written in "
        f"{w.write_cycles} cycles a group; filters at {stream}"
    )
    yield (
        f"writes rows {target.base_row}.., planes +{target.plane_rows}, part "
        f"{target.first_part}.., position {target.origin} + {target.step_y}y + {target.step_x}x, "
        f"zero point {layer.zero_point}, {layer.low}..{layer.high}"
    )
    if layer.residual is not None:
        r = layer.residual
        yield (
            f"residual rows {r.base_row}.., planes +{r.plane_rows}, part {r.first_part}.., pitch "
            f"{r.pitch}: (y << {r.shift_y}) + ((r - {r.zero_point}) << {r.shift_r}) >> "
            f"{r.shift_out}, zero point {r.out_zero_point}, {r.low}..{r.high}"
        )
    if layer.pool is not None and layer.pool.kind == "sum":
        pool = layer.pool
        scale = "" if layer.raw else f" * {pool.multiplier} >> {pool.shift}"
        yield f"sum: {pool.bias} + sum of bytes{scale}, zero point {pool.zero_point}"
