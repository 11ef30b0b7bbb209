"""Max pooling of groups as they come: a window is done with the position that ends it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.bare import bare
from tf2.gateware.pick import Pick
from tf2.gateware.pipeline import delayed, stages
from tf2.gateware.ram import add_ram
from tf2.gateware.raster import AT
from tf2.gateware.shared_module import add_shared
from tf2.gateware.signatures import bytes_layout, layer_layout
from tf2.gateware.window_max import WindowMax


class MaxPool(wiring.Component):
    """Give each lane the largest byte of the window that ends at its position.

    First along the row: the lanes before, and the last two of the group before. Then down the
    columns: this maximum a raster row above, and the one a row above that, each from a line buffer,
    or past it where they belong to the group of the cycle before. Windows of one tap give the bytes
    themselves. Positions outside of the layer's map count as -128.

    Latency 5 cycles; initiation interval 1; nothing stalls. The raster is less than
    ``pool_groups - 1`` groups wide.

    Members: cfg In: fields of the layer, constant while its groups are under way; valid, bytes In;
    at In: P x `AT` of the group; best Out: P x N bytes.
    """

    LATENCY = 5

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "valid": In(1),
            "bytes": In(bytes_layout(config)),
            "at": In(data.ArrayLayout(AT, config.pixels)),
            "best": Out(bytes_layout(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        p = self._config.pixels
        self._platform = platform
        self._place_lanes(m)
        self._count_groups(m)
        rows = [delayed(m, self.at[i].rows, 3, name=f"rows_{i}") for i in range(p)]
        # cycle 0: along the row
        across = self._across(m)
        # cycle 2: one row up
        across_late = self._next(m, across)
        above = self._row_up(m, "above", 2, across, across_late)
        # cycle 3: two rows up is one row up from there, and meanwhile down the column
        top = self._row_up(m, "top", 3, above, self._next(m, above))
        for i in range(p):
            best = self._largest(m, f"best_{i}", rows[i], across_late[i], above[i], top[i])
            m.d.comb += Value.cast(self.best[i]).eq(Value.cast(best))
        return m

    def _place_lanes(self, m: Module) -> None:
        """Find, once a layer, which lane of which group lies a raster row above a lane.

        That is lane ``i - line_bank`` of `line_groups` before, or where that is below 0, of the
        lanes that the layer uses, in the group before that. Seen from lane j: `_stays` where it is
        read by a lane of the first kind; `_same_group`, `_group_before` where by one of its own
        group, of the next.
        """
        p, cfg = self._config.pixels, self.cfg
        valid = [cfg[f"lane{i}_valid"] for i in range(p)]
        lanes = Signal(range(p + 1), reset_less=True)
        m.d.sync += lanes.eq(sum(valid[1:], valid[0]))
        self._source = [Signal(range(p), name=f"source_{i}", reset_less=True) for i in range(p)]
        self._stays = [Signal(name=f"stays_{i}", reset_less=True) for i in range(p)]
        self._same_group = [Signal(name=f"same_group_{i}", reset_less=True) for i in range(p)]
        self._group_before = [Signal(name=f"group_before_{i}", reset_less=True) for i in range(p)]
        self._last = [Signal(name=f"last_{i}", reset_less=True) for i in range(p)]
        for i in range(p):
            stays = i + cfg.line_bank < lanes
            back = Mux(cfg.line_bank <= i, 0, lanes)
            m.d.sync += [
                self._source[i].eq(i + back - cfg.line_bank),
                self._stays[i].eq(stays),
                self._same_group[i].eq(stays & (cfg.line_groups == 0)),
                self._group_before[i].eq(cfg.line_groups == stays),
                self._last[i].eq(lanes == i + 1),
            ]

    def _count_groups(self, m: Module) -> None:
        """Number the groups; `_valid`, `_group` by the cycles since the group came."""
        group = Signal(range(self._config.pool_groups))
        with m.If(self.valid):
            m.d.sync += group.eq(group + 1)
        self._valid = stages(m, self.valid, 4, reset=True, name="valid")
        self._group = stages(m, group, 3, name="group")

    def _across(self, m: Module) -> list[Any]:
        """Return, two cycles later, the largest byte of each lane's taps along the row."""
        p = self._config.pixels
        inside = []
        for i in range(p):
            seen = bare(self.bytes[i].shape(), name=f"inside_{i}")
            smallest = Const(-128, 8).replicate(self._config.outputs)
            m.d.comb += Value.cast(seen).eq(
                Mux(self.at[i].inside, Value.cast(self.bytes[i]), smallest)
            )
            inside.append(seen)
        before_1, before_2 = (
            bare(inside[0].shape(), name=f"before_{k}", reset_less=True) for k in (1, 2)
        )
        line = [before_2, before_1, *inside]  # lane i is line[i + 2]
        with m.If(self.valid):
            for i in range(p):
                with m.If(self._last[i]):
                    m.d.sync += [before_1.eq(line[i + 2]), before_2.eq(line[i + 1])]
        return [
            self._largest(
                m, f"across_{i}", self.at[i].columns, line[i + 2], line[i + 1],
                delayed(m, line[i], 1, name=f"third_{i}"),
            )
            for i in range(p)
        ]  # fmt: skip

    def _row_up(
        self, m: Module, name: str, cycle: int, group: list[Any], before: list[Any]
    ) -> list[Any]:
        """Return, a cycle later, what lies a raster row above each lane.

        Args:
            m: Where the line buffer is added.
            name: Of what is returned.
            cycle: In which a group's values are there, and are written into the line buffer.
            group: The values.
            before: Those of the cycle before: not readable yet where they are a group's.
        """
        row = bare(data.ArrayLayout(self.bytes[0].shape(), self._config.pixels), name=name)
        near, far = (Signal.like(self._group[0], name=f"{name}_{n}") for n in ("near", "far"))
        m.d.comb += [
            near.eq(self._group[cycle - 1] - self.cfg.line_groups),
            far.eq(near - 1),
        ]
        for j in range(self._config.pixels):
            here = Value.cast(group[j])
            stored = add_ram(
                m,
                f"{name}_line_{j}",
                depth=self._config.pool_groups,
                write_en=self._valid[cycle],
                write_address=self._group[cycle],
                write_data=here,
                read_address=Mux(self._stays[j], near, far),
            )
            passed = self._group_before[j] & self._valid[cycle + 1]
            earlier = Mux(passed, Value.cast(before[j]), stored)
            m.d.comb += Value.cast(row[j]).eq(Mux(self._same_group[j], here, earlier))
        return [self._picked(m, f"{name}_{i}", row, i) for i in range(self._config.pixels)]

    def _picked(self, m: Module, name: str, row: Any, i: int) -> data.View:
        """Return, a cycle later, the lane of a row that lies above lane i."""
        shape, pixels = self.bytes[0].shape(), self._config.pixels
        unit = add_shared(m, name, "pick", lambda: Pick(pixels, shape.size), self._platform)
        m.d.comb += [
            Value.cast(unit.words).eq(Value.cast(row)),
            unit.source.eq(self._source[i]),
        ]
        return data.View(shape, unit.word)

    def _next(self, m: Module, row: list[Any]) -> list[Any]:
        """Return the values a cycle later."""
        late = self._row_of_signals("late")
        m.d.sync += [Value.cast(a).eq(Value.cast(b)) for a, b in zip(late, row, strict=True)]
        return late

    def _largest(
        self, m: Module, name: str, taps: Value, first: Any, second: Any, third: Any
    ) -> Any:
        """Return, two cycles later, the largest byte of each channel; the third comes in late."""
        unit = add_shared(
            m, name, "window_max", lambda: WindowMax(self._config.outputs), self._platform
        )
        m.d.comb += [
            unit.taps.eq(taps),
            Value.cast(unit.first).eq(Value.cast(first)),
            Value.cast(unit.second).eq(Value.cast(second)),
            Value.cast(unit.third).eq(Value.cast(third)),
        ]
        return unit.largest

    def _row_of_signals(self, name: str) -> list[Any]:
        shape = self.bytes[0].shape()
        return [
            bare(shape, name=f"{name}_{i}", reset_less=True) for i in range(self._config.pixels)
        ]
