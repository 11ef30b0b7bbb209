"""The only master that writes DDR."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS, CACHE, INCR, AxiWrite
from tf2.gateware.signatures import DdrWrite

OUTSTANDING_BURSTS = 8
"""Bursts without an answer at once."""


class DdrWriter(wiring.Component):
    """Write bursts through one AXI4 port.

    Latency 2 from a request to its address on the bus, 1 from a beat to the bus; initiation
    interval 1 beat a cycle, without a cycle lost between bursts. Gives and respects back-pressure.

    Requests are bursts as `BurstGenerator` gives them. One that is not inside the arena is dropped
    and reported.

    Members: client In(DdrWrite); axi Out(AxiWrite); base In(40): byte address of the arena, a
    multiple of 4096; size In(40): its bytes; halt In: drop what is not on the bus yet, take no
    requests, end open bursts with beats that write no byte; idle Out: nothing is under way;
    beat_done Out: a beat was taken by the bus; response_done Out: a burst was answered;
    address_error, write_error Out: strobes.
    """

    LATENCY = 2

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "client": In(DdrWrite(config)),
            "axi": Out(AxiWrite(config)),
            "base": In(ADDRESS_BITS),
            "size": In(ADDRESS_BITS),
            "halt": In(1),
            "idle": Out(1),
            "beat_done": Out(1),
            "response_done": Out(1),
            "address_error": Out(1),
            "write_error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.bursts = bursts = SyncFIFO(width=8, depth=OUTSTANDING_BURSTS)
        open_bursts = Signal(range(OUTSTANDING_BURSTS + 1))  # without an answer
        waiting = self._addresses(m, bursts, open_bursts != OUTSTANDING_BURSTS)
        self._beats(m, bursts)

        axi = self.axi
        m.d.comb += [
            axi.bready.eq(1),
            self.response_done.eq(axi.bvalid),
            self.client.done.eq(axi.bvalid & ~self.halt),
            self.write_error.eq(axi.bvalid & axi.bresp[1] & ~self.halt),
            self.idle.eq(~(waiting | axi.awvalid | axi.wvalid) & (open_bursts == 0)),
        ]
        m.d.sync += open_bursts.eq(open_bursts + bursts.w_en - axi.bvalid)
        return m

    def _addresses(self, m: Module, bursts: SyncFIFO, room: Any) -> Any:
        """Add the base (stage 0), check and put it on the bus (1)."""
        axi, request = self.axi, self.client.request
        stage_1 = Signal()  # valid
        address_1 = Signal(ADDRESS_BITS, reset_less=True)
        end_1 = Signal(ADDRESS_BITS + 1, reset_less=True)
        last_1 = Signal(8, reset_less=True)
        inside = Signal()
        leave = Signal()
        burst = request.payload
        m.d.comb += [
            inside.eq(end_1 <= self.size),
            leave.eq(stage_1 & (~axi.awvalid | axi.awready) & room & bursts.w_rdy & ~self.halt),
            request.ready.eq((~stage_1 | leave) & ~self.halt),
            self.address_error.eq(leave & ~inside),
            bursts.w_en.eq(leave & inside),
            bursts.w_data.eq(last_1),
            axi.awsize.eq((self._config.ddr_bytes - 1).bit_length()),
            axi.awburst.eq(INCR),
            axi.awcache.eq(CACHE),
        ]
        with m.If(request.ready):
            m.d.sync += [
                stage_1.eq(request.valid),
                address_1.eq(self.base + burst.address),
                end_1.eq(burst.address + (burst.beats_last + 1) * self._config.ddr_bytes),
                last_1.eq(burst.beats_last),
            ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(leave & inside):
            m.d.sync += [axi.awvalid.eq(1), axi.awaddr.eq(address_1), axi.awlen.eq(last_1)]
        with m.If(self.halt):
            m.d.sync += stage_1.eq(0)
        return stage_1

    def _beats(self, m: Module, bursts: SyncFIFO) -> None:
        """Give each burst its beats; empty ones when halted."""
        axi, beats = self.axi, self.client.beats
        count = Signal(8)
        free = Signal()
        last = Signal()
        moves = Signal()
        m.d.comb += [
            free.eq(bursts.r_rdy & (~axi.wvalid | axi.wready)),
            last.eq(count == bursts.r_data),
            moves.eq(free & (beats.valid | self.halt)),
            beats.ready.eq(free & ~self.halt),
            bursts.r_en.eq(moves & last),
            self.beat_done.eq(axi.wvalid & axi.wready),
        ]
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(moves):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(beats.payload),
                axi.wstrb.eq(Mux(self.halt, 0, -1)),
                axi.wlast.eq(last),
                count.eq(Mux(last, 0, count + 1)),
            ]
