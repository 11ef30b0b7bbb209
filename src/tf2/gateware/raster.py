"""Where the lanes of a group stand in the layer's raster, and where their outputs go."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed
from tf2.gateware.signatures import layer_layout, row_bits
from tf2.isa.encoding import BANK, SIZE

AT = data.StructLayout({
    "inside": 1, "emit": 1, "columns": 2, "rows": 2, "above": 1, "top": 1, "segment": 4,
})  # fmt: skip
"""Of a lane: position within the layer's map; an output is emitted there; taps of a max pooling's
window beyond the first (0..2 columns, rows); whether those one and two rows up are among them and
within the map, where an output is emitted; raster row less that of lane 0."""


class RasterWalk(wiring.Component):
    """Say where the lanes of each group stand, as `isa.walk` defines it.

    Latency `LATENCY` cycles from `advance` to `at`, and `address_latency` to `bank` and `row`;
    initiation interval 1; nothing stalls. All keep their values until the next group's.

    Args:
        config: Of the overlay.
        address_latency: At least 4.

    Members: cfg In: fields of the layer, constant while its groups are under way; advance In: the
    next group; first In: with advance, it is the first of the raster; at Out: P x `AT`; bank, row
    Out: P each, where an emitted output goes in plane 0.
    """

    LATENCY = 2

    def __init__(self, config: OverlayConfig, *, address_latency: int) -> None:
        assert address_latency >= 4
        self._config = config
        self._address_wait = address_latency - 4
        p = config.pixels
        super().__init__({
            "cfg": In(layer_layout(config)),
            "advance": In(1),
            "first": In(1),
            "at": Out(data.ArrayLayout(AT, p)),
            "bank": Out(data.ArrayLayout(BANK, p)),
            "row": Out(data.ArrayLayout(row_bits(config), p)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        wait = self._address_wait
        move = delayed(m, self.advance, 3 + wait, reset=True, name="move")
        restart = delayed(m, self.first, 3 + wait, name="restart")
        lane_0_row = Signal(4)
        for i in range(self._config.pixels):
            x, y, over = self._position(m, i)
            if i == 0:
                m.d.comb += lane_0_row.eq(y)
            m.d.sync += self.at[i].segment.eq(y - lane_0_row)
            self._flags(m, i, x, y)
            self._address(m, i, delayed(m, over, wait, name=f"over_{i}"), move, restart)
        return m

    def _lane(self, i: int, name: str) -> Any:
        return self.cfg[f"lane{i}_{name}"]

    def _position(self, m: Module, i: int) -> tuple[Signal, Signal, Value]:
        """Return (x, y, over), a cycle after `advance`.

        over: this group's step wraps, and passes one more output column, one more output row.
        """
        cfg = self.cfg
        x, y = (Signal(SIZE, name=f"{n}_{i}", reset_less=True) for n in "xy")
        phase_x, phase_y = (Signal(name=f"phase_{n}_{i}", reset_less=True) for n in "xy")
        reached = Signal(SIZE + 1, name=f"reached_{i}")
        wraps, odd_x, odd_y = (Signal(name=f"{n}_{i}") for n in ("wraps", "odd_x", "odd_y"))
        over = Signal(3, name=f"over_{i}", reset_less=True)
        m.d.comb += [
            reached.eq(x + cfg.advance_x),
            wraps.eq(reached >= cfg.raster_width),
            odd_x.eq(cfg.pool_stride2 & (cfg.advance_x[0] ^ (wraps & cfg.raster_width[0]))),
            odd_y.eq(cfg.pool_stride2 & (cfg.advance_y[0] ^ wraps)),
        ]
        with m.If(self.advance):
            m.d.sync += [
                x.eq(Mux(wraps, reached - cfg.raster_width, reached)),
                y.eq(y + cfg.advance_y + wraps),
                phase_x.eq(phase_x ^ odd_x),
                phase_y.eq(phase_y ^ odd_y),
                over.eq(Cat(wraps, phase_x & odd_x, phase_y & odd_y)),
            ]
            with m.If(self.first):
                m.d.sync += [
                    x.eq(self._lane(i, "x")),
                    y.eq(self._lane(i, "y")),
                    phase_x.eq(self._lane(i, "phase_x")),
                    phase_y.eq(self._lane(i, "phase_y")),
                ]
        return x, y, over

    def _flags(self, m: Module, i: int, x: Signal, y: Signal) -> None:
        """Compare the position with the map's size and the pooling's first and last windows."""
        cfg, at = self.cfg, self.at[i]
        emits, taps = [], []
        for axis, c in (("x", x), ("y", y)):
            first, last, clipped, clips = (
                cfg[f"emit_{axis}_{name}"] for name in ("first", "last", "clipped", "clips")
            )
            is_clipped = Signal(name=f"is_clipped_{axis}_{i}")
            m.d.comb += is_clipped.eq(clips & (c == clipped))
            on_step = ~(cfg.pool_stride2 & (c[0] ^ first[0]))
            emits.append((c >= first) & (c <= last) & on_step | is_clipped)
            # min(size, c + 1) taps, one of the size less where clipped; less the first
            size = cfg.pool_size - is_clipped
            taps.append(Mux((size >= 3) & (c >= 2), 2, (size >= 2) & (c >= 1)))
        valid = self._lane(i, "valid")
        column_inside, row_inside, above_inside, top_inside = (
            Signal(name=f"{n}_inside_{i}") for n in ("column", "row", "above", "top")
        )
        m.d.comb += [  # windows hang over by two rows at most
            column_inside.eq(valid & (x < cfg.width)),
            row_inside.eq(y < cfg.height),
            above_inside.eq(row_inside | (y == cfg.height)),
            top_inside.eq(above_inside | (y == cfg.height + 1)),
        ]
        m.d.sync += [
            at.inside.eq(column_inside & row_inside),
            at.emit.eq(valid & (y < cfg.raster_height) & emits[0] & emits[1]),
            at.columns.eq(taps[0]),
            at.rows.eq(taps[1]),
            at.above.eq(column_inside & above_inside & taps[1].any()),
            at.top.eq(column_inside & top_inside & taps[1][1]),
        ]

    def _address(self, m: Module, i: int, over: Value, move: Signal, restart: Signal) -> None:
        """Add this group's step to the address: two sums for the step, then its own."""
        over_x, over_y, wraps = over[1], over[2], delayed(m, over[0], 1, name=f"wraps_{i}")
        cfg = self.cfg
        base = (
            Mux(wraps, cfg.out_1_bank, cfg.out_0_bank),
            Mux(wraps, cfg.out_1_row, cfg.out_0_row),
        )
        column = (Mux(over_x, cfg.out_dx_bank, 0), Mux(over_x, cfg.out_dx_row, 0))
        row = (Mux(over_y, cfg.out_dy_bank, 0), Mux(over_y, cfg.out_dy_row, 0))
        bank, line = (delayed(m, v, 1) for v in self._plus(m, f"step_xy_{i}", column, row))
        step = self._plus(m, f"step_{i}", base, (bank, line))
        step_bank = Signal(BANK, name=f"step_bank_{i}", reset_less=True)
        step_row = Signal(row_bits(self._config), name=f"step_row_{i}", reset_less=True)
        m.d.sync += [step_bank.eq(step[0]), step_row.eq(step[1])]
        here = (Value.cast(self.bank[i]), Value.cast(self.row[i]))
        bank, line = self._plus(m, f"next_{i}", here, (step_bank, step_row))
        with m.If(move):
            m.d.sync += [
                self.bank[i].eq(Mux(restart, self._lane(i, "out_bank"), bank)),
                self.row[i].eq(Mux(restart, self._lane(i, "out_row"), line)),
            ]

    def _plus(
        self, m: Module, name: str, a: tuple[Value, Value], b: tuple[Value, Value]
    ) -> tuple[Signal, Signal]:
        """Return the sum of two (bank, row): banks modulo P, with a carry into the rows."""
        p = self._config.pixels
        total = Signal(BANK + 1, name=f"{name}_total")
        bank = Signal(BANK, name=f"{name}_bank")
        row = Signal(row_bits(self._config), name=f"{name}_row")
        m.d.comb += [
            total.eq(a[0] + b[0]),
            bank.eq(Mux(total >= p, total - p, total)),
            row.eq(a[1] + b[1] + (total >= p)),
        ]
        return bank, row
