"""Feeds the array: from the tap that is issued to the bytes of P positions."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.pipeline import delayed
from tf2.gateware.raster_column import wraps
from tf2.gateware.signatures import (
    BankRead,
    Issue,
    Tap,
    features_layout,
    layer_layout,
    row_bits,
)
from tf2.isa.encoding import BANK, SIZE


class FeatureRead(wiring.Component):
    """Give the C bytes that each of P lanes reads for an issue: the zero point outside of the map.

    Latency `LATENCY` cycles; initiation interval 1; nothing stalls. Lane i stands at raster
    position ``group * lanes + i``; an issue that is the last of its group moves the lanes on, or
    back to group 0 after the last group. Lanes are in different banks at any time, by
    `tf2.isa.walk`.
    Lanes beyond the layer's give the zero point, positions beyond the raster anything.

    Args:
        config: Of the overlay.

    Members:
        cfg: In; the layer that is issued, constant until `CFG_AFTER` cycles after its last issue.
        start: In; the first cycle of cfg; the first issue comes later.
        issue: In(`Issue`).
        tap: In(`Tap`).
        read: Out(`BankRead`); port A of the Feature Buffer.
        features: Out; of the issue `LATENCY` cycles ago.
    """

    CFG_AFTER = 2  # cycles: sums, carries
    LATENCY = CFG_AFTER + FeatureBuffer.LATENCY + 1  # cycles: (memory,) lanes

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "start": In(1),
            "issue": In(Issue(config)),
            "tap": In(Tap(config)),
            "read": Out(BankRead(config)),
            "features": Out(features_layout(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        lanes, config = range(self._config.pixels), self._config
        group_end = Signal()
        m.d.comb += group_end.eq(self.issue.valid & self.issue.last)
        restart, advance = self.start | (group_end & self.issue.group_last), group_end
        wrap = wraps(m, self.cfg, config.pixels, restart=restart, advance=advance)
        banks, rows, inside = zip(
            *(self._address(m, i, restart, advance, wrap[i]) for i in lanes), strict=True
        )

        # The row of each bank, from the lane that reads there.
        m.d.comb += self.read.en.eq(delayed(m, self.issue.valid, 2, reset=True, name="reading"))
        for b in lanes:
            row: Value | int = 0
            for i in lanes:
                row |= Mux(self.cfg[f"lane{i}_valid"] & (banks[i] == b), rows[i], 0)
            m.d.comb += self.read.rows[b].eq(row)

        # After the memory: the word of each lane, from the bank it was read from.
        features = Signal(features_layout(config), reset_less=True)
        m.d.comb += self.features.eq(features)
        words = Array(self.read.data[b].as_value() for b in lanes)
        unsigned = delayed(m, self.cfg.in_unsigned, FeatureBuffer.LATENCY, name="unsigned")
        outside = Mux(unsigned, 0x80, 0)
        for i in lanes:
            bank = delayed(m, banks[i], FeatureBuffer.LATENCY, name=f"bank{i}")
            seen = delayed(m, inside[i], FeatureBuffer.LATENCY, name=f"inside{i}")
            word = Mux(seen, words[bank], outside.replicate(config.inputs))
            m.d.sync += features[i].as_value().eq(word)
        return m

    def _address(
        self, m: Module, i: int, restart: Value, advance: Value, wrap: Value
    ) -> tuple[Signal, Signal, Signal]:
        """Add lane i's place; return (bank, row, inside of the map), 2 cycles after the issue."""
        cfg, tap, pixels = self.cfg, self.tap, self._config.pixels
        coordinate = signed(SIZE + 2)
        in_y = Signal(coordinate, name=f"in_y{i}", reset_less=True)
        in_x = Signal(coordinate, name=f"in_x{i}", reset_less=True)
        in_row = Signal(row_bits(self._config), name=f"in_row{i}", reset_less=True)
        for name, place in (("in_y", in_y), ("in_x", in_x), ("in_row", in_row)):
            with m.If(restart):
                m.d.sync += place.eq(cfg[f"lane{i}_{name}"])
            with m.Elif(advance):
                m.d.sync += place.eq(place + Mux(wrap, cfg[f"{name}_1"], cfg[f"{name}_0"]))

        # Cycle 1: sums.
        tap_y = Signal(signed(SIZE + 3), name=f"tap_y{i}", reset_less=True)
        tap_x = Signal(signed(SIZE + 3), name=f"tap_x{i}", reset_less=True)
        sum_bank = Signal(BANK + 1, name=f"sum_bank{i}", reset_less=True)
        sum_row = Signal.like(in_row, name=f"sum_row{i}", reset_less=True)
        m.d.sync += [
            tap_y.eq(in_y + tap.y),
            tap_x.eq(in_x + tap.x),
            sum_bank.eq(cfg[f"lane{i}_in_bank"] + tap.bank),
            sum_row.eq(in_row + tap.row),
        ]

        # Cycle 2: the bank's carry, the borders.
        bank = Signal(range(pixels), name=f"bank{i}", reset_less=True)
        row = Signal.like(in_row, name=f"row{i}", reset_less=True)
        inside = Signal(name=f"inside{i}", reset_less=True)
        over = Signal(name=f"over{i}")
        m.d.comb += over.eq(sum_bank >= pixels)
        m.d.sync += [
            bank.eq(Mux(over, sum_bank - pixels, sum_bank)),
            row.eq(sum_row + over),
            inside.eq(
                cfg[f"lane{i}_valid"]
                & (tap_y >= 0) & (tap_y < cfg.in_height)
                & (tap_x >= 0) & (tap_x < cfg.in_width)
            ),
        ]  # fmt: skip
        return bank, row, inside
