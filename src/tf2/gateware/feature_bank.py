"""One bank of the Feature Buffer: a memory of words, with two ports."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.signatures import row_bits


class FeatureBank(wiring.Component):
    """Hold a word of C bytes a row; port A reads, port B reads or writes.

    Reads take `LATENCY` cycles, one a cycle on each port; without `a_read` or `b_read` the word
    read before is read again. A write is seen by reads of later cycles. What port A reads while
    port B writes the same word is undefined, as is what port B reads while it writes.

    Port B has one address, so the memory is a true dual port block RAM. The memory's read registers
    are written as registers behind read ports without a clock: only so does yosys respect
    `no_rw_check`, and needs half the block RAMs.

    Args:
        config: Of the overlay.
        content: Of the memory.

    Members: a_read, a_row In; a_word Out; b_row In; b_read In; b_write In: which parts of N bytes
    of b_data In are written; b_word Out. Words have the first byte at the lowest bits.
    """

    LATENCY = 2  # cycles: the memory's register, and one behind it for speed

    def __init__(self, config: OverlayConfig, content: MemoryData) -> None:
        self._config = config
        self._content = content
        size, rows = 8 * config.inputs, row_bits(config)
        super().__init__({
            "a_read": In(1),
            "a_row": In(rows),
            "a_word": Out(size),
            "b_row": In(rows),
            "b_read": In(1),
            "b_write": In(config.parts),
            "b_data": In(size),
            "b_word": Out(size),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        attrs: dict[str, Any] = {"no_rw_check": 1}
        m.submodules.memory = memory = Memory(self._content, attrs=attrs)
        write = memory.write_port(granularity=8 * self._config.outputs)
        m.d.comb += [
            write.addr.eq(self.b_row),
            write.en.eq(self.b_write),
            write.data.eq(self.b_data),
        ]
        for enable, row, output in (
            (self.a_read, self.a_row, self.a_word),
            (self.b_read, self.b_row, self.b_word),
        ):
            port = memory.read_port(domain="comb")
            word = Signal.like(output, name="word", reset_less=True)
            late = Signal.like(output, name="late", reset_less=True)
            m.d.comb += [port.addr.eq(row), output.eq(late)]
            with m.If(enable):
                m.d.sync += word.eq(port.data)
            m.d.sync += late.eq(word)
        return m
