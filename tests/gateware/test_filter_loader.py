from __future__ import annotations

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Value
from bench import run_benches
from streams import sender

from tf2.arch import OverlayConfig
from tf2.gateware.filter_loader import FilterLoader
from tf2.isa.filters import block_bytes

ADDRESS = 0x1240
LAYERS = [(1, 3), (5, 2), (40, 1), (1, 12), (3, 1)]  # (words, blocks)


def shape(outputs: int, inputs: int, lane: str, ddr_bytes: int) -> OverlayConfig:
    return OverlayConfig(
        outputs=outputs, pixels=1, inputs=inputs, lane=lane, feature_rows=16, filter_words=16,
        post_pixels=1, pool_groups=4, ddr_bytes=ddr_bytes,
    )  # fmt: skip


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", [
    shape(2, 4, "mac", 8), shape(2, 4, "mac", 64), shape(4, 16, "sac", 8), shape(1, 2, "sac", 16),
    shape(4, 4, "sac", 4),
], ids=lambda c: f"N{c.outputs}-P{c.pixels}-C{c.inputs}-{c.lane}-{c.ddr_bytes}")  # fmt: skip
def test_every_word_and_block_comes_in_order_and_only_where_there_is_room(rng, config, stall):
    dut = FilterLoader(config)
    width = config.filter_word_bytes
    size = sum(block_bytes(length, config) * groups for length, groups in LAYERS)
    memory = rng.integers(0, 256, ADDRESS + size + 256).astype(np.uint8)
    words = sum(length * groups for length, groups in LAYERS)
    blocks = [length for length, groups in LAYERS for _ in range(groups)]
    seen: list[tuple[str, int, int]] = []
    mask = config.filter_words * 2 - 1

    async def ddr(ctx):
        """Answer a beat a cycle, some time later."""
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
                assert address + (last + 1) * config.ddr_bytes <= memory.size
                waiting += [address + k * config.ddr_bytes for k in range(last + 1)]

    async def array(ctx):
        """Use loaded words in order; see that none is overwritten before."""
        random = Random(3)
        loaded = freed = used_blocks = at = written = 0
        write, parameters = dut.filter_write, dut.parameter_write
        samples = (dut.filters_loaded, write.en, write.address, Value.cast(write.word),
                   parameters.en, parameters.slot, Value.cast(parameters.parameters))  # fmt: skip
        given = 0  # blocks of parameters written
        while freed < words:
            if freed < loaded and random.random() >= stall:
                freed += 1
                at += 1
                done = at == blocks[used_blocks]
                if done:
                    at, used_blocks = 0, used_blocks + 1
                ctx.set(dut.block_done, done)
            else:
                ctx.set(dut.block_done, 0)
            ctx.set(dut.filters_freed, freed & mask)
            _, _, count, w_en, address, word, p_en, slot, block = await ctx.tick().sample(*samples)
            if p_en:
                assert slot == given % config.parameter_slots
                seen.append(("parameters", given, block))
                given += 1
                assert given - used_blocks <= config.parameter_slots
            if w_en:
                assert address == written % config.filter_words
                seen.append(("word", written, word))
                written += 1
                assert written - freed <= config.filter_words
            assert count == written & mask, "a word counts in the cycle in which it is written"
            loaded = written

    async def layers(ctx):
        ctx.set(dut.address, ADDRESS)
        ctx.set(dut.size, size)
        packed = [(length - 1) | (groups - 1) << 20 for length, groups in LAYERS]
        await sender(dut.blocks, packed, stall=stall)(ctx)

    run_benches(dut, layers, array, deadline_cycles=3000, background=[ddr])
    expected, at, count = [], ADDRESS, 0
    bits = min(8 * width, config.outputs * config.inputs * config.weight_bits)
    for number, length in enumerate(blocks):
        block = memory[at : at + 8 * config.outputs].tobytes()
        expected.append(("parameters", number, int.from_bytes(block, "little")))
        at += config.parameter_words * width
        for _ in range(length):
            word = int.from_bytes(memory[at : at + width].tobytes(), "little")
            expected.append(("word", count, word & ((1 << bits) - 1)))
            at, count = at + width, count + 1
    assert seen == expected
