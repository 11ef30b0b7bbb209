"""Runs inside the simulator: the overlay between cocotbext-axi's memory and host.

Arguments come from `test_overlay_buses` as a JSON file named by TF2_COCOTB.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from tf2.arch.register_map import CONTROL_START, STATUS_DONE, Register

CASE = json.loads(Path(os.environ["TF2_COCOTB"]).read_text())


def pauses(seed: int, share: float):
    """Yield, without end, whether a channel is held up in the next cycle."""
    generator = random.Random(seed)
    return (generator.random() < share for _ in itertools.count())


class Bench:
    def __init__(self, dut, stall: float) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=CASE["size"])
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        if stall:
            channels = [
                self.ram.read_if.ar_channel, self.ram.read_if.r_channel,
                self.ram.write_if.aw_channel, self.ram.write_if.w_channel,
                self.ram.write_if.b_channel,
                self.host.read_if.ar_channel, self.host.read_if.r_channel,
                self.host.write_if.aw_channel, self.host.write_if.w_channel,
                self.host.write_if.b_channel,
            ]  # fmt: skip
            for seed, channel in enumerate(channels):
                channel.set_pause_generator(pauses(seed, stall))

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 3)

    async def write(self, name: str, value: int) -> None:
        data = value.to_bytes(8 if value >> 32 else 4, "little")
        await self.host.write(Register[name.upper()], data)

    async def read(self, register: Register) -> int:
        return int.from_bytes((await self.host.read(register, 4)).data, "little")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.7])
async def a_program_runs(dut, stall):
    bench = Bench(dut, stall)
    arena = bytes.fromhex(CASE["arena"])
    base = CASE["settings"]["arena_base"]
    for _ in range(2):
        bench.ram.write(base, arena)
        await bench.reset()
        for name, value in CASE["settings"].items():
            await bench.write(name, value)
            assert await bench.read(Register[name.upper()]) == value & 0xFFFFFFFF
        await bench.write("control", CONTROL_START)
        await with_timeout(RisingEdge(dut.irq), 20_000 * 10, "ns")
        assert await bench.read(Register.STATUS) == STATUS_DONE
        assert await bench.read(Register.LAYERS) == CASE["layers"]
        for source, target, size in CASE["copies"]:
            assert bench.ram.read(base + target, size) == arena[source : source + size]
        assert np.frombuffer(bench.ram.read(base, 16), np.uint8).any()


@cocotb.test()
async def an_unknown_register_answers_with_an_error(dut):
    bench = Bench(dut, 0.0)
    await bench.reset()
    assert (await bench.host.read(0x1C, 4)).resp == 2
    assert (await bench.host.write(Register.CYCLES, bytes(4))).resp == 2
    await bench.host.write(Register.PROGRAM_HASH, b"\x11\x22\x33\x44")
    await bench.host.write(Register.PROGRAM_HASH + 2, b"\x55")  # a single byte
    assert await bench.read(Register.PROGRAM_HASH) == 0x44552211
    await bench.host.write(Register.ARENA_BASE, b"\xff\xff\xff\xff\xff\xff\xff\xff")
    assert await bench.read(Register.ARENA_BASE) == 0xFFFFF000
    assert await bench.read(Register.ARENA_BASE + 4) == 0xFF
