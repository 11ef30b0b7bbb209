"""Reads stretches of the arena ahead into a buffer: what all readers of DDR have in common."""

from __future__ import annotations

from typing import Any, cast

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from tf2.arch import OverlayConfig
from tf2.gateware.axi import BURST_BEATS
from tf2.gateware.burst_generator import STRETCH, BurstGenerator
from tf2.gateware.signatures import DdrRead


class StretchReader(wiring.Component):
    """Give the beats of stretches of the arena, in order, as far ahead as the buffer has room.

    Asks for a burst only when there is room for all of it. Latency 2 from `ddr.beat_valid` to
    `beats`; initiation interval 1 beat a cycle; gives and respects back-pressure.

    Args:
        config: Of the overlay.
        depth: Beats of the buffer, at least 16; full rate needs as many as the memory has cycles of
            latency.

    Members: stretch In(stream(STRETCH)), taken once all of the one before has been asked for; beats
    Out(stream(8 * ddr_bytes)); idle Out: nothing asked for, under way or buffered; ddr
    Out(DdrRead).
    """

    def __init__(self, config: OverlayConfig, *, depth: int) -> None:
        assert depth >= BURST_BEATS
        self._config = config
        self._depth = depth
        super().__init__({
            "stretch": In(stream.Signature(STRETCH)),
            "beats": Out(stream.Signature(8 * config.ddr_bytes)),
            "idle": Out(1),
            "ddr": Out(DdrRead(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.generator = generator = BurstGenerator(self._config)
        m.submodules.buffer = buffer = SyncFIFOBuffered(
            width=8 * self._config.ddr_bytes, depth=self._depth
        )
        connect(m, wiring.flipped(self.stretch), generator.stretch)
        connect(m, cast("Any", buffer.r_stream), wiring.flipped(self.beats))
        m.d.comb += [buffer.w_data.eq(self.ddr.beat), buffer.w_en.eq(self.ddr.beat_valid)]

        room = Signal(range(self._depth + 1), init=self._depth)  # less what was asked for
        bursts, request = generator.bursts, self.ddr.request
        granted, asked, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            granted.eq(room > bursts.payload.beats_last),
            request.payload.eq(bursts.payload),
            request.valid.eq(bursts.valid & granted),
            bursts.ready.eq(request.ready & granted),
            asked.eq(request.valid & request.ready),
            taken.eq(self.beats.valid & self.beats.ready),
            self.idle.eq(generator.stretch.ready & (room == self._depth)),
        ]
        with m.If(asked):
            m.d.sync += room.eq(room - bursts.payload.beats_last - 1 + taken)
        with m.Elif(taken):
            m.d.sync += room.eq(room + 1)
        return m
