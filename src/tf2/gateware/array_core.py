"""The array with all that feeds it and takes its results: everything but the ways to DDR."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tf2.arch import OverlayConfig
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.feature_read import FeatureRead
from tf2.gateware.feature_writer import FeatureWriter
from tf2.gateware.finish import Finish
from tf2.gateware.layer_stages import LayerStages
from tf2.gateware.pe_array import PEArray
from tf2.gateware.post_process import LOOKAHEAD, PostProcess
from tf2.gateware.residual_reader import ResidualReader
from tf2.gateware.scheduler import Scheduler
from tf2.gateware.signatures import (
    FilterWrite,
    ParameterWrite,
    RowRead,
    RowWrite,
    layer_layout,
    word_bits,
)


class ArrayCore(wiring.Component):
    """Run layers on the features in the Feature Buffer, which it holds.

    Layers run one after the other. Undisturbed, a layer takes ``out_groups * groups * interval``
    cycles and a constant for its way through the pipeline, in which the next one may begin; every
    cycle of `stall_filter` is one more. Parameters of a block are written before its first word
    counts as loaded. Rows are written and read when the layer leaves port B of the Feature Buffer
    free; what may be written and read when is the program's concern.

    Reset forgets the layers and counts of filter words, and keeps the features.

    Args:
        config: Of the overlay.

    Members:
        layers: In(stream of `layer_layout`).
        filter_write: In(`FilterWrite`).
        parameter_write: In(`ParameterWrite`).
        filters_loaded: In; as of the `Scheduler`.
        filters_freed: Out; as of the `Scheduler`.
        block_done: Out; a cycle when a block's parameters are needed no more.
        row_write: In(`RowWrite`).
        row_read: In(`RowRead`).
        layer_done: Out; a cycle a layer, when its last output is written.
        busy: Out; the lanes are given work.
        stall_filter: Out; they are not, because a filter word has not come.
        waiting: Out; there is no layer.

    Attributes:
        buffer: The Feature Buffer; for simulation.
    """

    def __init__(self, config: OverlayConfig) -> None:
        self._config = config
        self.buffer = FeatureBuffer(config)
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

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        config, buffer = self._config, self.buffer
        m.submodules.scheduler = scheduler = Scheduler(config)
        m.submodules.feature_read = read = FeatureRead(config)
        m.submodules.feature_buffer = buffer
        m.submodules.pe_array = array = PEArray(config, feature_latency=FeatureRead.LATENCY)
        m.submodules.residual_reader = residual = ResidualReader(config)
        m.submodules.post_process = post = PostProcess(config)
        m.submodules.finish = finish = Finish(config)
        m.submodules.feature_writer = writer = FeatureWriter(config)
        m.submodules.stages = stages = LayerStages(
            config,
            sums_after=array.latency,
            bytes_after=PostProcess.latency(config) - LOOKAHEAD,
        )
        m.d.comb += [
            stages.start.eq(scheduler.start),
            read.cfg.eq(scheduler.cfg),
            read.start.eq(scheduler.start),
            post.cfg.eq(stages.post),
            residual.cfg.eq(stages.post),
            residual.start.eq(stages.post_start),
            finish.cfg.eq(stages.finish),
            writer.cfg.eq(stages.finish),
            writer.start.eq(stages.finish_start),
        ]

        connect(m, flipped(self.layers), stages.layers)
        connect(m, stages.offered, scheduler.layers)
        m.d.comb += [
            scheduler.filters_loaded.eq(self.filters_loaded),
            self.filters_freed.eq(scheduler.filters_freed),
            scheduler.written.eq(writer.written),
            self.layer_done.eq(scheduler.layer_done),
            self.busy.eq(scheduler.issue.valid),
            self.stall_filter.eq(scheduler.stall_filter),
            self.waiting.eq(scheduler.waiting),
        ]
        for name in scheduler.issue.signature.members:
            issued = getattr(scheduler.issue, name)
            m.d.comb += [getattr(unit.issue, name).eq(issued) for unit in (read, array, stages)]
        connect(m, scheduler.tap, read.tap)

        connect(m, read.read, buffer.read)
        connect(m, flipped(self.filter_write), array.filter_write)
        connect(m, flipped(self.parameter_write), post.parameter_write)
        m.d.comb += [array.features.eq(read.features), self.block_done.eq(post.block_done)]
        connect(m, array.drain, post.drain)
        connect(m, residual.port, post.residual)
        connect(m, post.beat, finish.beat)
        connect(m, finish.write, writer.beat)

        connect(m, writer.write, buffer.write)
        connect(m, residual.buffer, buffer.residual)
        connect(m, flipped(self.row_write), buffer.row_write)
        connect(m, flipped(self.row_read), buffer.row_read)
        return m
