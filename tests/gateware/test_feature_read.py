from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from bench import run_benches, unpack
from layer_bench import CONFIGS, fill, issues, layer_bits

from isa.overlay_layers import random_features, random_layer
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.feature_read import FeatureRead
from tf2.gateware.scheduler import Scheduler


class Front(wiring.Elaboratable):
    """What feeds the array."""

    def __init__(self, config):
        self.scheduler = Scheduler(config)
        self.feature_read = FeatureRead(config)
        self.feature_buffer = FeatureBuffer(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.scheduler = scheduler = self.scheduler
        m.submodules.feature_read = feature_read = self.feature_read
        m.submodules.feature_buffer = buffer = self.feature_buffer
        wiring.connect(m, feature_read.read, buffer.read)
        for name in ("cfg", "start"):
            m.d.comb += getattr(feature_read, name).eq(getattr(scheduler, name))
        for name in ("issue", "tap"):
            wiring.connect(m, getattr(scheduler, name), getattr(feature_read, name))
        return m


def expected_features(layer, config, features):
    """Return (issues, P, C) bytes and (issues, P): which lanes' bytes say something."""
    flat = features.reshape(-1, config.inputs)
    kernel, source = layer.kernel, layer.input
    seen, means = [], []
    for block, group, (tz, ty, tx, word) in issues(layer):
        index = group * layer.lanes + np.arange(config.pixels)
        y, x = np.divmod(index, layer.raster_width)
        iy = y * kernel.stride_y - kernel.pad_top + ty * kernel.dilation_y
        ix = x * kernel.stride_x - kernel.pad_left + tx * kernel.dilation_x
        lane = np.arange(config.pixels) < layer.lanes
        inside = lane & (iy >= 0) & (iy < source.height) & (ix >= 0) & (ix < source.width)
        plane = (block // kernel.word_every) * kernel.word_step + word
        row = source.base_row + plane * source.plane_rows + tz * source.slice_rows
        at = np.where(inside, row * config.pixels + iy * source.pitch + ix, 0)
        seen.append(np.where(inside[:, None], flat[at], source.zero_point))
        means.append(~lane | (y < layer.raster_height))
    return np.array(seen), np.array(means)


@pytest.mark.parametrize("name", CONFIGS)
def test_lanes_get_the_bytes_their_taps_read_at_the_declared_latency(rng, name):
    config = CONFIGS[name]
    layers = [random_layer(rng, config, max_cycles=250, full=bool(i % 2)).layer for i in range(6)]
    features = random_features(rng, config)
    dut = Front(config)
    scheduler, modulus = dut.scheduler, 2 * config.filter_words

    async def bench(ctx):
        fill(ctx, dut.feature_buffer, features)
        loaded = freed = 0
        for layer in layers:
            ctx.set(scheduler.layers.payload.as_value(), layer_bits(layer, config))
            ctx.set(scheduler.layers.valid, 1)
            await ctx.tick()
            ctx.set(scheduler.layers.valid, 0)
            wanted, means = expected_features(layer, config, features)
            due, got = [], []
            while len(got) < len(wanted):
                freed += (ctx.get(scheduler.filters_freed) - freed) % modulus
                if loaded - freed < config.filter_words and rng.random() < 0.6:
                    loaded += 1  # words come slower than one a cycle: the array stalls
                ctx.set(scheduler.filters_loaded, loaded % modulus)
                due.append(ctx.get(scheduler.issue.valid))
                if len(due) > FeatureRead.LATENCY and due[-1 - FeatureRead.LATENCY]:
                    value = ctx.get(dut.feature_read.features.as_value())
                    got.append(unpack(value, 8, (config.pixels, config.inputs)))
                await ctx.tick()
            different = (np.array(got) != wanted).any(axis=2) & means
            assert not different.any(), (layer, np.argwhere(different)[0])
            ctx.set(scheduler.written, 1)
            await ctx.tick()
            ctx.set(scheduler.written, 0)

    run_benches(dut, bench, deadline_cycles=12000)
