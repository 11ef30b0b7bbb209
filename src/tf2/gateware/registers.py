"""What the host reads and writes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.arch.register_map import (
    ARENA_ALIGNMENT,
    CONTROL_ABORT,
    CONTROL_START,
    ID,
    Register,
)
from tf2.gateware.axi import ADDRESS_BITS, OKAY, SLVERR, AxiLite

COUNTERS = {
    Register.CYCLES: "running",
    Register.BUSY: "array_busy",
    Register.STALL_FILTER: "stall_filter",
    Register.WAITING: "waiting",
    Register.DDR_READ: "ddr_read",
    Register.DDR_WRITE: "ddr_write",
    Register.LAYERS: "layer_done",
    Register.LOADS: "load_done",
    Register.STORES: "store_done",
}
"""Registers that count the cycles of a run in which a member is high."""

SETTINGS = {
    Register.WATCHDOG: ("watchdog", 32),
    Register.PROGRAM_HASH: ("program_hash", 32),
    Register.IRQ_ENABLE: ("irq_enable", 1),
    Register.ARENA_BASE: ("arena_base", ADDRESS_BITS),
    Register.ARENA_BYTES: ("arena_bytes", ADDRESS_BITS),
    Register.CODE_ADDRESS: ("code_address", ADDRESS_BITS),
    Register.FILTERS_ADDRESS: ("filters_address", ADDRESS_BITS),
    Register.FILTERS_BYTES: ("filters_bytes", ADDRESS_BITS),
}
"""Registers that keep what the host writes, and their bits."""


class Registers(wiring.Component):
    """Answer the host on AXI4-Lite as `tf2.arch.register_map` says, and count.

    A write is answered 1 cycle after address and data are both there, a read 1 cycle after its
    address; gives back-pressure while an answer waits. A read of anything else answers 0 and an
    error, a write to what cannot be written an error.

    Members: axil In(AxiLite); irq Out: level, ends until the host clears it; start, abort Out:
    strobes; layers Out(32): done in this run; each of `SETTINGS` Out: stable while running, if the
    host leaves them; each of `COUNTERS` In; begins In: strobe, counters restart; ends In: strobe;
    busy, done, error, code(8) In: the status.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "axil": In(AxiLite()),
            "irq": Out(1),
            "start": Out(1),
            "abort": Out(1),
            "layers": Out(32),
            "begins": In(1),
            "ends": In(1),
            "busy": In(1),
            "done": In(1),
            "error": In(1),
            "code": In(8),
            **{name: Out(bits) for name, bits in SETTINGS.values()},
            **{name: In(1) for name in COUNTERS.values()},
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        pending = Signal()
        counters = self._counters(m)
        status = Cat(self.busy, self.done, self.error, Const(0, 5), self.code)
        values: dict[int, Any] = {
            Register.ID: Const(ID, 32),
            Register.CONFIG_HASH: Const(self._config.hash, 32),
            Register.CONTROL: Const(0, 32),
            Register.STATUS: status,
            Register.INSTRUCTION: counters[Register.LAYERS],
            Register.IRQ_PENDING: pending,
            **counters,
        }
        for address, (name, bits) in SETTINGS.items():
            for part in range(0, bits, 32):
                values[address + part // 8] = getattr(self, name)[part : part + 32]
        self._read(m, values)
        self._write(m, pending)
        m.d.comb += [
            self.irq.eq(pending & self.irq_enable),
            self.layers.eq(counters[Register.LAYERS]),
        ]
        return m

    def _counters(self, m: Module) -> dict[int, Signal]:
        counters = {}
        for address, name in COUNTERS.items():
            counters[address] = count = Signal(32, name=f"count_{name}")
            with m.If(self.begins):
                m.d.sync += count.eq(0)
            with m.Elif(self.running):
                m.d.sync += count.eq(count + getattr(self, name))
        return counters

    def _read(self, m: Module, values: dict[int, Any]) -> None:
        bus = self.axil
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(SLVERR)]
            with m.Switch(bus.araddr[2:]):
                for address, value in values.items():
                    with m.Case(address >> 2):
                        m.d.sync += [bus.rdata.eq(value), bus.rresp.eq(OKAY)]

    def _write(self, m: Module, pending: Signal) -> None:
        bus = self.axil
        takes = Signal()
        m.d.comb += [
            takes.eq(bus.awvalid & bus.wvalid & ~bus.bvalid),
            bus.awready.eq(takes),
            bus.wready.eq(takes),
        ]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(takes):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(SLVERR)]
            with m.Switch(bus.awaddr[2:]):
                with m.Case(Register.CONTROL >> 2):
                    strobes = bus.wdata & bus.wstrb[0].replicate(8)
                    m.d.comb += [
                        self.start.eq((strobes & CONTROL_START).any()),
                        self.abort.eq((strobes & CONTROL_ABORT).any()),
                    ]
                    m.d.sync += bus.bresp.eq(OKAY)
                with m.Case(Register.IRQ_PENDING >> 2):
                    with m.If(bus.wdata[0] & bus.wstrb[0]):
                        m.d.sync += pending.eq(0)
                    m.d.sync += bus.bresp.eq(OKAY)
                for address, (name, bits) in SETTINGS.items():
                    for part in range(0, bits, 32):
                        with m.Case((address + part // 8) >> 2):
                            self._store(m, getattr(self, name)[part : part + 32])
                            m.d.sync += bus.bresp.eq(OKAY)
        with m.If(self.ends):
            m.d.sync += pending.eq(1)
        m.d.sync += self.arena_base[: (ARENA_ALIGNMENT - 1).bit_length()].eq(0)

    def _store(self, m: Module, setting: Any) -> None:
        """Write the bytes that the strobes name."""
        for k in range(0, len(setting), 8):
            with m.If(self.axil.wstrb[k // 8]):
                m.d.sync += setting[k : k + 8].eq(self.axil.wdata[k : k + 8])
