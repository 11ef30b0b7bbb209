from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from bench import run_benches
from test_overlay import layer

from tf2.arch import OverlayConfig
from tf2.gateware.controller import QUEUED_TRANSFERS, Controller
from tf2.gateware.layer_queue import HELD_LAYERS
from tf2.isa import End, Layer, Load, Store, encode
from tf2.isa.encoding import layer_fields

ADDRESS = 0x280
CYCLES = 4000


def shape(ddr_bytes: int) -> OverlayConfig:
    return OverlayConfig(
        outputs=2, pixels=1, inputs=16, feature_rows=64, filter_words=16, post_pixels=1,
        pool_groups=4, ddr_bytes=ddr_bytes,
    )  # fmt: skip


def random_program(rng: np.random.Generator, count: int) -> list[Any]:
    """Return instructions that wait for what is before them."""
    done = {"layers": 0, "loads": 0, "stores": 0}

    def waits(*kinds: str) -> dict[str, int]:
        return {f"wait_{kind}": int(rng.integers(0, done[kind] + 1)) for kind in kinds}

    program: list[Any] = []
    for _ in range(count):
        kind = rng.choice(["layers", "loads", "stores"], p=[0.5, 0.25, 0.25])
        if kind == "layers":
            length, groups = int(rng.integers(1, 30)), int(rng.integers(1, 5))
            program.append(layer(length, groups, **waits("loads", "stores")))
        else:
            transfer, other = (Load, "stores") if kind == "loads" else (Store, "loads")
            program.append(transfer(
                name="", address=16 * int(rng.integers(1 << 30)), base_row=int(rng.integers(60)),
                rows=int(rng.integers(1, 4)), **waits("layers", other),
            ))  # fmt: skip
        done[kind] += 1
    return [*program, End()]


async def offered(ctx: Any, port: Any) -> int:
    """Wait for a payload; return it. (`until` leaves a warning when the run ends meanwhile.)"""
    while True:
        _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload.as_value())
        if valid:
            return payload


class Units:
    """Stand for memory and units: take what the Controller gives, finish it some time later."""

    def __init__(self, dut: Controller, config: OverlayConfig, program: list[Any]) -> None:
        self.dut = dut
        self.width = config.ddr_bytes
        codes = [encode(instruction, config) for instruction in program]
        self.memory = bytes(ADDRESS) + b"".join(codes) + bytes(range(1, 200)) * 40
        self.layer_bits = sum(field.bits for field in layer_fields(config))
        self.taken: dict[str, list[int]] = {k: [] for k in ("layers", "loads", "stores", "blocks")}
        self.done = dict.fromkeys(("layers", "loads", "stores"), 0)
        self.program = program
        self.idle_before_layer: list[int] = []

    def expected(self, config: OverlayConfig, kind: type) -> list[int]:
        return [
            int.from_bytes(encode(i, config), "little") for i in self.program if isinstance(i, kind)
        ]

    async def memory_bench(self, ctx: Any) -> None:
        random, waiting, dut = Random(2), [], self.dut
        while True:
            ctx.set(dut.ddr.request.ready, random.random() < 0.7)
            gives = bool(waiting) and random.random() < 0.8
            ctx.set(dut.ddr.beat_valid, gives)
            if gives:
                at = waiting.pop(0)
                ctx.set(dut.ddr.beat, int.from_bytes(self.memory[at : at + self.width], "little"))
            burst = dut.ddr.request.payload
            _, _, valid, ready, address, last = await ctx.tick().sample(
                dut.ddr.request.valid, dut.ddr.request.ready, burst.address, burst.beats_last
            )
            if valid and ready:
                waiting += [address + k * self.width for k in range(last + 1)]

    def unit_bench(self, kind: str, longest: int) -> Any:
        """Return a bench that runs one instruction at a time and sees that its waits are met."""
        port = getattr(self.dut, kind)
        strobe = getattr(self.dut, f"{kind[:-1]}_done")
        instructions = [
            i for i in self.program
            if isinstance(i, {"layers": Layer, "loads": Load, "stores": Store}[kind])
        ]  # fmt: skip

        async def bench(ctx: Any) -> None:
            random = Random(len(kind))
            while True:
                ctx.set(port.ready, 1)
                payload = await offered(ctx, port)
                ctx.set(port.ready, 0)
                instruction = instructions[len(self.taken[kind])]
                for other, count in self.done.items():
                    assert count >= getattr(instruction, f"wait_{other}", 0), "a wait is not met"
                self.taken[kind].append(payload)
                await ctx.tick().repeat(random.randint(1, longest))
                ctx.set(strobe, 1)
                await ctx.tick()
                self.done[kind] += 1
                ctx.set(strobe, 0)

        return bench

    async def blocks_bench(self, ctx: Any) -> None:
        port = self.dut.blocks
        ctx.set(port.ready, 1)
        while True:
            payload = await offered(ctx, port)
            self.taken["blocks"].append(payload)


@pytest.mark.parametrize("ddr_bytes", [4, 16, 128])
def test_a_program_runs_in_order_and_nothing_before_what_it_waits_for(rng, ddr_bytes):
    config = shape(ddr_bytes)
    dut = Controller(config)
    units = Units(dut, config, random_program(rng, 40))

    async def bench(ctx):
        await ctx.tick().until(dut.finished)
        assert not ctx.get(dut.bad_opcode)
        counts = {
            kind: sum(isinstance(i, t) for i in units.program)
            for kind, t in (("layers", Layer), ("loads", Load), ("stores", Store))
        }
        assert units.done == counts, "finished before everything was"

    async def settings(ctx):
        ctx.set(dut.code_address, ADDRESS)
        ctx.set(dut.arena_bytes, len(units.memory) // 128 * 128)

    run_benches(
        dut, settings, bench, deadline_cycles=CYCLES,
        background=[units.memory_bench, units.blocks_bench, units.unit_bench("layers", 20),
                    units.unit_bench("loads", 40), units.unit_bench("stores", 40)],
    )  # fmt: skip
    assert units.taken["layers"] == units.expected(config, Layer)
    assert units.taken["loads"] == units.expected(config, Load)
    assert units.taken["stores"] == units.expected(config, Store)
    assert units.taken["blocks"] == [
        i.kernel.length - 1 | i.out_groups - 1 << 20 for i in units.program if isinstance(i, Layer)
    ]


def test_it_decodes_as_far_ahead_as_it_says(rng):
    config = shape(16)
    dut = Controller(config)
    program = [layer(3, 1, wait_loads=1)] * 20
    units = Units(dut, config, [Load(name="", address=0, base_row=0, rows=1), *program, End()])

    async def bench(ctx):
        ctx.set(dut.code_address, ADDRESS)
        ctx.set(dut.arena_bytes, len(units.memory) // 16 * 16)
        await ctx.tick().repeat(600)  # the load is never done
        assert HELD_LAYERS <= len(units.taken["blocks"]) <= HELD_LAYERS + 1
        assert ctx.get(dut.loads.valid)
        assert not ctx.get(dut.layers.valid)
        assert not ctx.get(dut.finished)

    run_benches(dut, bench, deadline_cycles=CYCLES,
                background=[units.memory_bench, units.blocks_bench])  # fmt: skip


def test_the_next_layer_is_there_when_one_ends():
    config = shape(16)
    dut = Controller(config)
    units = Units(dut, config, [layer(3, 1)] * 6 + [End()])
    gaps: list[int] = []

    async def bench(ctx):
        ctx.set(dut.code_address, ADDRESS)
        ctx.set(dut.arena_bytes, len(units.memory) // 16 * 16)
        await ctx.tick().repeat(200)
        for _ in range(6):
            gap = 0
            while not ctx.get(dut.layers.valid):
                await ctx.tick()
                gap += 1
            gaps.append(gap)
            ctx.set(dut.layers.ready, 1)
            await ctx.tick()
            ctx.set(dut.layers.ready, 0)
            ctx.set(dut.layer_done, 1)
            await ctx.tick()
            ctx.set(dut.layer_done, 0)
            await ctx.tick().repeat(20)  # a layer that takes hardly any time
        await ctx.tick().until(dut.finished)

    run_benches(dut, bench, deadline_cycles=1500, background=[units.memory_bench,
                                                              units.blocks_bench])  # fmt: skip
    assert gaps == [0] * 6


@pytest.mark.parametrize("kind", [Load, Store])
def test_transfers_are_queued_and_no_more_than_said(kind):
    config = shape(16)
    dut = Controller(config)
    transfers = [kind(name="", address=0, base_row=k, rows=1) for k in range(8)]
    units = Units(dut, config, [*transfers, layer(1, 1), End()])

    async def bench(ctx):
        ctx.set(dut.code_address, ADDRESS)
        ctx.set(dut.arena_bytes, len(units.memory) // 16 * 16)
        port = dut.loads if kind is Load else dut.stores
        await ctx.tick().repeat(300)
        assert not ctx.get(dut.layers.valid), "decoded past a full queue"
        ctx.set(port.ready, 1)
        await ctx.tick().repeat(8 - QUEUED_TRANSFERS + 4)
        await ctx.tick().until(dut.layers.valid)

    run_benches(dut, bench, deadline_cycles=800,
                background=[units.memory_bench, units.blocks_bench])  # fmt: skip
