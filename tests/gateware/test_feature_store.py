from __future__ import annotations

from collections import deque
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Value
from bench import run_benches
from streams import sender

from tf2.arch import OverlayConfig
from tf2.gateware.feature_store import FeatureStore
from tf2.isa import Store, encode


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
def test_rows_reach_ddr_and_a_store_is_done_when_all_is_answered(rng, config, stall):
    dut = FeatureStore(config)
    row = config.row_beats * config.ddr_bytes
    features = rng.integers(0, 256, (config.feature_rows, config.row_bytes)).astype(np.uint8)
    memory = np.zeros(200 * row, np.uint8)
    stores = [
        Store(name="", address=at * row, base_row=base, rows=rows)
        for at, base, rows in ((3, 0, 32), (50, 31, 1), (60, 5, 9), (100, 6, 2))
    ]
    wanted = memory.copy()
    for store in stores:
        part = features[store.base_row : store.base_row + store.rows]
        padded = np.pad(part, ((0, 0), (0, row - config.row_bytes)))
        wanted[store.address : store.address + padded.size] = padded.reshape(-1)
    done, answered = [], []

    async def buffer(ctx):
        """The Feature Buffer: answers two cycles after it took a request, never held up."""
        random, late = Random(1), deque([None, None])
        port = dut.row_read
        while True:
            ctx.set(port.request.ready, random.random() >= stall)
            answer = late.popleft()
            ctx.set(port.response_valid, answer is not None)
            if answer is not None:
                data = int.from_bytes(features[answer].tobytes(), "little")
                ctx.set(Value.cast(port.response), data)
            _, _, valid, ready, asked = await ctx.tick().sample(
                port.request.valid, port.request.ready, port.request.payload
            )
            late.append(asked if valid and ready else None)

    async def ddr(ctx):
        """A DdrWriter: takes bursts, then their beats, answers each some time after its last."""
        random, port = Random(2), dut.ddr
        places, ends, answers, cycle = deque(), deque(), deque(), 0
        while True:
            ctx.set(port.request.ready, random.random() >= stall)
            ctx.set(port.beats.ready, bool(places) and random.random() >= stall)
            ctx.set(port.done, bool(answers) and answers[0] <= cycle)
            if answers and answers[0] <= cycle:
                answered.append(answers.popleft())
            burst = port.request.payload
            _, _, asks, takes, address, last, valid, ready, beat, end = await ctx.tick().sample(
                port.request.valid, port.request.ready, burst.address, burst.beats_last,
                port.beats.valid, port.beats.ready, port.beats.payload, dut.done,
            )  # fmt: skip
            if valid and ready:
                at = places.popleft()
                data = beat.to_bytes(config.ddr_bytes, "little")
                memory[at : at + config.ddr_bytes] = np.frombuffer(data, np.uint8)
                if ends.popleft():
                    answers.append(cycle + 12)
            if asks and takes:
                places += [address + k * config.ddr_bytes for k in range(last + 1)]
                ends += [k == last for k in range(last + 1)]
            if end:
                assert not places, "done before all was written"
                assert not answers, "done before all was answered"
                done.append(cycle)
            cycle += 1

    async def bench(ctx):
        codes = [int.from_bytes(encode(s, config), "little") & ((1 << 120) - 1) for s in stores]
        await sender(dut.stores, codes)(ctx)
        while len(done) < len(stores):
            await ctx.tick()

    run_benches(dut, bench, deadline_cycles=3500, background=[buffer, ddr])
    np.testing.assert_array_equal(memory, wanted)
    assert len(done) == len(stores)
