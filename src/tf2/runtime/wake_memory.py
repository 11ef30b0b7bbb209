"""Wake a board's DRAM from the host: its start sequence, then the delays of reading.

The steps are LiteDRAM's, exported with the design; the host plays the part of the CPU that a LiteX
design usually has for this. Reads are levelled by what counts: a pattern lies in memory, is read
with each delay, and each byte lane of the data bus gets the middle of its longest run of delays
that read it right.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tf2.errors import DeviceError
from tf2.runtime.bus import Bus
from tf2.soc.memory_map import Leveling, MemoryCommand, MemoryMap

SOFTWARE, HARDWARE = 0, 1
"""Who drives the DRAM's command lines: these steps, or the memory controller."""

MEMORY_CLOCKS = 2
"""Cycles of the memory's clock in one of the design's, at most."""

RESET_S = 0.001
PATTERN_BYTES = 256
READS = 3

Sleep = Callable[[float], None]


def wake_memory(bus: Bus, design: MemoryMap, *, sleep: Sleep = time.sleep) -> None:
    """Leave the DRAM working, or say that it does not. What it held is lost.

    Raises:
        DeviceError: It does not keep what is written, whatever the delays.
    """
    bus.set_register("sdram_dfii_control", SOFTWARE)
    sleep(RESET_S)
    for step in design.wake:
        _take(bus, step)
        sleep(step.delay_cycles / design.clock_hz)
    bus.set_register("sdram_dfii_control", HARDWARE)
    if design.leveling is not None:
        _level(bus, design, design.leveling)
    pattern = _pattern(seed=1)
    bus.send(0, pattern)
    if bus.receive(0, len(pattern)) != pattern:
        raise DeviceError(f"{bus.name}: the board's memory does not keep what is written to it")


def _take(bus: Bus, step: MemoryCommand) -> None:
    if step.control:
        bus.set_register("sdram_dfii_control", step.command)
        return
    bus.set_register("sdram_dfii_pi0_address", step.address)
    bus.set_register("sdram_dfii_pi0_baddress", step.bank)
    bus.set_register("sdram_dfii_pi0_command", step.command)
    bus.set_register("sdram_dfii_pi0_command_issue", 1)


def _level(bus: Bus, design: MemoryMap, search: Leveling) -> None:
    """Find and set the delays of each byte lane.

    Raises:
        DeviceError: A lane is never read right.
    """
    pattern = _pattern(seed=2)
    bus.write(design.memory, pattern)
    works = [
        [[True] * search.delays for _ in range(search.bitslips)] for _ in range(search.modules)
    ]
    every = range(search.modules)
    _adjust(bus, every, "rdly_dq_bitslip_rst")
    for bitslip in range(search.bitslips):
        _adjust(bus, every, "rdly_dq_rst")
        for delay in range(search.delays):
            for _ in range(READS):
                found = bus.read(design.memory, len(pattern))
                for lane in every:
                    right = found[lane :: search.modules] == pattern[lane :: search.modules]
                    works[lane][bitslip][delay] &= right
            _adjust(bus, every, "rdly_dq_inc")
        _adjust(bus, every, "rdly_dq_bitslip")
    for lane in every:
        bitslip, delay = _middle(works[lane], bus.name, lane)
        _adjust(bus, [lane], "rdly_dq_bitslip_rst")
        _adjust(bus, [lane], "rdly_dq_bitslip", bitslip)
        _adjust(bus, [lane], "rdly_dq_rst")
        _adjust(bus, [lane], "rdly_dq_inc", delay)


def _adjust(bus: Bus, lanes: range | list[int], what: str, times: int = 1) -> None:
    """Step the delays of byte lanes; all lanes are then brought into step, as the PHY asks.

    # Ref: litex/soc/software/liblitedram/accessors.c, sdram_select and sdram_deselect.
    """
    bus.set_register("ddrphy_dly_sel", sum(1 << lane for lane in lanes))
    for _ in range(times):
        bus.set_register(f"ddrphy_{what}", 1)
    for value in (0, 0xFF, 0):
        bus.set_register("ddrphy_dly_sel", value)


def _middle(works: list[list[bool]], name: str, lane: int) -> tuple[int, int]:
    """Return the bitslip with the longest run of delays that work, and the middle of that run."""
    best, bitslip, delay = 0, 0, 0
    for candidate, row in enumerate(works):
        run = 0
        for at, right in enumerate(row):
            run = run + 1 if right else 0
            if run > best:
                best, bitslip, delay = run, candidate, at - run // 2
    if not best:
        raise DeviceError(
            f"{name}: byte {lane} of the board's memory is read wrong with every delay: is this "
            "the board that the bitstream was built for?"
        )
    return bitslip, delay


def _pattern(*, seed: int) -> bytes:
    return random.Random(seed).randbytes(PATTERN_BYTES)
