from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from bench import pack, run_benches
from layer_bench import CONFIGS, content, fill, layer_bits

from isa.overlay_layers import random_features, random_layer
from tf2.gateware.feature_buffer import FeatureBuffer
from tf2.gateware.feature_writer import FeatureWriter
from tf2.gateware.signatures import row_bits
from tf2.isa.walk import output_positions, walk


class Back(wiring.Elaboratable):
    """What takes the outputs."""

    def __init__(self, config):
        self.feature_writer = FeatureWriter(config)
        self.feature_buffer = FeatureBuffer(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.feature_writer = self.feature_writer
        m.submodules.feature_buffer = self.feature_buffer
        wiring.connect(m, self.feature_writer.write, self.feature_buffer.write)
        return m


def beats(layer, config, rng):
    """Return the beats of a layer as Finish gives them, and write their bytes to a model."""
    emit, position, y = output_positions(layer, config)
    if layer.pool is not None and layer.pool.kind == "sum":
        emit, position, y = emit[-1:], position[-1:], y[-1:]
    first_plane = layer.output.base_row + (
        layer.output.first_part // config.parts * layer.output.plane_rows
    )
    out = []
    for block in range(layer.out_groups):
        for group in range(len(emit)):
            for byte in range(4 if layer.raw else 1):
                values = rng.integers(-128, 128, (config.pixels, config.outputs)).astype(np.int8)
                out.append({
                    "emit": emit[group],
                    "position": position[group],
                    "bank": position[group] % config.pixels,
                    "row": position[group] // config.pixels + first_plane,
                    "segment": np.clip(y[group] - y[group, 0], 0, 15),
                    "byte": byte,
                    "bytes": values,
                    "group_last": group == len(emit) - 1 and byte == (3 if layer.raw else 0),
                    "block": block,
                })  # fmt: skip
    return out


def written(layer, config, features, beat):
    """Write a beat's bytes as the instruction says: by planes, parts and bytes of raw sums."""
    target = layer.output
    plane, part = divmod(target.first_part + beat["block"], config.parts)
    row = target.base_row + plane * target.plane_rows + beat["byte"] * target.raw_rows
    at = row * config.pixels + beat["position"][beat["emit"]]
    flat = features.reshape(-1, config.inputs)
    flat[at, part * config.outputs : (part + 1) * config.outputs] = beat["bytes"][beat["emit"]]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_every_beat_lands_where_the_instruction_says(rng, name, gaps):
    config = CONFIGS[name]
    layers = [
        random_layer(rng, config, max_cycles=250, segments=i % 2 and config.pixels > 1,
                     pool=None if i % 2 else "max", residual=False).layer
        for i in range(6)
    ]  # fmt: skip
    layers += [random_layer(rng, config, max_cycles=250, raw=True).layer for _ in range(4)]
    model = random_features(rng, config)
    dut = Back(config)
    writer = dut.feature_writer

    async def bench(ctx):
        fill(ctx, dut.feature_buffer, model)
        for layer in layers:
            spacing = walk(layer, config).segments
            ctx.set(writer.cfg.as_value(), layer_bits(layer, config))
            ctx.set(writer.start, 1)
            await ctx.tick()
            ctx.set(writer.start, 0)
            sequence = beats(layer, config, rng)
            for number, beat in enumerate(sequence):
                ctx.set(writer.beat.valid, 1)
                for field, bits in (
                    ("emit", 1), ("bank", 5), ("row", row_bits(config)), ("segment", 4),
                    ("bytes", 8),
                ):  # fmt: skip
                    ctx.set(
                        getattr(writer.beat, field).as_value()
                        if field != "emit"
                        else writer.beat.emit,
                        pack(beat[field], bits),
                    )
                ctx.set(writer.beat.byte, beat["byte"])
                ctx.set(writer.beat.group_last, beat["group_last"])
                written(layer, config, model, beat)
                if number == len(sequence) - 1:
                    break
                for _ in range(spacing + int(rng.integers(0, 4)) * (rng.random() < gaps)):
                    assert not ctx.get(writer.written)
                    await ctx.tick()
                    ctx.set(writer.beat.valid, 0)
            for _ in range(FeatureWriter.LATENCY + spacing - 1):
                assert not ctx.get(writer.written), layer
                await ctx.tick()
                ctx.set(writer.beat.valid, 0)
            assert ctx.get(writer.written)
            await ctx.tick().repeat(FeatureBuffer.LATENCY)  # the last write is under way
            np.testing.assert_array_equal(content(ctx, dut.feature_buffer, model.shape), model)

    run_benches(dut, bench, deadline_cycles=20000)
