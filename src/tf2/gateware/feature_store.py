"""Rows from the Feature Buffer to DDR."""

from __future__ import annotations

from typing import Any, cast

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.gateware.burst_generator import BurstGenerator
from tf2.gateware.feature_loader import bad_rows
from tf2.gateware.serializer import Serializer
from tf2.gateware.signatures import TRANSFER, DdrWrite, RowRead, row_bits
from tf2.isa.encoding import ROW

HELD_BEATS = 8
"""Beats of rows read ahead, at least: they cover the latency of the Feature Buffer."""


class FeatureStore(wiring.Component):
    """Execute stores in order, one after the other.

    Asks for a row only when there is room for it. Latency 4 from a store to its first request;
    initiation interval 1 beat a cycle; gives and respects back-pressure.

    Members: stores In(stream(TRANSFER)); row_read Out(RowRead); ddr Out(DdrWrite); done Out:
    strobe, all of a store was answered by the memory; bad_row Out: as `FeatureLoader`.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "stores": In(stream.Signature(TRANSFER)),
            "row_read": Out(RowRead(config)),
            "ddr": Out(DdrWrite(config)),
            "done": Out(1),
            "bad_row": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.generator = generator = BurstGenerator(self._config)
        connect(m, generator.bursts, flipped(self.ddr.request))
        row, rows_left = Signal(ROW, reset_less=True), Signal(ROW)
        asks = self._read(m, row, rows_left)
        with m.If(asks):
            m.d.sync += [row.eq(row + 1), rows_left.eq(rows_left - 1)]

        unanswered = Signal(8)  # bursts; the writer takes fewer
        store = Signal(TRANSFER, reset_less=True)
        beats = Signal(len(generator.stretch.payload.beats), reset_less=True)
        m.d.sync += unanswered.eq(
            unanswered + (self.ddr.request.valid & self.ddr.request.ready) - self.ddr.done
        )
        m.d.comb += [
            generator.stretch.payload.address.eq(store.address),
            generator.stretch.payload.beats.eq(beats),
        ]
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.stores.ready.eq(1)
                m.d.sync += store.eq(self.stores.payload)
                with m.If(self.stores.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += beats.eq(store.rows * self._config.row_beats)
                m.next = "BEGIN"
                with m.If(bad_rows(self._config, store)):
                    m.next = "BAD_ROW"
            with m.State("BEGIN"):
                m.d.comb += generator.stretch.valid.eq(1)
                m.d.sync += [row.eq(store.base_row), rows_left.eq(store.rows)]
                m.next = "RUN"
            with m.State("RUN"):
                # An answered burst had all its beats: with all asked for and answered all is done.
                with m.If(generator.stretch.ready & (unanswered == 0)):
                    m.d.comb += self.done.eq(1)
                    m.next = "TAKE"
            with m.State("BAD_ROW"):
                m.d.comb += self.bad_row.eq(1)
        return m

    def _read(self, m: Module, row: Signal, rows_left: Signal) -> Any:
        """Ask for rows while there is room, cut them into beats; return the strobe of asking."""
        config = self._config
        held = max(2, -(-HELD_BEATS // config.row_beats))
        m.submodules.rows = rows = SyncFIFO(width=8 * config.row_bytes, depth=held)
        m.submodules.serializer = serializer = Serializer(
            width=8 * config.row_bytes, beat_width=8 * config.ddr_bytes
        )
        connect(m, cast("Any", rows.r_stream), serializer.word)
        connect(m, serializer.beats, flipped(self.ddr.beats))
        room = Signal(range(held + 1), init=held)  # less what was asked for
        request, asks, taken = self.row_read.request, Signal(), Signal()
        m.d.comb += [
            request.payload.eq(row[: row_bits(config)]),
            request.valid.eq((rows_left != 0) & (room != 0)),
            asks.eq(request.valid & request.ready),
            taken.eq(serializer.word.valid & serializer.word.ready),
            rows.w_data.eq(Value.cast(self.row_read.response)),
            rows.w_en.eq(self.row_read.response_valid),
        ]
        m.d.sync += room.eq(room - asks + taken)
        return asks
