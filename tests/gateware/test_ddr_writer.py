from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from axi_memory import AxiMemory
from bench import run_benches
from streams import recorder, sender

from tf2.arch import OverlayConfig, named_config
from tf2.gateware.axi import AxiWrite
from tf2.gateware.burst_generator import STRETCH, BurstGenerator
from tf2.gateware.ddr_writer import DdrWriter

CONFIG = named_config("test-small")
SIZE = 1 << 14
BASE = 3 << 33


class Stretches(wiring.Component):
    """A DdrWriter that writes stretches."""

    def __init__(self, config: OverlayConfig) -> None:
        self.writer = DdrWriter(config)
        self.generator = BurstGenerator(config)
        super().__init__({
            "stretch": In(stream.Signature(STRETCH)),
            "beats": In(stream.Signature(8 * config.ddr_bytes)),
            "axi": Out(AxiWrite(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.writer = writer = self.writer
        m.submodules.generator = self.generator
        connect(m, flipped(self.stretch), self.generator.stretch)
        connect(m, self.generator.bursts, writer.client.request)
        connect(m, flipped(self.beats), writer.client.beats)
        connect(m, writer.axi, flipped(self.axi))
        m.d.comb += [writer.base.eq(BASE), writer.size.eq(SIZE)]
        return m


def packed(address: int, beats: int) -> int:
    return address | beats << 40


@pytest.mark.parametrize(
    ("ddr_bytes", "stall", "latency"), [(16, 0.0, 1), (16, 0.4, 7), (4, 0.3, 30), (128, 0.2, 3)]
)
def test_stretches_are_written_and_every_burst_answered(rng, ddr_bytes, stall, latency):
    config = OverlayConfig(**{**CONFIG.__dict__, "ddr_bytes": ddr_bytes})
    dut = Stretches(config)
    memory = np.zeros(SIZE, np.uint8)
    wanted = memory.copy()
    ddr = AxiMemory(memory, base=BASE, latency=latency, stall=stall, seed=int(rng.integers(99)))
    stretches, words = [], []
    for beats in (1, 40, 17, 16, 3):
        address = int(rng.integers(0, SIZE // ddr_bytes - beats)) * ddr_bytes
        data = rng.integers(0, 256, beats * ddr_bytes).astype(np.uint8)
        wanted[address : address + data.size] = data
        stretches.append(packed(address, beats))
        words += [int.from_bytes(w.tobytes(), "little") for w in data.reshape(beats, ddr_bytes)]
    done: list[int] = []

    async def beats(ctx):
        await sender(dut.beats, words, stall=stall, seed=1)(ctx)
        await ctx.tick().until(dut.writer.idle)

    run_benches(
        dut,
        sender(dut.stretch, stretches, stall=stall),
        beats,
        deadline_cycles=3000,
        background=[ddr.writes(dut.axi), recorder(dut.writer.client.done, done)],
    )
    np.testing.assert_array_equal(memory, wanted)
    assert sum(done) == len(ddr.bursts)
    assert sum(beats for _, beats in ddr.bursts) == len(words)


def test_an_ideal_memory_is_written_without_a_lost_cycle():
    dut = Stretches(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE, latency=20)
    moved: list[int] = []
    run_benches(
        dut,
        sender(dut.stretch, [packed(0, 512)]),
        sender(dut.beats, range(512)),
        deadline_cycles=560,
        background=[ddr.writes(dut.axi), recorder(dut.writer.beat_done, moved)],
    )
    cycles = [cycle for cycle, beat in enumerate(moved) if beat]
    assert len(cycles) >= 511  # the last one may still be on its way
    assert cycles[-1] - cycles[0] == len(cycles) - 1


def test_a_request_is_on_the_bus_after_the_declared_latency():
    dut = DdrWriter(CONFIG)

    async def bench(ctx):
        ctx.set(dut.size, SIZE)
        ctx.set(dut.client.request.valid, 1)
        assert ctx.get(dut.client.request.ready)
        for _ in range(DdrWriter.LATENCY):
            assert not ctx.get(dut.axi.awvalid)
            await ctx.tick()
            ctx.set(dut.client.request.valid, 0)
        assert ctx.get(dut.axi.awvalid)

    run_benches(dut, bench, deadline_cycles=10)


@pytest.mark.parametrize(("address", "beats", "wrong"), [
    (SIZE - 16, 1, False), (SIZE - 16, 2, True), (SIZE, 1, True), ((1 << 40) - 16, 1, True),
])  # fmt: skip
def test_an_address_outside_of_the_arena_never_reaches_the_bus(address, beats, wrong):
    dut = Stretches(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE)
    errors: list[int] = []

    async def bench(ctx):
        await sender(dut.stretch, [packed(address, beats)])(ctx)
        await ctx.tick().repeat(20)

    run_benches(
        dut, bench, deadline_cycles=60,
        background=[ddr.writes(dut.axi),
                    recorder(dut.writer.address_error, errors)],
    )  # fmt: skip
    assert sum(errors) == wrong
    assert all(BASE <= a <= BASE + SIZE - 16 for a, _ in ddr.bursts)


def test_an_error_of_the_memory_is_reported():
    dut = Stretches(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE, bad_beats={64, 512})
    errors: list[int] = []

    async def bench(ctx):
        await sender(dut.beats, range(40))(ctx)
        await ctx.tick().repeat(20)

    run_benches(
        dut, sender(dut.stretch, [packed(0, 40)]), bench, deadline_cycles=100,
        background=[ddr.writes(dut.axi), recorder(dut.writer.write_error, errors)],
    )  # fmt: skip
    assert sum(errors) == 2


@pytest.mark.parametrize("when", range(1, 60, 4))
def test_halted_it_ends_open_bursts_without_writing_a_byte_more(when):
    dut = Stretches(CONFIG)
    memory = np.zeros(SIZE, np.uint8)
    ddr = AxiMemory(memory, base=BASE, stall=0.5, latency=9, seed=when)
    moved: list[int] = []

    async def bench(ctx):
        ctx.set(dut.stretch.valid, 1)
        ctx.set(dut.stretch.payload.beats, 100)
        ctx.set(dut.beats.valid, 1)
        ctx.set(dut.beats.payload, (1 << 128) - 1)
        await ctx.tick().repeat(when)
        ctx.set(dut.stretch.valid, 0)
        ctx.set(dut.writer.halt, 1)
        await ctx.tick().until(dut.writer.idle)
        bursts = len(ddr.bursts)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.writer.idle)
        assert len(ddr.bursts) == bursts

    run_benches(
        dut, bench, deadline_cycles=1500,
        background=[ddr.writes(dut.axi), recorder(dut.writer.beat_done, moved)],
    )  # fmt: skip
    assert sum(moved) == sum(beats for _, beats in ddr.bursts)
    written = np.count_nonzero(memory) // CONFIG.ddr_bytes
    assert memory[: written * CONFIG.ddr_bytes].all()
    assert written <= when
