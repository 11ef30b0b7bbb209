"""Rows from DDR to the Feature Buffer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.gateware.assembler import Assembler
from tf2.gateware.signatures import TRANSFER, DdrRead, RowWrite, row_bits
from tf2.gateware.stretch_reader import StretchReader
from tf2.isa.encoding import ROW

PREFETCH_BEATS = 128
"""Beats asked for and not yet written: as many as may be under way. With more the Filter Loader
would get no burst beside a load, and the layer that runs would wait for its filters."""

ROWS = data.StructLayout({"base_row": ROW, "rows": ROW})


class FeatureLoader(wiring.Component):
    """Execute loads in order; ask for the rows of the next while those of one still arrive.

    Latency 5 from a load to its first request, 2 from the last beat of a row to the row; initiation
    interval 1 beat a cycle; gives and respects back-pressure.

    Members: loads In(stream(TRANSFER)); ddr Out(DdrRead); row_write Out(RowWrite); done Out:
    strobe, the last row of a load was taken; bad_row Out: a load has no rows, or some outside of
    the Feature Buffer; nothing is executed from there on.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "loads": In(stream.Signature(TRANSFER)),
            "ddr": Out(DdrRead(config)),
            "row_write": Out(RowWrite(config)),
            "done": Out(1),
            "bad_row": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.reader = reader = StretchReader(self._config, depth=PREFETCH_BEATS)
        m.submodules.asked = asked = SyncFIFO(width=ROWS.size, depth=2)
        connect(m, reader.ddr, flipped(self.ddr))
        self._ask(m, reader, asked)
        self._write(m, reader, asked)
        return m

    def _ask(self, m: Module, reader: StretchReader, asked: SyncFIFO) -> None:
        """Ask for the rows of loads, and note them for `_write`."""
        load = Signal(TRANSFER, reset_less=True)
        beats = Signal(len(reader.stretch.payload.beats), reset_less=True)
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.loads.ready.eq(1)
                m.d.sync += load.eq(self.loads.payload)
                with m.If(self.loads.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += beats.eq(load.rows * self._config.row_beats)
                m.next = "ASK"
                with m.If(bad_rows(self._config, load)):
                    m.next = "BAD_ROW"
            with m.State("ASK"):
                m.d.comb += [
                    reader.stretch.valid.eq(asked.w_rdy),
                    asked.w_en.eq(reader.stretch.ready),
                ]
                with m.If(asked.w_rdy & reader.stretch.ready):
                    m.next = "TAKE"
            with m.State("BAD_ROW"):
                m.d.comb += self.bad_row.eq(1)
        noted = data.View(ROWS, asked.w_data)
        m.d.comb += [
            reader.stretch.payload.address.eq(load.address),
            reader.stretch.payload.beats.eq(beats),
            noted.base_row.eq(load.base_row),
            noted.rows.eq(load.rows),
        ]

    def _write(self, m: Module, reader: StretchReader, asked: SyncFIFO) -> None:
        """Join beats to rows and give them a place."""
        config = self._config
        m.submodules.assembler = assembler = Assembler(
            width=8 * config.ddr_bytes, count=config.row_beats
        )
        connect(m, reader.beats, assembler.beats)
        noted = data.View(ROWS, asked.r_data)
        rows, word = self.row_write.rows, assembler.word
        index = Signal(ROW)
        last, moves, last_here = Signal(), Signal(), Signal()
        # Rows of several beats are as far apart: what they are is known a cycle before they come.
        m.d["sync" if config.row_beats > 1 else "comb"] += last.eq(last_here)
        m.d.comb += [
            rows.payload.row.eq((noted.base_row + index)[: row_bits(config)]),
            Value.cast(rows.payload.data).eq(word.payload),
            rows.valid.eq(word.valid),
            word.ready.eq(rows.ready),
            moves.eq(rows.valid & rows.ready),
            last_here.eq(index == noted.rows - 1),
            self.done.eq(moves & last),
            asked.r_en.eq(self.done),
        ]
        with m.If(moves):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += index.eq(0)


def bad_rows(config: OverlayConfig, transfer: Any) -> Any:
    """Return whether a transfer has no rows, or some outside of the Feature Buffer."""
    end = transfer.base_row + transfer.rows
    return (transfer.rows == 0) | (end > config.feature_rows)
