"""The whole overlay: control, ways to DDR, and the array between them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.arch.register_map import ErrorCode
from tf2.gateware.axi import Axi, AxiLite
from tf2.gateware.controller import Controller
from tf2.gateware.ddr_reader import DdrReader
from tf2.gateware.ddr_writer import DdrWriter
from tf2.gateware.feature_loader import FeatureLoader
from tf2.gateware.feature_store import FeatureStore
from tf2.gateware.filter_loader import FilterLoader
from tf2.gateware.register_copy import copies
from tf2.gateware.registers import COUNTERS, Registers
from tf2.gateware.run_control import RunControl


class Overlay(wiring.Component):
    """Run a program from DDR when the host says so; report its end or its error.

    All but registers, run control and bus masters is held in reset between runs, so that a run
    never sees anything of the one before; the memories keep their contents.

    Args:
        config: Of the overlay.
        array: An `ArrayCore`, or what a test puts in its place.

    Members: m_axi Out(Axi): the memory; s_axil In(AxiLite): the host; irq Out; probe_layers_done
    Out(32): layers done in this run; probe_busy, probe_stall_filter, probe_waiting Out: what the
    array does in this cycle, 0 between runs.
    """

    def __init__(self, config: OverlayConfig, *, array: Any) -> None:
        self._config = config
        self._array = array
        super().__init__({
            "m_axi": Out(Axi(config)),
            "s_axil": In(AxiLite()),
            "irq": Out(1),
            "probe_layers_done": Out(32),
            "probe_busy": Out(1),
            "probe_stall_filter": Out(1),
            "probe_waiting": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, array = self._config, self._array
        m.submodules.registers = registers = Registers(config)
        m.submodules.control = control = RunControl()
        m.submodules.reader = reader = DdrReader(config, clients=3)
        m.submodules.writer = writer = DdrWriter(config)
        controller = Controller(config)
        features, store = FeatureLoader(config), FeatureStore(config)
        filters = FilterLoader(config)
        units = {
            "controller": controller, "feature_loader": features, "feature_store": store,
            "filter_loader": filters, "array": array,
        }  # fmt: skip
        *resets, out_of_run = copies(
            m, ~control.running, len(units) + 1, name="out_of_run", platform=platform
        )
        for (name, unit), reset in zip(units.items(), resets, strict=True):
            m.submodules[name] = ResetInserter(reset)(unit)
        running = Signal()
        m.d.comb += running.eq(control.running & ~out_of_run)

        connect(m, flipped(self.s_axil), registers.axil)
        self._connect_memory(m, reader, writer)
        # The Controller first, as everything waits for it; then loads, which are short.
        for client, unit in zip(reader.clients, (controller, features, filters), strict=True):
            connect(m, unit.ddr, client)
        connect(m, store.ddr, writer.client)
        connect(m, controller.layers, array.layers)
        connect(m, controller.blocks, filters.blocks)
        connect(m, controller.loads, features.loads)
        connect(m, controller.stores, store.stores)
        connect(m, filters.filter_write, array.filter_write)
        connect(m, filters.parameter_write, array.parameter_write)
        connect(m, features.row_write, array.row_write)
        connect(m, store.row_read, array.row_read)
        m.d.comb += [
            array.filters_loaded.eq(filters.filters_loaded),
            filters.filters_freed.eq(array.filters_freed),
            filters.block_done.eq(array.block_done),
            controller.layer_done.eq(array.layer_done),
            controller.load_done.eq(features.done),
            controller.store_done.eq(store.done),
            controller.code_address.eq(registers.code_address),
            controller.arena_bytes.eq(registers.arena_bytes),
            filters.address.eq(registers.filters_address),
            filters.size.eq(registers.filters_bytes),
        ]
        for master in (reader, writer):
            m.d.comb += [
                master.base.eq(registers.arena_base),
                master.size.eq(registers.arena_bytes),
                master.halt.eq(~control.running),
            ]
        self._connect_control(m, control, registers, reader, writer)
        errors = {
            ErrorCode.BAD_OPCODE: controller.bad_opcode,
            ErrorCode.ADDRESS: reader.address_error | writer.address_error | controller.code_ended,
            ErrorCode.READ: reader.read_error,
            ErrorCode.WRITE: writer.write_error,
            ErrorCode.ROW: features.bad_row | store.bad_row,
        }
        m.d.comb += [control.errors[code].eq(value) for code, value in errors.items()]
        m.d.comb += control.finished.eq(controller.finished)
        counted = {
            "running": running,
            "array_busy": array.busy,
            "stall_filter": array.stall_filter,
            "waiting": array.waiting,
            "ddr_read": reader.beat_done,
            "ddr_write": writer.beat_done,
            "layer_done": array.layer_done,
            "load_done": features.done,
            "store_done": store.done,
        }
        m.d.comb += [getattr(registers, name).eq(counted[name]) for name in COUNTERS.values()]
        m.d.comb += [
            self.irq.eq(registers.irq),
            self.probe_layers_done.eq(registers.layers),
            self.probe_busy.eq(array.busy & running),
            self.probe_stall_filter.eq(array.stall_filter & running),
            self.probe_waiting.eq(array.waiting & running),
            control.progress.eq(
                Cat(reader.beat_done, writer.beat_done, writer.response_done, array.busy).any()
            ),
        ]
        return m

    def _connect_memory(self, m: Module, reader: DdrReader, writer: DdrWriter) -> None:
        """Join the two masters to one AXI4 port."""
        for master in (reader, writer):
            for name, member in master.axi.signature.members.items():
                outer, inner = getattr(self.m_axi, name), getattr(master.axi, name)
                m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)

    @staticmethod
    def _connect_control(
        m: Module, control: RunControl, registers: Registers, reader: DdrReader, writer: DdrWriter
    ) -> None:
        m.d.comb += [
            control.start.eq(registers.start),
            control.abort.eq(registers.abort),
            control.watchdog.eq(registers.watchdog),
            control.drained.eq(reader.idle & writer.idle),
            registers.begins.eq(control.begins),
            registers.ends.eq(control.ends),
            registers.busy.eq(control.busy),
            registers.done.eq(control.done),
            registers.error.eq(control.error),
            registers.code.eq(control.code),
        ]
