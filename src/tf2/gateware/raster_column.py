"""The column of a lane in the layer's raster: tells the lane's addresses when a row wraps."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from tf2.isa.encoding import SIZE


def wraps(m: Module, cfg: data.View, lanes: int, *, restart: Value, advance: Value) -> list[Signal]:
    """Return, lane by lane, whether its next group lies one row further than cfg.advance_y says.

    `restart` puts the lanes back to group 0, `advance` moves them on by a group; restart wins. The
    flags are those of the lanes' present group, from the cycle after its restart or advance.
    """
    edge = Signal(SIZE, name="edge", reset_less=True)
    m.d.sync += edge.eq(cfg.raster_width - cfg.advance_x)
    flags = []
    for i in range(lanes):
        x = Signal(SIZE, name=f"column{i}", reset_less=True)
        wrap = Signal(name=f"wrap{i}")
        m.d.comb += wrap.eq(x >= edge)
        with m.If(restart):
            m.d.sync += x.eq(cfg[f"lane{i}_x"])
        with m.Elif(advance):
            m.d.sync += x.eq(Mux(wrap, x - edge, x + cfg.advance_x))
        flags.append(wrap)
    return flags
