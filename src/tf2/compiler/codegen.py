"""A schedule -> the program: addresses, filter stream, ports."""

from __future__ import annotations

from dataclasses import replace

from tf2.arch import OverlayConfig
from tf2.compiler.filters import filter_blocks
from tf2.compiler.hazards import with_starts, with_waits
from tf2.compiler.plan import Plan
from tf2.compiler.schedule import Schedule
from tf2.isa import Instruction, Layer, Load, Store
from tf2.isa.encoding import END_FIELDS, TRANSFER_FIELDS, instruction_bytes, layer_fields
from tf2.isa.program import Program


def make_program(plan: Plan, drawn: Schedule) -> Program:
    """Return the program of a segment; `code | filters | maps` is how it lies in DDR."""
    config = plan.config
    instructions = with_starts(with_waits(drawn.drafts), config)
    filters = _filters(plan, drawn)
    code_bytes = sum(_bytes(instruction, config) for instruction in instructions)
    maps = _aligned(code_bytes + len(filters), config)
    return Program(
        config=config,
        instructions=tuple(_moved(instruction, maps) for instruction in instructions),
        filters=filters,
        inputs=tuple(replace(port, address=port.address + maps) for port in drawn.inputs),
        outputs=tuple(replace(port, address=port.address + maps) for port in drawn.outputs),
        filters_address=code_bytes,
        arena_bytes=maps + drawn.data_bytes,
    )


def _filters(plan: Plan, drawn: Schedule) -> bytes:
    known: dict[tuple[str, tuple[int, int]], bytes] = {}
    blocks = []
    for conv, taps, (first, end) in drawn.filters:
        key = (conv.name, taps)
        if key not in known:
            known[key] = filter_blocks(conv, plan.facts[conv.name], taps, plan.config)
        data, groups = known[key], plan.facts[conv.name].out_groups
        blocks.append(data[len(data) * first // groups : len(data) * end // groups])
    return b"".join(blocks)


def _bytes(instruction: Instruction, config: OverlayConfig) -> int:
    if isinstance(instruction, Layer):
        return instruction_bytes(layer_fields(config), config)
    is_transfer = isinstance(instruction, Load | Store)
    return instruction_bytes(TRANSFER_FIELDS if is_transfer else END_FIELDS, config)


def _moved(instruction: Instruction, by: int) -> Instruction:
    if isinstance(instruction, Load | Store):
        return replace(instruction, address=instruction.address + by)
    return instruction


def _aligned(size: int, config: OverlayConfig) -> int:
    return -(-size // config.ddr_bytes) * config.ddr_bytes
