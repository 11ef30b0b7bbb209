"""Loads, or stores, that wait for their turn."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from tf2.gateware.signatures import TRANSFER


class TransferQueue(wiring.Component):
    """Hold transfers until what the first of them waits for has finished.

    Latency 1; initiation interval 1; gives and respects back-pressure.

    Args:
        depth: Transfers held.

    Members: pushed In(stream(TRANSFER)); ready_to_run Out(stream(TRANSFER)); layers_done,
    other_done In(16): counts that the waits compare with.
    """

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        super().__init__({
            "pushed": In(stream.Signature(TRANSFER)),
            "ready_to_run": Out(stream.Signature(TRANSFER)),
            "layers_done": In(16),
            "other_done": In(16),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.queue = queue = SyncFIFO(width=TRANSFER.size, depth=self._depth)
        head = data.View(TRANSFER, queue.r_data)
        met = (self.layers_done >= head.wait_layers) & (self.other_done >= head.wait_other)
        m.d.comb += [
            queue.w_data.eq(Value.cast(self.pushed.payload)),
            queue.w_en.eq(self.pushed.valid),
            self.pushed.ready.eq(queue.w_rdy),
            self.ready_to_run.payload.eq(head),
            self.ready_to_run.valid.eq(queue.r_rdy & met),
            queue.r_en.eq(self.ready_to_run.ready & met),
        ]
        return m
