"""All features on chip: P banks of two ports, one for the array, one for everybody else."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import MemoryData
from amaranth.lib.wiring import In

from tf2.arch import OverlayConfig
from tf2.gateware.feature_bank import FeatureBank, block_rows
from tf2.gateware.pipeline import delayed
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import (
    BankRead,
    BankRequest,
    BankWrite,
    RowRead,
    RowWrite,
    row_bits,
)


class FeatureBuffer(wiring.Component):
    """Hold `feature_rows` rows of P words of C bytes; port A reads, port B reads or writes.

    Reads take `LATENCY` cycles, one a cycle on each port. A write is seen by reads that are taken
    in a later cycle. Port B serves one of its users a cycle, the first of: `write` (never waits),
    `residual`, `row_write`, `row_read` (they wait while their ready is low). What port A reads
    while port B writes the same word is undefined.

    Args:
        config: Of the overlay.

    Members: read In(`BankRead`): port A; write In(`BankWrite`); residual In(`BankRequest`);
    row_write In(`RowWrite`); row_read In(`RowRead`).

    Attributes:
        banks: Contents of each bank's memories, a word a row; for simulation.
    """

    LATENCY = FeatureBank.LATENCY

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self.banks = [
            [
                MemoryData(shape=8 * config.inputs, depth=rows, init=[])
                for rows in block_rows(config.feature_rows)
            ]
            for _ in range(config.pixels)
        ]
        super().__init__({
            "read": In(BankRead(config)),
            "write": In(BankWrite(config)),
            "residual": In(BankRequest(config)),
            "row_write": In(RowWrite(config)),
            "row_read": In(RowRead(config)),
        })  # fmt: skip

    def word(self, bank: int, row: int) -> Any:
        """Return the word of a bank and row, for a simulator to set or get."""
        for block in self.banks[bank]:
            if row < block.depth:
                return block[row]
            row -= block.depth
        raise IndexError(row)

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config = self._config
        residual, row_write, row_read = (
            self.residual.request, self.row_write.rows, self.row_read.request
        )  # fmt: skip
        storing, reading = Signal(), Signal()
        m.d.comb += [
            residual.ready.eq(~self.write.valid),
            row_write.ready.eq(residual.ready & ~residual.valid),
            row_read.ready.eq(row_write.ready & ~row_write.valid),
            storing.eq(row_write.valid & row_write.ready),
            reading.eq(~self.write.valid & ~storing),
        ]
        part = Signal(config.parts)
        m.d.comb += part.eq(1 << self.write.part)
        for b, blocks in enumerate(self.banks):

            def make(blocks: list[MemoryData] = blocks) -> FeatureBank:
                return FeatureBank(config, blocks)

            bank = add_shared(m, f"bank{b}", "feature_bank", make, platform)
            row = Signal(row_bits(config), name=f"row{b}")
            with m.If(self.write.valid):
                m.d.comb += row.eq(self.write.rows[b])
            with m.Elif(residual.valid):
                m.d.comb += row.eq(residual.payload[b])
            with m.Elif(row_write.valid):
                m.d.comb += row.eq(row_write.payload.row)
            with m.Else():
                m.d.comb += row.eq(row_read.payload)
            few = Cat(self.write.bytes[b]).replicate(config.parts)
            written = part & (self.write.valid & self.write.en[b]).replicate(config.parts)
            m.d.comb += [
                bank.a_read.eq(self.read.en),
                bank.a_row.eq(self.read.rows[b]),
                self.read.data[b].as_value().eq(bank.a_word),
                bank.b_row.eq(row),
                bank.b_read.eq(reading),
                bank.b_write.eq(written | storing.replicate(config.parts)),
                bank.b_data.eq(Mux(storing, row_write.payload.data[b].as_value(), few)),
                self.residual.response[b].as_value().eq(bank.b_word),
                self.row_read.response[b].as_value().eq(bank.b_word),
            ]
        for user, request in ((self.residual, residual), (self.row_read, row_read)):
            taken = delayed(m, request.valid & request.ready, self.LATENCY, reset=True)
            m.d.comb += user.response_valid.eq(taken)
        return m
