"""An array that computes nothing: takes layers and filters at the pace of a real one."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.signatures import (
    FilterWrite,
    ParameterWrite,
    RowRead,
    RowWrite,
    layer_layout,
    word_bits,
)


class ArrayDouble(wiring.Component):
    """`ArrayCore` without lanes: a layer takes length cycles a block; rows are kept in a memory."""

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "layers": In(stream.Signature(layer_layout(config))),
            "filter_write": In(FilterWrite(config)),
            "parameter_write": In(ParameterWrite(config)),
            "filters_loaded": In(word_bits(config) + 1),
            "filters_freed": Out(word_bits(config) + 1),
            "block_done": Out(1),
            "row_write": In(RowWrite(config)),
            "row_read": In(RowRead(config)),
            "layer_done": Out(1),
            "busy": Out(1),
            "stall_filter": Out(1),
            "waiting": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._rows(m)
        cfg = Signal(layer_layout(self._config))
        word, block, freed = Signal(20), Signal(12), Signal.like(self.filters_freed)
        there, last_word = Signal(), Signal()
        m.d.comb += [
            there.eq(self.filters_loaded != freed),
            last_word.eq(word == cfg.length - 1),
            self.filters_freed.eq(freed),
        ]
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += [self.layers.ready.eq(1), self.waiting.eq(1)]
                m.d.sync += [cfg.eq(self.layers.payload), word.eq(0), block.eq(0)]
                with m.If(self.layers.valid):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(there), self.stall_filter.eq(~there)]
                with m.If(there):
                    m.d.sync += [freed.eq(freed + 1), word.eq(Mux(last_word, 0, word + 1))]
                    with m.If(last_word):
                        m.d.comb += self.block_done.eq(1)
                        m.d.sync += block.eq(block + 1)
                        with m.If(block == cfg.out_groups_last):
                            m.d.comb += self.layer_done.eq(1)
                            m.next = "WAIT"
        return m

    def _rows(self, m: Module) -> None:
        config = self._config
        m.submodules.rows = rows = Memory(
            shape=8 * config.row_bytes, depth=config.feature_rows, init=[]
        )
        write, read = rows.write_port(), rows.read_port()
        source, sink = self.row_write.rows, self.row_read
        m.d.comb += [
            source.ready.eq(1),
            write.en.eq(source.valid),
            write.addr.eq(source.payload.row),
            write.data.eq(Value.cast(source.payload.data)),
            sink.request.ready.eq(~source.valid),
            read.addr.eq(sink.request.payload),
            Value.cast(sink.response).eq(read.data),
        ]
        m.d.sync += sink.response_valid.eq(sink.request.valid & sink.request.ready)
