"""Tells the stages of the array each layer, one after the other, as its first group comes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tf2.arch import OverlayConfig
from tf2.gateware.layer_register import LayerRegister
from tf2.gateware.pipeline import delayed
from tf2.gateware.signatures import Issue, layer_layout


class LayerStages(wiring.Component):
    """Let the stages behind the array change to a layer while those before it work for it already.

    The Scheduler takes a layer first, with all that issues and reads; post-processing and the
    residual change to it in the cycle of its first sums, and what follows as its first bytes are
    announced. So a layer may begin before the one before is written (`isa.overlap`), and each field
    is kept by the stages that use it only. Until the last of them has it, the layer stays at the
    head of its queue.

    Args:
        config: Of the overlay.
        sums_after: Cycles from an issue to its group's sums, at least 2.
        bytes_after: Cycles from there to the announcement of its bytes, at least 1.

    Members:
        layers: In(stream of `layer_layout`): the queue.
        offered: Out(stream of `layer_layout`): for the Scheduler.
        start: In; of the Scheduler: a layer begins.
        issue: In(`Issue`).
        post, post_start: Out; the layer of post-processing, and its first cycle.
        finish, finish_start: Out; that of pooling and the Feature Writer.
    """

    def __init__(self, config: OverlayConfig, *, sums_after: int, bytes_after: int) -> None:
        assert sums_after >= LayerRegister.LATENCY
        assert bytes_after >= 1
        self._config = config
        self._to_post = sums_after - LayerRegister.LATENCY
        self._from_there = bytes_after
        layout = layer_layout(config)
        super().__init__({
            "layers": In(stream.Signature(layout)),
            "offered": Out(stream.Signature(layout)),
            "start": In(1),
            "issue": In(Issue(config)),
            "post": Out(layout),
            "post_start": Out(1),
            "finish": Out(layout),
            "finish_start": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.post = post = LayerRegister(self._config)
        m.submodules.finish = finish = LayerRegister(self._config)
        first = Signal()  # no group of the layer was issued
        group_end = Signal()
        m.d.comb += group_end.eq(self.issue.valid & self.issue.last)
        with m.If(self.start):
            m.d.sync += first.eq(1)
        with m.Elif(group_end):
            m.d.sync += first.eq(0)
        to_post = delayed(m, group_end & first, self._to_post, reset=True, name="to_post")
        to_finish = delayed(m, to_post, self._from_there, reset=True, name="to_finish")
        for unit, take in ((post, to_post), (finish, to_finish)):
            m.d.comb += [unit.layer.eq(self.layers.payload), unit.take.eq(take)]
        m.d.comb += [
            self.post.eq(post.cfg),
            self.post_start.eq(post.start),
            self.finish.eq(finish.cfg),
            self.finish_start.eq(finish.start),
        ]

        under_way = Signal()  # the Scheduler has it, the last stage not yet
        m.d.comb += [
            self.offered.payload.eq(self.layers.payload),
            self.offered.valid.eq(self.layers.valid & ~under_way),
            self.layers.ready.eq(delayed(m, to_finish, 1, reset=True, name="passed")),
        ]
        with m.If(self.offered.valid & self.offered.ready):
            m.d.sync += under_way.eq(1)
        with m.Elif(self.layers.ready):
            m.d.sync += under_way.eq(0)
        return m
