"""Reads the map that is added to a layer's bytes, ahead of the sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.pipeline import delayed
from tf2.gateware.raster_column import wraps
from tf2.gateware.signatures import (
    BankRequest,
    ResidualPort,
    bytes_layout,
    layer_layout,
    one_by_one,
    row_bits,
)


class ResidualReader(wiring.Component):
    """Keep the next groups of the layer's residual at hand, in the order of the sums.

    Reads ahead by up to `DEPTH` groups whenever port B of the Feature Buffer is free. It is never
    late if the port is free for a cycle in each cfg.interval, which `tf2.isa.walk` provides, and
    the first group is popped `FIRST_LATENCY` cycles after start or later. A group is read before it
    is popped, so a layer may write where its residual lies.

    Args:
        config: Of the overlay.

    Members:
        cfg: In; the layer that runs; nothing is read unless cfg.residual.
        start: In; the first cycle of cfg.
        buffer: Out(`BankRequest`).
        port: Out(`ResidualPort`).
    """

    DEPTH = 8
    FIRST_LATENCY = 4 + FeatureBuffer.LATENCY  # cycles from start to the first group, port free

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "start": In(1),
            "buffer": Out(BankRequest(config)),
            "port": Out(ResidualPort(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, cfg, lanes = self._config, self.cfg, range(self._config.pixels)
        request = self.buffer.request

        ahead = Signal(range(self.DEPTH + 1))  # groups asked for and not popped
        reading, step = Signal(), Signal()
        m.d.comb += step.eq(reading & (ahead != self.DEPTH) & (~request.valid | request.ready))
        m.d.sync += ahead.eq(ahead + step - self.port.pop)
        part = self._walk(m, reading, step)

        # Cycle 2 (or later, when the port is taken): the request.
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(step):
            m.d.sync += request.valid.eq(1)
        asked_part = Signal.like(part, reset_less=True)
        with m.If(step):
            m.d.sync += asked_part.eq(part)
        answered_part = delayed(m, asked_part, FeatureBuffer.LATENCY, name="answered_part")

        # After the memory: lanes from their banks (or banks as they are), the part of the word.
        m.submodules.groups = groups = SyncFIFO(width=bytes_layout(config).size, depth=self.DEPTH)
        arrived = Signal()
        octets = Signal(bytes_layout(config), reset_less=True)
        m.d.sync += arrived.eq(self.buffer.response_valid)
        size = 8 * config.outputs
        words = Array(self.buffer.response[b].as_value() for b in lanes)
        for i in lanes:
            word = words[i if one_by_one(config) else cfg[f"lane{i}_residual_bank"]]
            m.d.sync += octets[i].as_value().eq(word.word_select(answered_part, size))
        m.d.comb += [
            groups.w_en.eq(arrived),
            groups.w_data.eq(octets.as_value()),
            groups.r_en.eq(self.port.pop),
            self.port.valid.eq(groups.r_rdy),
            self.port.bytes.as_value().eq(groups.r_data),
        ]
        return m

    def _walk(self, m: Module, reading: Signal, step: Value) -> Signal:
        """Add the loops over blocks and groups and the request's rows; return the part read."""
        cfg, config, lanes = self.cfg, self._config, range(self._config.pixels)
        group, block = Signal(cfg.groups_last.shape()), Signal(cfg.out_groups_last.shape())
        part = Signal(range(config.parts))
        plane, next_plane = Signal(row_bits(config)), Signal(row_bits(config))
        group_ends, part_ends, restart = Signal(), Signal(), Signal()
        m.d.comb += [
            group_ends.eq(step & (group == cfg.groups_last)),
            part_ends.eq(part == config.parts - 1),
            restart.eq(self.start | group_ends),
            next_plane.eq(Mux(part_ends, plane + cfg.residual_plane_rows, plane)),
        ]
        with m.If(self.start):
            m.d.sync += [reading.eq(cfg.residual), group.eq(0), block.eq(0)]
            m.d.sync += [part.eq(cfg.residual_part), plane.eq(0)]
        with m.Elif(group_ends):
            m.d.sync += [group.eq(0), block.eq(block + 1), plane.eq(next_plane)]
            m.d.sync += part.eq(Mux(part_ends, 0, part + 1))
            with m.If(block == cfg.out_groups_last):
                m.d.sync += reading.eq(0)
        with m.Elif(step):
            m.d.sync += group.eq(group + 1)

        wrap = wraps(m, cfg, config.pixels, restart=restart, advance=step)
        rows = [Signal(row_bits(config), name=f"row{i}", reset_less=True) for i in lanes]
        for i in lanes:
            first = cfg[f"lane{i}_residual_row"]
            with m.If(self.start):
                m.d.sync += rows[i].eq(first)
            with m.Elif(group_ends):
                m.d.sync += rows[i].eq(first + next_plane)
            with m.Elif(step):
                m.d.sync += rows[i].eq(
                    rows[i] + Mux(wrap[i], cfg.residual_row_1, cfg.residual_row_0)
                )
        bank_rows = Signal(data.ArrayLayout(row_bits(config), config.pixels), reset_less=True)
        m.d.comb += self.buffer.request.payload.eq(bank_rows)
        with m.If(step):
            for b in lanes:
                row: Value | int = 0
                for i in lanes:
                    here = cfg[f"lane{i}_valid"] & (cfg[f"lane{i}_residual_bank"] == b)
                    row |= Mux(here, rows[i], 0)
                m.d.sync += bank_rows[b].eq(row)
        return part
