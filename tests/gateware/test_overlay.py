from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from array_double import ArrayDouble
from axi_memory import AxiMemory
from bench import run_benches

from tf2.arch import OverlayConfig
from tf2.arch.register_map import (
    CONTROL_ABORT,
    CONTROL_START,
    STATUS_BUSY,
    STATUS_CODE_SHIFT,
    STATUS_DONE,
    STATUS_ERROR,
    ErrorCode,
    Register,
)
from tf2.gateware.overlay import Overlay
from tf2.isa import End, InputMap, Kernel, Layer, Load, OutputMap, Store, encode
from tf2.isa.filters import block_bytes

CONFIG = OverlayConfig(
    outputs=2, pixels=1, inputs=16, feature_rows=64, filter_words=16, post_pixels=1,
    pool_groups=4, ddr_bytes=8,
)  # fmt: skip
BASE = 7 << 32
CODE, FILTERS, INPUT, OUTPUT, SIZE = 0x0, 0x3000, 0x5000, 0x6000, 0x8000
ROWS = 20
ROW = CONFIG.row_beats * CONFIG.ddr_bytes


def layer(length: int, out_groups: int, **waits: int) -> Layer:
    """Return a layer whose only meaning to the double is its filters."""
    return Layer(
        name="layer", input=InputMap(base_row=0, plane_rows=1, height=1, width=3, pitch=3,
                                     zero_point=0),
        kernel=Kernel(words=length), height=1, width=3, raster_height=1, raster_width=3,
        lanes=1, out_groups=out_groups, output=OutputMap(base_row=40, plane_rows=1, step_y=3),
        **waits,
    )  # fmt: skip


LAYERS = [(3, 2), (1, 1), (20, 3), (1, 1), (2, 9)]  # more words than the ring, blocks than slots
PROGRAM = [
    Load(name="in", address=INPUT, base_row=2, rows=ROWS - 5),
    Load(name="in 2", address=INPUT + (ROWS - 5) * ROW, base_row=2 + ROWS - 5, rows=5),
    *[layer(*shape, wait_loads=2) for shape in LAYERS],
    Store(name="out", address=OUTPUT, base_row=2, rows=3, wait_layers=2, wait_loads=2),
    Store(name="out 2", address=OUTPUT + 3 * ROW, base_row=5, rows=ROWS - 3, wait_layers=5),
    End(),
]
WORDS = sum(length * groups for length, groups in LAYERS)


@dataclass
class Host:
    """Speaks AXI4-Lite with an overlay, from within a bench."""

    ctx: Any
    bus: Any

    async def write(self, address: int, value: int) -> None:
        for part in range(2 if Register.ARENA_BASE <= address <= Register.FILTERS_BYTES else 1):
            await self._write(address + 4 * part, value >> 32 * part & 0xFFFFFFFF)

    async def _write(self, address: int, value: int) -> None:
        ctx, bus = self.ctx, self.bus
        for member, driven in ((bus.awaddr, address), (bus.wdata, value), (bus.wstrb, 15),
                               (bus.awvalid, 1), (bus.wvalid, 1), (bus.bready, 1)):  # fmt: skip
            ctx.set(member, driven)
        await ctx.tick().until(bus.awready)
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        response = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
        assert response == (0,)

    async def read(self, address: int) -> int:
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.araddr, address)
        ctx.set(bus.arvalid, 1)
        ctx.set(bus.rready, 1)
        await ctx.tick().until(bus.arready)
        ctx.set(bus.arvalid, 0)
        value, response = await ctx.tick().sample(bus.rdata, bus.rresp).until(bus.rvalid)
        assert response == 0
        return value

    async def begin(self, **settings: int) -> None:
        values = {
            "arena_base": BASE, "arena_bytes": SIZE, "code_address": CODE, "watchdog": 300,
            "filters_address": FILTERS, "filters_bytes": sum(
                groups * block_bytes(length, CONFIG) for length, groups in LAYERS),
            "irq_enable": 1,
        }  # fmt: skip
        for name, value in (values | settings).items():
            await self.write(Register[name.upper()], value)
        await self.write(Register.CONTROL, CONTROL_START)

    async def finish(self, irq: Any) -> int:
        """Wait for the interrupt, clear it, return the status."""
        await self.ctx.tick().until(irq)
        status = await self.read(Register.STATUS)
        await self.write(Register.IRQ_PENDING, 1)
        assert not self.ctx.get(irq)
        return status


def arena_of(rng: np.random.Generator, program: list[Any]) -> np.ndarray:
    arena = rng.integers(0, 256, SIZE).astype(np.uint8)
    code = b"".join(encode(instruction, CONFIG) for instruction in program)
    assert len(code) <= FILTERS
    arena[CODE : CODE + len(code)] = np.frombuffer(code, np.uint8)
    return arena


def run(dut: Overlay, ddr: AxiMemory, bench: Any, deadline_cycles: int = 6000, **more: Any) -> None:
    run_benches(
        dut, bench, deadline_cycles=deadline_cycles,
        background=[ddr.reads(dut.m_axi), ddr.writes(dut.m_axi), *more.values()],
    )  # fmt: skip


def filters_watch(dut: Overlay, arena: np.ndarray, wrong: list[str]) -> Any:
    """Return a bench that compares every filter word and parameter block with the stream."""
    array, width = dut._array, CONFIG.filter_word_bytes

    async def bench(ctx: Any) -> None:
        blocks = [length for length, groups in LAYERS for _ in range(groups)]
        at, word, slot, written = FILTERS, 0, 0, 0
        head = CONFIG.parameter_words * width
        write, parameters = array.filter_write, array.parameter_write
        samples = (write.en, write.address, write.word.as_value(), parameters.en, parameters.slot,
                   parameters.parameters.as_value())  # fmt: skip
        async for _, _, *values in ctx.tick().sample(*samples):
            w_en, address, weights, p_en, to_slot, block = values
            if p_en:
                if slot == len(blocks):  # the next run
                    at, slot, written = FILTERS, 0, 0
                data = arena[at : at + 8 * CONFIG.outputs].tobytes()
                if (to_slot, block) != (slot % 8, int.from_bytes(data, "little")):
                    wrong.append(f"parameters {slot}")
                at, slot, word = at + head, slot + 1, 0
            if w_en:
                data = arena[at : at + width].tobytes()
                if (address, weights) != (written % 16, int.from_bytes(data, "little")):
                    wrong.append(f"word {written}")
                at, word, written = at + width, word + 1, written + 1
                if word > blocks[slot - 1]:
                    wrong.append(f"block {slot} is too long")

    return bench


def expect_stored(arena: np.ndarray) -> None:
    width = CONFIG.row_bytes
    shape = (ROWS, CONFIG.row_beats * CONFIG.ddr_bytes)
    loaded = arena[INPUT : INPUT + ROWS * ROW].reshape(shape)[:, :width]
    stored = arena[OUTPUT : OUTPUT + ROWS * ROW].reshape(shape)
    np.testing.assert_array_equal(stored[:, :width], loaded)
    assert not stored[:, width:].any()


@pytest.mark.parametrize(("stall", "latency"), [(0.0, 1), (0.3, 25)])
def test_a_program_runs_and_is_counted(rng, stall, latency):
    dut = Overlay(CONFIG, array=ArrayDouble(CONFIG))
    arena = arena_of(rng, PROGRAM)
    ddr = AxiMemory(arena, base=BASE, stall=stall, latency=latency, seed=3)
    wrong: list[str] = []

    async def bench(ctx):
        host = Host(ctx, dut.s_axil)
        assert await host.read(Register.CONFIG_HASH) == CONFIG.hash
        for _ in range(2):  # a second run begins like the first
            arena[OUTPUT:] = 0
            await host.begin()
            assert await host.read(Register.STATUS) == STATUS_BUSY
            assert await host.finish(dut.irq) == STATUS_DONE
            expect_stored(arena)
            counts = [await host.read(r) for r in (Register.LAYERS, Register.LOADS,
                                                   Register.STORES)]  # fmt: skip
            assert counts == [len(LAYERS), 2, 2]
            assert ctx.get(dut.probe_layers_done) == len(LAYERS)
            assert await host.read(Register.BUSY) == WORDS
            assert await host.read(Register.DDR_WRITE) == ROWS * CONFIG.row_beats
            cycles = await host.read(Register.CYCLES)
            spent = [await host.read(r) for r in (Register.BUSY, Register.STALL_FILTER,
                                                  Register.WAITING)]  # fmt: skip
            assert sum(spent) == cycles

    run(dut, ddr, bench, watch=filters_watch(dut, arena, wrong))
    assert not wrong


FAST = ("opcode", "read", "write", "silent")
ERRORS = {
    "opcode": ErrorCode.BAD_OPCODE, "load address": ErrorCode.ADDRESS,
    "store address": ErrorCode.ADDRESS, "code": ErrorCode.ADDRESS, "no end": ErrorCode.ADDRESS,
    "filters": ErrorCode.ADDRESS, "read": ErrorCode.READ, "read filters": ErrorCode.READ,
    "write": ErrorCode.WRITE, "silent": ErrorCode.WATCHDOG, "wait": ErrorCode.WATCHDOG,
    "filters end": ErrorCode.WATCHDOG, "load rows": ErrorCode.ROW, "no rows": ErrorCode.ROW,
    "store rows": ErrorCode.ROW,
}  # fmt: skip


@pytest.mark.parametrize(("damage", "code"), [
    pytest.param(damage, code, marks=() if damage in FAST else pytest.mark.slow)
    for damage, code in ERRORS.items()
])  # fmt: skip
def test_an_error_stops_the_run_and_the_next_one_works(rng, damage, code):
    dut = Overlay(CONFIG, array=ArrayDouble(CONFIG))
    program: list[Any] = list(PROGRAM)
    good = arena_of(rng, program)
    settings, ddr = {}, AxiMemory(good.copy(), base=BASE, stall=0.2, latency=9, seed=5)
    match damage:
        case "load address":
            program[1] = replace(program[1], address=SIZE - 64)
        case "store address":
            program[-2] = replace(program[-2], address=SIZE - 64)
        case "load rows":
            program[1] = replace(program[1], base_row=60)
        case "no rows":
            program[0] = replace(program[0], rows=0)
        case "store rows":
            program[-2] = replace(program[-2], base_row=63)
        case "wait":
            program[-2] = replace(program[-2], wait_layers=6)
        case "code":
            settings["code_address"] = SIZE
        case "filters":
            settings["filters_address"] = SIZE
        case "filters end":
            settings["filters_bytes"] = 64
        case "read":
            ddr.bad_beats = {INPUT + ROW}
        case "read filters":
            ddr.bad_beats = {FILTERS + 256}
        case "write":
            ddr.bad_beats = {OUTPUT + 64}
        case "silent":
            ddr.silent = True
    bad = arena_of(np.random.default_rng(1), program)
    if damage == "opcode":
        bad[len(encode(program[0], CONFIG))] = 7
    if damage == "no end":  # the arena ends with the last store
        size = len(b"".join(encode(instruction, CONFIG) for instruction in program[:-1]))
        bad[SIZE - size :] = bad[CODE : CODE + size]
        settings["code_address"] = SIZE - size
    ddr.memory[:] = bad

    async def bench(ctx):
        host = Host(ctx, dut.s_axil)
        await host.begin(**settings)
        status = await host.finish(dut.irq)
        assert status & STATUS_ERROR
        assert not status & STATUS_DONE
        assert status >> STATUS_CODE_SHIFT == code
        if damage == "read filters":  # without clearing the error first
            await ctx.tick().repeat(100)
        else:
            await host.write(Register.CONTROL, CONTROL_ABORT)
            assert not await host.read(Register.STATUS) & STATUS_ERROR
        ddr.memory[:] = good
        ddr.bad_beats, ddr.silent = set(), False
        await host.begin()  # waits until the bus is drained
        assert await host.finish(dut.irq) == STATUS_DONE
        expect_stored(ddr.memory)

    run(dut, ddr, bench)


@pytest.mark.parametrize("when", [90, pytest.param(20, marks=pytest.mark.slow)])
def test_an_aborted_run_reports_nothing_and_the_next_one_works(rng, when):
    dut = Overlay(CONFIG, array=ArrayDouble(CONFIG))
    ddr = AxiMemory(arena_of(rng, PROGRAM), base=BASE, stall=0.4, latency=30)

    async def bench(ctx):
        host = Host(ctx, dut.s_axil)
        await host.begin()
        await ctx.tick().repeat(when)
        await host.write(Register.CONTROL, CONTROL_ABORT)
        while await host.read(Register.STATUS):
            pass
        assert not await host.read(Register.IRQ_PENDING)
        await host.begin()
        assert await host.finish(dut.irq) == STATUS_DONE
        expect_stored(ddr.memory)

    run(dut, ddr, bench)


def test_a_memory_that_never_answers_again_is_reported_at_every_start(rng):
    dut = Overlay(CONFIG, array=ArrayDouble(CONFIG))
    ddr = AxiMemory(arena_of(rng, PROGRAM), base=BASE)

    async def silence(ctx):
        await ctx.tick().until(dut.m_axi.arvalid)
        ddr.silent = True

    async def bench(ctx):
        host = Host(ctx, dut.s_axil)
        for _ in range(2):
            await host.begin()
            status = await host.finish(dut.irq)
            assert status & STATUS_ERROR
            assert status & STATUS_BUSY
            assert status >> STATUS_CODE_SHIFT == ErrorCode.WATCHDOG

    run(dut, ddr, bench, silence=silence)
