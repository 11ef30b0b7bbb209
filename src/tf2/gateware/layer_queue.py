"""Layers that wait for their turn, as beats in block RAM; the next one as a whole."""

from __future__ import annotations

from typing import Any, cast

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from tf2.arch import OverlayConfig
from tf2.gateware.assembler import Assembler
from tf2.gateware.signatures import layer_layout
from tf2.isa.encoding import instruction_bytes, layer_fields

HELD_LAYERS = 8
"""As many as the Filter Loader may run ahead: layers of one block, a slot of parameters each."""


class LayerQueue(wiring.Component):
    """Hold layers until what the first of them waits for has finished.

    A layer goes to the Scheduler as soon as that takes it; the next follows `layer_beats` cycles
    later. Gives and respects back-pressure.

    Members: beats In(stream(8 * ddr_bytes)): the encoded layers; layers Out(stream(layer_layout));
    loads_done, stores_done In(16): counts that the waits compare with.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        super().__init__({
            "beats": In(stream.Signature(8 * config.ddr_bytes)),
            "layers": Out(stream.Signature(layer_layout(config))),
            "loads_done": In(16),
            "stores_done": In(16),
        })  # fmt: skip

    @property
    def layer_beats(self) -> int:
        """Beats of an encoded layer."""
        config = self._config
        return instruction_bytes(layer_fields(config), config) // config.ddr_bytes

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        width = len(self.beats.payload)
        m.submodules.queue = queue = SyncFIFOBuffered(
            width=width, depth=HELD_LAYERS * self.layer_beats
        )
        m.submodules.assembler = assembler = Assembler(width=width, count=self.layer_beats)
        connect(m, wiring.flipped(self.beats), cast("Any", queue.w_stream))
        connect(m, cast("Any", queue.r_stream), assembler.beats)

        layout = layer_layout(self._config)
        head = data.View(layout, assembler.word.payload[: layout.size])
        met = Signal()
        m.d.comb += [
            met.eq((self.loads_done >= head.wait_loads) & (self.stores_done >= head.wait_stores)),
            self.layers.payload.eq(head),
            self.layers.valid.eq(assembler.word.valid & met),
            assembler.word.ready.eq(self.layers.ready & met),
        ]
        return m
