from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from axi_memory import AxiMemory
from bench import run_benches
from streams import receiver, recorder, sender

from tf2.arch import OverlayConfig, named_config
from tf2.gateware.axi import AxiRead
from tf2.gateware.burst_generator import STRETCH
from tf2.gateware.ddr_reader import DdrReader
from tf2.gateware.stretch_reader import StretchReader

CONFIG = named_config("test-small")
CLIENTS = 3
SIZE = 1 << 16
BASE = 5 << 32


class Readers(wiring.Component):
    """A DdrReader and a StretchReader at each of its clients."""

    def __init__(self, config: OverlayConfig, *, depth: int = 128) -> None:
        self.reader = DdrReader(config, clients=CLIENTS)
        self.stretches = [StretchReader(config, depth=depth) for _ in range(CLIENTS)]
        super().__init__({
            "stretch": In(stream.Signature(STRETCH)).array(CLIENTS),
            "beats": Out(stream.Signature(8 * config.ddr_bytes)).array(CLIENTS),
            "axi": Out(AxiRead(config)),
        })  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reader = self.reader
        connect(m, self.reader.axi, flipped(self.axi))
        for k, unit in enumerate(self.stretches):
            m.submodules[f"stretch_{k}"] = unit
            connect(m, flipped(self.stretch[k]), unit.stretch)
            connect(m, unit.beats, flipped(self.beats[k]))
            connect(m, unit.ddr, self.reader.clients[k])
        m.d.comb += [self.reader.base.eq(BASE), self.reader.size.eq(SIZE)]
        return m


def packed(address: int, beats: int) -> int:
    return address | beats << 40


def beats_of(memory: np.ndarray, address: int, beats: int, width: int) -> list[int]:
    data = memory[address : address + beats * width].tobytes()
    return [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]


@pytest.mark.parametrize(
    ("ddr_bytes", "stall", "latency"), [(16, 0.0, 1), (16, 0.4, 7), (4, 0.3, 30), (128, 0.2, 3)]
)
def test_every_client_gets_its_beats_in_order(rng, ddr_bytes, stall, latency):
    config = OverlayConfig(**{**CONFIG.__dict__, "ddr_bytes": ddr_bytes})
    dut = Readers(config, depth=32)
    memory = rng.integers(0, 256, SIZE).astype(np.uint8)
    ddr = AxiMemory(memory, base=BASE, latency=latency, stall=stall, seed=int(rng.integers(99)))
    benches, wanted, taken = [], [], []
    for k in range(CLIENTS):
        stretches = [
            (int(rng.integers(0, (SIZE - beats * ddr_bytes) // ddr_bytes + 1)) * ddr_bytes, beats)
            for beats in map(int, rng.integers(0, 60, 6))
        ]
        wanted.append([b for a, n in stretches for b in beats_of(memory, a, n, ddr_bytes)])
        taken.append([])
        benches += [
            sender(dut.stretch[k], [packed(*s) for s in stretches], stall=stall, seed=k),
            receiver(dut.beats[k], len(wanted[k]), taken[k], stall=stall, seed=k + 10),
        ]
    run_benches(dut, *benches, deadline_cycles=8000, background=[ddr.reads(dut.axi)])
    assert taken == wanted
    assert max(beats for _, beats in ddr.bursts) <= 16


def test_an_ideal_memory_is_read_without_a_lost_cycle(rng):
    dut = Readers(CONFIG)
    memory = rng.integers(0, 256, SIZE).astype(np.uint8)
    ddr = AxiMemory(memory, base=BASE, latency=90)
    count = 1000
    came: list[int] = []

    run_benches(
        dut,
        sender(dut.stretch[0], [packed(0, count // 2)]),
        sender(dut.stretch[2], [packed(8192, count // 2)]),
        receiver(dut.beats[0], count // 2, []),
        receiver(dut.beats[2], count // 2, []),
        deadline_cycles=1300,
        background=[ddr.reads(dut.axi), recorder(dut.axi.rvalid, came)],
    )
    arrivals = [cycle for cycle, beat in enumerate(came) if beat]
    assert len(arrivals) >= count - 1  # the last one ends the run
    assert arrivals[-1] - arrivals[0] == len(arrivals) - 1


def test_a_request_is_on_the_bus_after_the_declared_latency():
    dut = DdrReader(CONFIG, clients=1)

    async def bench(ctx):
        ctx.set(dut.size, SIZE)
        ctx.set(dut.clients[0].request.valid, 1)
        assert ctx.get(dut.clients[0].request.ready)
        for _ in range(DdrReader.LATENCY):
            assert not ctx.get(dut.axi.arvalid)
            await ctx.tick()
            ctx.set(dut.clients[0].request.valid, 0)
        assert ctx.get(dut.axi.arvalid)

    run_benches(dut, bench, deadline_cycles=10)


def test_the_first_client_goes_first(rng):
    dut = Readers(CONFIG)
    memory = rng.integers(0, 256, SIZE).astype(np.uint8)
    ddr = AxiMemory(memory, base=BASE, latency=4)
    taken: dict[int, list[int]] = {0: [], 2: []}
    width = CONFIG.ddr_bytes

    async def late(ctx):
        await ctx.tick().repeat(30)  # client 2 has the bus to itself until now
        await sender(dut.stretch[0], [packed(0, 32)])(ctx)

    run_benches(
        dut, late,
        sender(dut.stretch[2], [packed(16 * 16 * 16, 400)]),
        receiver(dut.beats[0], 32, taken[0]),
        receiver(dut.beats[2], 400, taken[2]),
        deadline_cycles=600, background=[ddr.reads(dut.axi)],
    )  # fmt: skip
    order = [address - BASE < 32 * width for address, _ in ddr.bursts]
    first = order.index(True)
    assert order[first : first + 2] == [True, True]
    assert len(order) - first > 5, "client 2 was finished before"


@pytest.mark.parametrize(("address", "beats", "wrong"), [
    (SIZE - 16, 1, False), (SIZE - 16, 2, True), (SIZE, 1, True), ((1 << 40) - 16, 1, True),
])  # fmt: skip
def test_an_address_outside_of_the_arena_never_reaches_the_bus(rng, address, beats, wrong):
    dut = Readers(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE)
    errors: list[int] = []

    async def bench(ctx):
        await sender(dut.stretch[1], [packed(address, beats)])(ctx)
        await ctx.tick().repeat(20)

    run_benches(
        dut, bench, deadline_cycles=60,
        background=[ddr.reads(dut.axi), recorder(dut.reader.address_error, errors)],
    )  # fmt: skip
    assert sum(errors) == wrong
    assert all(BASE <= a <= BASE + SIZE - 16 for a, _ in ddr.bursts)


def test_an_error_of_the_memory_is_reported_once_for_each_beat(rng):
    dut = Readers(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE, bad_beats={64, 96}, stall=0.3)
    errors: list[int] = []

    run_benches(
        dut, sender(dut.stretch[1], [packed(0, 20)]), receiver(dut.beats[1], 20, []),
        deadline_cycles=300,
        background=[ddr.reads(dut.axi), recorder(dut.reader.read_error, errors)],
    )  # fmt: skip
    assert sum(errors) == 2


@pytest.mark.parametrize("when", range(1, 40, 3))
def test_halted_it_ends_what_is_on_the_bus_and_nothing_reaches_the_clients(rng, when):
    dut = Readers(CONFIG)
    ddr = AxiMemory(np.zeros(SIZE, np.uint8), base=BASE, stall=0.5, latency=9, seed=when)
    seen: list[tuple[int, int]] = []

    async def watch(ctx):
        valid = dut.reader.clients[0].beat_valid
        async for _, _, halt, beat in ctx.tick().sample(dut.reader.halt, valid):
            seen.append((halt, beat))

    async def bench(ctx):
        ctx.set(dut.stretch[0].valid, 1)
        ctx.set(dut.stretch[0].payload.beats, 100)
        ctx.set(dut.beats[0].ready, 1)
        await ctx.tick().repeat(when)
        ctx.set(dut.reader.halt, 1)
        ctx.set(dut.stretch[0].valid, 0)
        await ctx.tick().until(dut.reader.idle)
        before = len(ddr.bursts)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.reader.idle)
        assert not ctx.get(dut.axi.arvalid)
        assert len(ddr.bursts) == before

    run_benches(dut, bench, deadline_cycles=800, background=[ddr.reads(dut.axi), watch])
    assert not any(halt and beat for halt, beat in seen)
