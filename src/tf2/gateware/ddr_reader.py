"""The only master that reads DDR."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.axi import ADDRESS_BITS, CACHE, INCR, AxiRead
from tf2.gateware.burst_generator import BURST
from tf2.gateware.signatures import DdrRead

OUTSTANDING_BURSTS = 8
"""Bursts under way at once: up to 128 beats."""


class DdrReader(wiring.Component):
    """Serve several readers through one AXI4 port; a lower index goes first, burst by burst.

    Latency 3 from a request to its address on the bus, 1 from a beat on the bus to its reader;
    initiation interval 1 burst and 1 beat a cycle: with a memory that gives a beat every cycle no
    cycle is lost between bursts. Gives back-pressure to requests; never holds up the bus.

    Requests are bursts as `BurstGenerator` gives them: they do not cross a multiple of 16 beats.
    One that is not inside the arena is dropped and reported.

    Args:
        config: Of the overlay.
        clients: Readers.

    Members: clients In(DdrRead) each; axi Out(AxiRead); base In(40): byte address of the arena, a
    multiple of 4096; size In(40): its bytes; halt In: drop what is not on the bus yet, take no
    requests, swallow answers; idle Out: nothing is under way; beat_done Out: a beat came;
    address_error, read_error Out: strobes.
    """

    LATENCY = 3

    def __init__(self, config: OverlayConfig, *, clients: int) -> None:
        self._config = config
        self._clients = clients
        super().__init__({
            "clients": In(DdrRead(config)).array(clients),
            "axi": Out(AxiRead(config)),
            "base": In(ADDRESS_BITS),
            "size": In(ADDRESS_BITS),
            "halt": In(1),
            "idle": Out(1),
            "beat_done": Out(1),
            "address_error": Out(1),
            "read_error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        entry = data.StructLayout({"client": range(self._clients), "beats_last": 8})
        m.submodules.route = route = SyncFIFO(width=entry.size, depth=OUTSTANDING_BURSTS)
        requested, waiting = self._addresses(m, route, entry)
        answered = self._answers(m, data.View(entry, route.r_data), route)
        m.d.comb += self.idle.eq(~(requested | waiting | self.axi.arvalid | route.r_rdy | answered))
        return m

    def _addresses(self, m: Module, route: SyncFIFO, entry: data.StructLayout) -> Any:
        """Choose a request (stage 0), add the base (1), check and put it on the bus (2)."""
        axi = self.axi
        stage_1 = Signal()  # valid
        stage_2 = Signal()
        ready_1, ready_2 = Signal(), Signal()
        client_1 = Signal(range(self._clients), reset_less=True)
        client_2 = Signal.like(client_1)
        burst_1 = Signal(BURST, reset_less=True)
        address_2 = Signal(ADDRESS_BITS, reset_less=True)
        end_2 = Signal(ADDRESS_BITS + 1, reset_less=True)
        last_2 = Signal(8, reset_less=True)
        inside = Signal()
        leave = Signal()
        m.d.comb += [
            inside.eq(end_2 <= self.size),
            leave.eq(stage_2 & (~axi.arvalid | axi.arready) & route.w_rdy & ~self.halt),
            ready_2.eq(~stage_2 | leave),
            ready_1.eq((~stage_1 | ready_2) & ~self.halt),
            self.address_error.eq(leave & ~inside),
            route.w_en.eq(leave & inside),
        ]
        routed = data.View(entry, route.w_data)
        m.d.comb += [routed.client.eq(client_2), routed.beats_last.eq(last_2)]
        self._choose(m, ready_1, stage_1, client_1, burst_1)
        with m.If(ready_2):
            m.d.sync += [
                stage_2.eq(stage_1),
                client_2.eq(client_1),
                address_2.eq(self.base + burst_1.address),
                end_2.eq(burst_1.address + (burst_1.beats_last + 1) * self._config.ddr_bytes),
                last_2.eq(burst_1.beats_last),
            ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(leave & inside):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(address_2),
                axi.arlen.eq(last_2),
            ]
        with m.If(self.halt):
            m.d.sync += [stage_1.eq(0), stage_2.eq(0)]
        m.d.comb += [
            axi.arsize.eq((self._config.ddr_bytes - 1).bit_length()),
            axi.arburst.eq(INCR),
            axi.arcache.eq(CACHE),
        ]
        return stage_1, stage_2

    def _choose(self, m: Module, ready: Any, valid: Any, client: Any, burst: Any) -> None:
        """Take the request of the first reader that has one."""
        with m.If(ready):
            m.d.sync += valid.eq(Cat(c.request.valid for c in self.clients).any())
        free = ready  # and no reader before it has a request
        for index, reader in enumerate(self.clients):
            m.d.comb += reader.request.ready.eq(free)
            with m.If(free & reader.request.valid):
                m.d.sync += [client.eq(index), burst.eq(reader.request.payload)]
            free = free & ~reader.request.valid

    def _answers(self, m: Module, head: Any, route: SyncFIFO) -> Any:
        """Hand every beat to the reader whose burst it belongs to, one cycle later."""
        axi = self.axi
        count = Signal(8)
        came = Signal()
        beat = Signal(8 * self._config.ddr_bytes, reset_less=True)
        client = Signal(range(self._clients), reset_less=True)
        last = Signal()
        m.d.comb += [
            axi.rready.eq(1),
            last.eq(count == head.beats_last),
            route.r_en.eq(axi.rvalid & last),
            self.beat_done.eq(axi.rvalid),
            self.read_error.eq(axi.rvalid & axi.rresp[1] & ~self.halt),
        ]
        m.d.sync += [came.eq(axi.rvalid), client.eq(head.client), beat.eq(axi.rdata)]
        with m.If(axi.rvalid):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        for index, reader in enumerate(self.clients):
            m.d.comb += [
                reader.beat.eq(beat),
                reader.beat_valid.eq(came & (client == index) & ~self.halt),
            ]
        return came
