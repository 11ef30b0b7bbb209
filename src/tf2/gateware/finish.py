"""From the bytes of a group to what is written: pooled or plain, with its place."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.max_pool import MaxPool
from tf2.gateware.pipeline import delayed
from tf2.gateware.post_process import LOOKAHEAD, GroupBeat
from tf2.gateware.raster import RasterWalk
from tf2.gateware.serial_max_pool import SerialMaxPool
from tf2.gateware.signatures import (
    POSITION_FLAGS_AFTER,
    WriteBeat,
    layer_layout,
    one_by_one,
)
from tf2.gateware.sum_pool import SumPool


class Finish(wiring.Component):
    """Give the outputs of every group and where they go; of a fused sum one beat a raster.

    Plain layers take the way of a max pooling with windows of one tap. Latency `LATENCY` cycles, of
    a fused sum `SumPool.latency` from the last group; initiation interval 1; nothing stalls.

    Members: cfg In: fields of the layer, constant while its groups are under way; beat In,
    announced `LOOKAHEAD` cycles before; write Out.
    """

    LATENCY = MaxPool.LATENCY

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "cfg": In(layer_layout(config)),
            "beat": In(GroupBeat(config)),
            "write": Out(WriteBeat(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, beat = self._config, self.beat
        assert RasterWalk.LATENCY == LOOKAHEAD == POSITION_FLAGS_AFTER
        assert SerialMaxPool.LATENCY == self.LATENCY
        m.submodules.walk = walk = RasterWalk(config, address_latency=LOOKAHEAD + self.LATENCY)
        if one_by_one(config):
            max_pool = SerialMaxPool(config)
            m.d.comb += max_pool.first.eq(beat.ahead)
        else:
            max_pool = MaxPool(config)
            m.d.comb += max_pool.valid.eq(beat.valid)
        m.submodules.max_pool = max_pool
        m.submodules.sum_pool = sum_pool = SumPool(config)
        m.d.comb += [unit.cfg.eq(self.cfg) for unit in (walk, max_pool, sum_pool)]
        m.d.comb += [
            walk.advance.eq(beat.ahead & (beat.ahead_byte == 0)),
            walk.first.eq(beat.ahead_first),
            max_pool.at.eq(walk.at),
            sum_pool.valid.eq(beat.valid & self.cfg.pool_sum),
            sum_pool.inside.eq(Cat(walk.at[i].inside for i in range(config.pixels))),
            sum_pool.group_first.eq(beat.group_first),
            sum_pool.group_last.eq(beat.group_last),
            *(Value.cast(u.bytes).eq(Value.cast(beat.bytes)) for u in (max_pool, sum_pool)),
        ]
        self._write(m, walk, max_pool, sum_pool)
        return m

    def _write(
        self, m: Module, walk: RasterWalk, max_pool: MaxPool | SerialMaxPool, sum_pool: SumPool
    ) -> None:
        cfg, beat, write, p = self.cfg, self.beat, self.write, self._config.pixels
        emit = Cat(walk.at[i].emit for i in range(p))
        segment = Cat(walk.at[i].segment for i in range(p))
        m.d.comb += [
            write.valid.eq(delayed(m, beat.valid & ~cfg.pool_sum, self.LATENCY, reset=True)),
            write.emit.eq(delayed(m, emit, self.LATENCY, name="emit")),
            Value.cast(write.segment).eq(delayed(m, segment, self.LATENCY, name="segment")),
            Value.cast(write.bank).eq(Value.cast(walk.bank)),
            Value.cast(write.row).eq(Value.cast(walk.row)),
            Value.cast(write.bytes).eq(Value.cast(max_pool.best)),
            write.byte.eq(delayed(m, beat.byte, self.LATENCY, name="byte")),
            write.group_last.eq(delayed(m, beat.group_last, self.LATENCY, name="group_last")),
        ]
        with m.If(cfg.pool_sum):
            m.d.comb += [
                write.valid.eq(sum_pool.beat),
                write.emit.eq(1),
                write.segment[0].eq(0),
                write.bank[0].eq(cfg.lane0_out_bank),
                write.row[0].eq(cfg.lane0_out_row),
                Value.cast(write.bytes[0]).eq(Value.cast(sum_pool.total)),
                write.byte.eq(sum_pool.byte),
                write.group_last.eq(sum_pool.last),
            ]
