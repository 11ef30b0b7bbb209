"""All features on chip: P banks of two ports, one for the array, one for everybody else."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed
from tf2.gateware.signatures import (
    BankRead,
    BankRequest,
    BankWrite,
    RowRead,
    RowWrite,
    row_bits,
    row_layout,
)


class FeatureBuffer(wiring.Component):
    """Hold `feature_rows` rows of P words of C bytes; port A reads, port B reads or writes.

    Reads take `LATENCY` cycles, one a cycle on each port. A write is seen by reads that are taken
    in a later cycle. Port B serves one of its users a cycle, the first of: `write` (never waits),
    `residual`, `row_write`, `row_read` (they wait while their ready is low). What port A reads
    while port B writes the same word is undefined.

    Each bank has one read-only port and one with a common address that reads or writes, as a true
    dual port block RAM has. The memories' read registers are written as registers behind read ports
    without a clock: only so does yosys respect `no_rw_check`, and needs half the block RAMs.

    Args:
        config: Of the overlay.

    Members: read In(`BankRead`): port A; write In(`BankWrite`); residual In(`BankRequest`);
    row_write In(`RowWrite`); row_read In(`RowRead`).

    Attributes:
        banks: Content of each bank, a word of C bytes (the first at the lowest bits) a row; for
            simulation.
    """

    LATENCY = 2  # cycles: the memory's register, and one behind it for speed

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self.banks = [
            MemoryData(shape=8 * config.inputs, depth=config.feature_rows, init=[])
            for _ in range(config.pixels)
        ]
        super().__init__({
            "read": In(BankRead(config)),
            "write": In(BankWrite(config)),
            "residual": In(BankRequest(config)),
            "row_write": In(RowWrite(config)),
            "row_read": In(RowRead(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config = self._config
        row_write, row_read = self.row_write.rows, self.row_read.request
        m.d.comb += [
            self.residual.request.ready.eq(~self.write.valid),
            row_write.ready.eq(~self.write.valid & ~self.residual.request.valid),
            row_read.ready.eq(row_write.ready & ~row_write.valid),
        ]
        storing = Signal()
        m.d.comb += storing.eq(row_write.valid & row_write.ready)
        part = Signal(config.parts)
        m.d.comb += part.eq(1 << self.write.part)
        words = Signal(data.ArrayLayout(8 * config.inputs, config.pixels), reset_less=True)

        for b in range(config.pixels):
            memory = Memory(self.banks[b], attrs={"no_rw_check": 1})
            m.submodules[f"bank{b}"] = memory
            self._port_a(m, memory, b)
            read = memory.read_port(domain="comb")
            write = memory.write_port(granularity=8 * config.outputs)
            row = Signal(row_bits(config), name=f"row{b}")
            with m.If(self.write.valid):
                m.d.comb += row.eq(self.write.rows[b])
            with m.Elif(self.residual.request.valid):
                m.d.comb += row.eq(self.residual.request.payload[b])
            with m.Elif(row_write.valid):
                m.d.comb += row.eq(row_write.payload.row)
            with m.Else():
                m.d.comb += row.eq(row_read.payload)
            few = Cat(self.write.bytes[b]).replicate(config.parts)
            m.d.comb += [
                write.addr.eq(row),
                write.data.eq(Mux(self.write.valid, few, row_write.payload.data[b].as_value())),
                write.en.eq(
                    (part & (self.write.valid & self.write.en[b]).replicate(config.parts))
                    | storing.replicate(config.parts)
                ),
                read.addr.eq(row),
            ]
            word = Signal(8 * config.inputs, name=f"port_b{b}", reset_less=True)
            with m.If(~self.write.valid & ~storing):
                m.d.sync += word.eq(read.data)
            m.d.sync += words[b].eq(word)

        answer = data.View(row_layout(config), words.as_value())
        for user, taken in (
            (self.residual, self.residual.request.valid & self.residual.request.ready),
            (self.row_read, row_read.valid & row_read.ready),
        ):
            m.d.comb += [
                user.response_valid.eq(delayed(m, taken, self.LATENCY, reset=True)),
                user.response.eq(answer),
            ]
        return m

    def _port_a(self, m: Module, memory: Memory, bank: int) -> None:
        port = memory.read_port(domain="comb")
        size = 8 * self._config.inputs
        word = Signal(size, name=f"port_a{bank}", reset_less=True)
        output = Signal(size, name=f"output_a{bank}", reset_less=True)
        m.d.comb += port.addr.eq(self.read.rows[bank])
        with m.If(self.read.en):
            m.d.sync += word.eq(port.data)
        m.d.sync += output.eq(word)
        m.d.comb += self.read.data[bank].as_value().eq(output)
