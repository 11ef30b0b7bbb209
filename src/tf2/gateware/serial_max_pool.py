"""Max pooling of positions that come one a cycle: a third of the comparators of `MaxPool`."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import C, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.pipeline import delayed, stages
from tf2.gateware.ram import add_ram
from tf2.gateware.raster import AT
from tf2.gateware.signatures import POSITION_FLAGS_AFTER, bytes_layout, layer_layout

_ALWAYS = C(1)


class SerialMaxPool(wiring.Component):
    """Give each lane the largest byte of the window that ends at its position.

    First down the column: the bytes one and two raster rows above come from line buffers. Then
    along the row: the maximum of the two columns before is ready when that of the last one comes.
    Windows of one tap give the bytes themselves. Positions outside of the layer's map count as
    -128.

    Latency 5 cycles from the last position of a group to `best`, which stays until the next group;
    initiation interval P cycles for groups; nothing stalls. The raster is less than
    ``pool_groups - 1`` groups wide.

    Members: cfg In: fields of the layer, constant while its groups are under way; first In: the
    first position of a group is here, the others are in the cycles after; bytes In: N of a
    position; at In: P x `AT` of the group, in P cycles, `POSITION_FLAGS_AFTER` after `first`; best
    Out: P x N bytes.
    """

    LATENCY = 5

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        octets = bytes_layout(config)
        super().__init__({
            "cfg": In(layer_layout(config)),
            "first": In(1),
            "bytes": In(octets.elem_shape),
            "at": In(data.ArrayLayout(AT, config.pixels)),
            "best": Out(octets),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        lanes, cfg = range(self._config.pixels), self.cfg
        since = stages(m, self.first, self._config.pixels + 3, reset=True, name="since")

        def chosen(name: str, values: list[Value], cycle: int) -> Value:
            """Return the value of the lane whose position came `cycle` cycles ago."""
            mine = Signal(len(values[0]), name=name)
            terms = [v & since[i + cycle].replicate(len(v)) for i, v in enumerate(values)]
            m.d.comb += mine.eq(_any(terms))
            return mine

        # cycle 0: into the line buffers, and one and two raster rows above out of them
        comes = chosen("comes", [cfg[f"lane{i}_valid"] for i in lanes], 0)
        above, top = (delayed(m, word, 1, name="row_above") for word in self._rows_above(m, comes))
        here = delayed(m, Value.cast(self.bytes), POSITION_FLAGS_AFTER, name="here")
        # cycle 2: down the column, first two, then the third
        inside, above_counts, top_counts, columns = (
            chosen(name, [self.at[i][name] for i in lanes], POSITION_FLAGS_AFTER)
            for name in ("inside", "above", "top", "columns")
        )
        two = self._larger(m, "two", here, above, above_counts, a_counts=inside)
        two, top, top_counts, columns = (delayed(m, v, 1) for v in (two, top, top_counts, columns))
        # cycle 3: the third; and of the two columns before, which are held
        valid = delayed(m, comes, 3, reset=True, name="valid")
        three = self._larger(m, "three", two, top, top_counts)
        column, second = (Signal.like(three, name=n, reset_less=True) for n in ("column", "second"))
        with m.If(valid):
            m.d.sync += [column.eq(three), second.eq(column)]
        before = delayed(m, self._larger(m, "before", column, second, columns[1]), 1)
        counts = delayed(m, columns.any(), 1, name="counts")
        # cycle 4: along the row
        best = self._larger(m, "best", column, before, counts)
        for i in lanes:
            kept = Signal.like(best, name=f"best_{i}", reset_less=True)
            with m.If(since[i + 4]):
                m.d.sync += kept.eq(best)
            m.d.comb += Value.cast(self.best[i]).eq(kept)
        return m

    def _rows_above(self, m: Module, comes: Value) -> list[Signal]:
        """Write a position into the line buffers; return, a cycle later, those above it."""
        config, width = self._config, self.cfg.raster_width
        depth = 1 << (2 * config.pool_groups * config.pixels - 1).bit_length()
        place = Signal(range(depth))
        with m.If(comes):
            m.d.sync += place.eq(place + 1)
        words = []
        for name, back in (("above", width), ("top", width << 1)):
            read = Signal.like(place, name=f"{name}_place")
            m.d.comb += read.eq(place - back)
            words.append(
                add_ram(
                    m, f"{name}_line", depth=depth, write_en=comes, write_address=place,
                    write_data=Value.cast(self.bytes), read_address=read,
                )
            )  # fmt: skip
        return words

    def _larger(
        self, m: Module, name: str, a: Value, b: Value, counts: Value, *, a_counts: Value = _ALWAYS
    ) -> Signal:
        """Return the larger of two bytes of each channel, of those that count, or -128."""
        largest = Signal(8 * self._config.outputs, name=f"larger_{name}")
        for n in range(self._config.outputs):
            one, other = (v[8 * n : 8 * n + 8].as_signed() for v in (a, b))
            takes_other = Signal(name=f"takes_other_{name}_{n}")
            m.d.comb += [
                takes_other.eq(counts & ((other > one) | ~a_counts)),
                largest[8 * n : 8 * n + 8].eq(Mux(takes_other, other, Mux(a_counts, one, -128))),
            ]
        return largest


def _any(values: list[Value]) -> Value:
    """Return the bitwise or of values."""
    return reduce(or_, values)
