from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from bench import run_benches, unpack
from layer_bench import CONFIGS, fill, layer_bits

from isa.overlay_layers import random_features, random_layer
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.residual_reader import ResidualReader
from tf2.gateware.signatures import one_by_one
from tf2.isa.walk import walk


class Reader(wiring.Elaboratable):
    """The residual's way."""

    def __init__(self, config):
        self.reader = ResidualReader(config)
        self.buffer = FeatureBuffer(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = self.reader
        m.submodules.buffer = self.buffer
        wiring.connect(m, self.reader.buffer, self.buffer.residual)
        return m


def expected(layer, config, features):
    """Return the P x N bytes of each group, block by block; and which lanes lie in the map."""
    residual = layer.residual
    flat = features.reshape(-1, config.inputs)
    index = np.arange(layer.groups)[:, None] * layer.lanes + np.arange(config.pixels)
    y, x = np.divmod(index, layer.raster_width)
    means = (np.arange(config.pixels) < layer.lanes) & (y < layer.height) & (x < layer.width)
    groups = []
    for block in range(layer.out_groups):
        plane, part = divmod(residual.first_part + block, config.parts)
        row = residual.base_row + plane * residual.plane_rows
        at = np.where(means, row * config.pixels + y * residual.pitch + x, 0)
        groups += list(flat[at, part * config.outputs : (part + 1) * config.outputs])
    return groups, list(means) * layer.out_groups


@pytest.mark.parametrize("name", CONFIGS)
def test_is_never_late_and_exact_with_the_port_free_a_cycle_a_group(rng, name):
    config = CONFIGS[name]
    layers = [random_layer(rng, config, residual=True, max_cycles=300).layer for _ in range(10)]
    features = random_features(rng, config)
    dut = Reader(config)
    reader = dut.reader

    async def bench(ctx):
        fill(ctx, dut.buffer, features)
        # Rows of unused banks: the port's writes change nothing.
        ctx.set(dut.buffer.write.en, 0)
        for number, layer in enumerate(layers):
            w = walk(layer, config)
            # The tightest that the walk provides, and not the layer's own longer interval.
            interval = w.write_cycles + 1 if number % 2 else w.interval
            ctx.set(reader.cfg.as_value(), layer_bits(layer, config))
            ctx.set(reader.start, 1)
            groups, means = expected(layer, config, features)
            first = ResidualReader.FIRST_LATENCY + interval
            for cycle in range(first + interval * len(groups)):
                since = cycle - first
                taken = w.write_cycles if since % interval < w.write_cycles else 0
                ctx.set(dut.buffer.write.valid, bool(taken) and since >= -interval)
                pop = since >= 0 and since % interval == 0
                ctx.set(reader.port.pop, pop)
                if pop:
                    assert ctx.get(reader.port.valid), f"group {since // interval} is late"
                    got = unpack(
                        ctx.get(reader.port.bytes.as_value()), 8, (config.pixels, config.outputs)
                    )
                    at = since // interval
                    if one_by_one(config):
                        got = got[[lane.residual[0] for lane in w.lanes]]
                    np.testing.assert_array_equal(got[means[at]], groups[at][means[at]])
                await ctx.tick()
                ctx.set(reader.start, 0)
            ctx.set(reader.port.pop, 0)
            for _ in range(10):
                await ctx.tick()
            assert not ctx.get(reader.port.valid), "nothing is read beyond the layer"

    run_benches(dut, bench, deadline_cycles=20000)


def test_the_first_group_is_there_at_the_declared_latency(rng):
    config = CONFIGS["small"]
    layer = random_layer(rng, config, residual=True).layer
    dut = Reader(config)

    async def bench(ctx):
        ctx.set(dut.reader.cfg.as_value(), layer_bits(layer, config))
        ctx.set(dut.reader.start, 1)
        for _ in range(ResidualReader.FIRST_LATENCY):
            assert not ctx.get(dut.reader.port.valid)
            await ctx.tick()
            ctx.set(dut.reader.start, 0)
        assert ctx.get(dut.reader.port.valid)

    run_benches(dut, bench, deadline_cycles=100)


def test_reads_nothing_for_a_layer_without_residual(rng):
    config = CONFIGS["small"]
    layer = random_layer(rng, config, residual=False).layer
    dut = Reader(config)

    async def bench(ctx):
        ctx.set(dut.reader.cfg.as_value(), layer_bits(layer, config))
        ctx.set(dut.reader.start, 1)
        for _ in range(30):
            assert not ctx.get(dut.reader.buffer.request.valid)
            await ctx.tick()
            ctx.set(dut.reader.start, 0)

    run_benches(dut, bench, deadline_cycles=100)
