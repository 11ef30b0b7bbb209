from __future__ import annotations

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Value
from bench import run_benches
from streams import receiver, recorder, sender

from tf2.arch import OverlayConfig
from tf2.gateware.feature_loader import FeatureLoader
from tf2.isa import Load, encode
from tf2.isa.layout import from_ddr


def shape(pixels: int, ddr_bytes: int) -> OverlayConfig:
    return OverlayConfig(
        outputs=2, pixels=pixels, inputs=4, feature_rows=32, filter_words=16, post_pixels=1,
        pool_groups=4, ddr_bytes=ddr_bytes,
    )  # fmt: skip


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    "config",
    [shape(1, 4), shape(3, 8), shape(5, 32), shape(7, 4)],
    ids=lambda c: f"N{c.outputs}-P{c.pixels}-C{c.inputs}-{c.lane}-{c.ddr_bytes}",
)
def test_rows_are_written_in_order_and_each_load_reported_with_its_last(rng, config, stall):
    dut = FeatureLoader(config)
    row = config.row_beats * config.ddr_bytes
    memory = rng.integers(0, 256, 200 * row).astype(np.uint8)
    loads = [
        Load(name="", address=int(rng.integers(0, 100)) * row, base_row=base, rows=rows)
        for base, rows in ((0, 32), (31, 1), (5, 9), (6, 2), (3, 17))
    ]
    expected = [
        (load.base_row + k)
        | int.from_bytes(from_ddr(memory[at : at + row], config).tobytes(), "little")
        << len(dut.row_write.rows.payload.row)
        for load in loads
        for k in range(load.rows)
        for at in [load.address + k * row]
    ]
    rows, done = [], []

    async def ddr(ctx):
        random, waiting = Random(2), []
        while True:
            ctx.set(dut.ddr.request.ready, random.random() >= stall)
            gives = bool(waiting) and random.random() >= stall
            ctx.set(dut.ddr.beat_valid, gives)
            if gives:
                at = waiting.pop(0)
                beat = memory[at : at + config.ddr_bytes].tobytes()
                ctx.set(dut.ddr.beat, int.from_bytes(beat, "little"))
            burst = dut.ddr.request.payload
            _, _, valid, ready, address, last = await ctx.tick().sample(
                dut.ddr.request.valid, dut.ddr.request.ready, burst.address, burst.beats_last
            )
            if valid and ready:
                waiting += [address + k * config.ddr_bytes for k in range(last + 1)]

    codes = [int.from_bytes(encode(load, config), "little") & ((1 << 120) - 1) for load in loads]
    run_benches(
        dut,
        sender(dut.loads, codes, stall=stall),
        receiver(dut.row_write.rows, len(expected), rows, stall=stall),
        deadline_cycles=3500,
        background=[ddr, recorder(dut.done, done)],
    )
    assert rows == expected
    assert sum(done) >= len(loads) - 1  # the last one's strobe ends the run
    assert Value.cast(dut.row_write.rows.payload.data).shape().width == 8 * config.row_bytes


def test_a_row_follows_the_other_without_a_lost_cycle():
    config = shape(3, 8)
    dut = FeatureLoader(config)
    valid: list[int] = []

    async def bench(ctx):
        load = Load(name="", address=0, base_row=0, rows=30)
        ctx.set(dut.row_write.rows.ready, 1)
        ctx.set(dut.ddr.request.ready, 1)
        await sender(dut.loads, [int.from_bytes(encode(load, config), "little")])(ctx)
        await ctx.tick().until(dut.ddr.request.valid)
        ctx.set(dut.ddr.beat_valid, 1)
        await ctx.tick().repeat(30 * config.row_beats)
        ctx.set(dut.ddr.beat_valid, 0)
        await ctx.tick().repeat(5)

    run_benches(dut, bench, deadline_cycles=200, background=[
        recorder(dut.row_write.rows.valid, valid)])  # fmt: skip
    cycles = [cycle for cycle, value in enumerate(valid) if value]
    assert np.diff(cycles).tolist() == [config.row_beats] * 29
