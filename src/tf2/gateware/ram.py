"""Memory with a port to write and a port to read, as every FPGA's block RAM has."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value, ValueLike
from amaranth.lib.memory import Memory, MemoryData


def add_ram(
    m: Module,
    name: str,
    *,
    depth: int,
    write_en: ValueLike,
    write_address: ValueLike,
    write_data: Value,
    read_address: ValueLike,
    in_blocks: bool = False,
) -> Signal:
    """Add a memory of words as wide as `write_data`; return what it reads, a cycle later.

    What is read while the same word is written is undefined: nothing compares the addresses. The
    read register is written as one behind a port without a clock: only so does yosys respect
    `no_rw_check`. With `in_blocks` it is made of block RAMs however small it is.
    """
    content = MemoryData(shape=len(write_data), depth=depth, init=[])
    attributes: Any = {"no_rw_check": 1}  # the stubs know strings only; yosys wants a number
    if in_blocks:
        attributes["ram_style"] = "block"
    memory = Memory(content, attrs=attributes)
    m.submodules[name] = memory
    write, read = memory.write_port(), memory.read_port(domain="comb")
    word = Signal(len(write_data), name=f"{name}_word", reset_less=True)
    m.d.comb += [
        write.en.eq(write_en),
        write.addr.eq(write_address),
        write.data.eq(write_data),
        read.addr.eq(read_address),
    ]
    m.d.sync += word.eq(read.data)
    return word
