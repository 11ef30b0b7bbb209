"""Writes a layer's outputs to the Feature Buffer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.signatures import BankWrite, WriteBeat, bytes_layout, layer_layout, row_bits


class FeatureWriter(wiring.Component):
    """Write the emitting lanes of each beat to their banks, in cfg.segments_last + 1 cycles.

    In cycle s of these, `LATENCY` + s after the beat, the lanes of segment s are written, or all of
    them where segments_last is 0. A beat may come cfg.segments_last + 1 cycles after the one
    before; it is never held up. Lanes written in one cycle are in different banks, by
    `tf2.isa.walk`.

    Args:
        config: Of the overlay.

    Members:
        cfg: In; the layer that runs.
        start: In; the first cycle of cfg; beats come later.
        beat: In(`WriteBeat`).
        write: Out(`BankWrite`); port B of the Feature Buffer.
        written: Out; the layer's last beat is being written, or is over if nothing of it emits.
    """

    LATENCY = 2  # cycles from a beat to the first of its writes

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "start": In(1),
            "beat": In(WriteBeat(config)),
            "write": Out(BankWrite(config)),
            "written": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, cfg, beat, lanes = self._config, self.cfg, self.beat, range(self._config.pixels)
        part, offset, last_block = self._place(m)

        # Cycle 1: the beat is kept as long as it takes; which lane writes to each bank.
        segment, more = Signal(cfg.segments_last.shape()), Signal()
        place = data.StructLayout({"emit": 1, "bank": 5, "segment": 4})
        places = [Signal(place, name=f"place{i}", reset_less=True) for i in lanes]
        rows = Signal(data.ArrayLayout(row_bits(config), config.pixels), reset_less=True)
        octets = Signal(bytes_layout(config), reset_less=True)
        last = Signal(reset_less=True)
        step, ends = Signal(), Signal()
        m.d.comb += [
            step.eq(beat.valid | more),
            ends.eq(Mux(more, segment, 0) == cfg.segments_last),
        ]
        with m.If(step):
            m.d.sync += [segment.eq(Mux(more, segment, 0) + 1), more.eq(~ends)]
        with m.If(beat.valid):
            m.d.sync += [rows.eq(beat.row), octets.eq(beat.bytes), last.eq(last_block)]
            for i in lanes:
                m.d.sync += [
                    places[i].emit.eq(beat.emit[i]),
                    places[i].bank.eq(beat.bank[i]),
                    places[i].segment.eq(beat.segment[i]),
                ]
        writes = []
        for i in lanes:
            kept = places[i]
            bank = Signal(5, name=f"to_bank{i}")
            writing = Signal(name=f"writing{i}")
            in_turn = Mux(more, kept.segment == segment, beat.segment[i] == 0)
            m.d.comb += [
                bank.eq(Mux(more, kept.bank, beat.bank[i])),
                writing.eq(
                    step & Mux(more, kept.emit, beat.emit[i]) & ((cfg.segments_last == 0) | in_turn)
                ),
            ]
            writes.append((writing, bank))
        en = Signal(config.pixels)
        source = [Signal(range(config.pixels), name=f"source{b}", reset_less=True) for b in lanes]
        for b in lanes:
            hits = Signal(config.pixels, name=f"hits{b}")
            for i, (writing, bank) in enumerate(writes):
                m.d.comb += hits[i].eq(writing & (bank == b))
            number = 0
            for i in lanes:
                number |= Mux(hits[i], i, 0)
            m.d.sync += [en[b].eq(hits.any()), source[b].eq(number)]
        done = Signal()
        valid = Signal()
        m.d.sync += [valid.eq(step), done.eq(step & ends & Mux(more, last, last_block))]

        # Cycle 2: the words of each bank.
        m.d.sync += [
            self.write.en.eq(en),
            self.write.valid.eq(en.any()),
            self.written.eq(done),
        ]
        lane_rows, lane_bytes = Array(rows[i] for i in lanes), Array(octets[i] for i in lanes)
        out_rows = Signal.like(rows, reset_less=True)
        out_bytes = Signal.like(octets, reset_less=True)
        m.d.comb += [self.write.rows.eq(out_rows), self.write.bytes.eq(out_bytes)]
        with m.If(valid):
            m.d.sync += self.write.part.eq(part)
            for b in lanes:
                m.d.sync += [
                    out_rows[b].eq(lane_rows[source[b]] + offset),
                    out_bytes[b].eq(lane_bytes[source[b]]),
                ]
        return m

    def _place(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Add where blocks go; return (part, offset) of the beat before, and whether beat is last.

        The part and the rows of the plane, and of the byte of raw layers, are kept with the beat.
        """
        cfg, beat, config = self.cfg, self.beat, self._config
        part, kept_part = Signal(range(config.parts)), Signal(range(config.parts), reset_less=True)
        plane, offset = Signal(row_bits(config)), Signal(row_bits(config), reset_less=True)
        block, last = Signal(cfg.out_groups_last.shape()), Signal()
        m.d.comb += last.eq(beat.group_last & (block == cfg.out_groups_last))
        with m.If(self.start):
            m.d.sync += [part.eq(cfg.out_part), plane.eq(0), block.eq(0)]
        with m.Elif(beat.valid):
            doubled = Mux(beat.byte[1], cfg.raw_rows << 1, 0)
            m.d.sync += [
                offset.eq(plane + Mux(beat.byte[0], cfg.raw_rows, 0) + doubled),
                kept_part.eq(part),
            ]
            with m.If(beat.group_last):
                m.d.sync += block.eq(block + 1)
                with m.If(part == config.parts - 1):
                    m.d.sync += [part.eq(0), plane.eq(plane + cfg.out_plane_rows)]
                with m.Else():
                    m.d.sync += part.eq(part + 1)
        return kept_part, offset, last
