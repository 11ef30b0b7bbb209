"""The overlay as its RTL, cycle by cycle, over a DDR of settable latency, bandwidth and faults."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tf2
from tf2.arch import OverlayConfig
from tf2.arch import register_map as registers
from tf2.arch.register_map import Register
from tf2.errors import DeviceError, MissingExtraError
from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.isa.verify import verify
from tf2.sim.build_cache import cache_folder, write_whole
from tf2.sim.device import (
    Counters,
    RunReport,
    check_target,
    layer_records,
    stop_cause,
    stop_place,
)
from tf2.sim.simulation import DdrSettings, Simulation
from tf2.sim.verilator import Progress, build

_COUNTED = (Register.CYCLES, Register.BUSY, Register.STALL_FILTER, Register.WAITING,
            Register.DDR_READ, Register.DDR_WRITE)  # fmt: skip
"""In the order of `Counters`."""

CHUNK_CYCLES = 20_000
"""Cycles between two reports of progress."""

WATCHDOG_CYCLES = 1_000_000

DRAIN_CYCLES = 50_000
"""Cycles given to open transfers after an error."""


class RtlOverlay:
    """A device that simulates the overlay's Verilog; a `tf2.sim.device.Device`.

    The first use of a configuration builds its simulation (a minute or so), which is then kept.

    Args:
        config: Of the overlay.
        ddr: The memory behind it; by default as fast as the port.
        trace: Build with waveforms, for `trace`.
        watchdog: Cycles without progress after which the overlay gives up.
        deadline: Cycles after which the simulation gives up on a run.
        progress: Told how far a build or a run is.

    Raises:
        MissingExtraError: Amaranth or Verilator is not installed.
        DeviceError: There is no C++ compiler, or the build fails.
    """

    def __init__(
        self,
        config: OverlayConfig,
        *,
        ddr: DdrSettings | None = None,
        trace: bool = False,
        watchdog: int = WATCHDOG_CYCLES,
        deadline: int = 1 << 40,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self._ddr = ddr or DdrSettings()
        self._watchdog = watchdog
        self._deadline = deadline
        self._progress = progress or (lambda stage, share: None)
        self._verified: Program | None = None
        library = build(
            overlay_verilog(config, self._progress),
            defines=(f"DDR_BYTES={config.ddr_bytes}",),
            trace=trace,
            progress=self._progress,
        )
        self._simulation = Simulation(library, self._ddr)
        self._window: tuple[Path, int, int] | None = None
        found = self._simulation.read(Register.CONFIG_HASH)
        if found != config.hash:
            raise DeviceError(f"the overlay says it is {found:08x}, not {config.hash:08x}")

    def trace(self, path: str | PathLike[str], first: int, last: int) -> None:
        """Write a waveform (VCD) of cycles first..last of the next run; needs ``trace=True``."""
        self._window = (Path(path), first, last)

    def run(self, program: Program, arena: NDArray[np.uint8]) -> RunReport:
        """Run a program over an arena, see `tf2.sim.device.Device`."""
        check_target(program, arena, self.config)
        if self._verified is not program:
            verify(program)
            self._verified = program
        simulation = self._simulation
        simulation.attach(arena)
        self._write_registers(program)
        if self._window is not None:
            simulation.trace(*self._window)
        simulation.begin()
        simulation.write(Register.CONTROL, registers.CONTROL_START)
        try:
            self._wait(program)
        finally:
            if self._window is not None:
                simulation.trace_end()
                self._window = None
        return RunReport(total=self._total(), layers=layer_records(program, simulation.marks()))

    def _total(self) -> Counters:
        """Return what the overlay counted itself, as a board would."""
        return Counters(*map(self._simulation.read, _COUNTED))

    def _write_registers(self, program: Program) -> None:
        digest = hashlib.sha256(program.code + program.filters).digest()
        for register, value in (
            (Register.ARENA_BASE, self._ddr.base),
            (Register.ARENA_BYTES, program.arena_bytes),
            (Register.CODE_ADDRESS, program.code_address),
            (Register.FILTERS_ADDRESS, program.filters_address),
            (Register.FILTERS_BYTES, len(program.filters)),
        ):
            self._simulation.write(register, value & 0xFFFFFFFF)
            self._simulation.write(register + 4, value >> 32)
        self._simulation.write(Register.WATCHDOG, self._watchdog)
        self._simulation.write(Register.PROGRAM_HASH, int.from_bytes(digest[:4], "little"))
        self._simulation.write(Register.IRQ_ENABLE, 1)

    def _wait(self, program: Program) -> None:
        """Run until the interrupt.

        Raises:
            DeviceError: It reports an error, or never comes, or a rule of AXI was broken.
        """
        names = [i.name for i in program.instructions if isinstance(i, Layer)]
        simulation = self._simulation
        came, cycles = False, 0
        while not came and cycles < self._deadline:
            came = simulation.run(min(CHUNK_CYCLES, self._deadline - cycles))
            cycles = simulation.counters().cycles
            done = len(simulation.marks())
            stage = f"{names[min(done, len(names) - 1)]}, {cycles:,} cycles" if names else "run"
            self._progress(stage, done / max(len(names), 1))
        done = len(simulation.marks())
        if not came:
            simulation.reset()
            raise DeviceError(f"{stop_place(names, done)}: no end after {cycles:,} cycles")
        status = simulation.read(Register.STATUS)
        simulation.write(Register.IRQ_PENDING, 1)
        if simulation.violation():
            raise DeviceError(f"{stop_place(names, done)}: AXI: {simulation.violation()}")
        if status & registers.STATUS_ERROR:
            self._clear_error()
            code = status >> registers.STATUS_CODE_SHIFT & 0xFF
            raise DeviceError(
                f"{stop_place(names, done)}: the overlay stopped (error {code}): {stop_cause(code)}"
            )

    def _clear_error(self) -> None:
        """Leave the overlay ready for the next run: what was on the bus has come to its end."""
        simulation = self._simulation
        simulation.write(Register.CONTROL, registers.CONTROL_ABORT)
        for _ in range(DRAIN_CYCLES // 100):
            if not simulation.read(Register.STATUS) & registers.STATUS_BUSY:
                return
            simulation.run(100)
        simulation.reset()  # the memory is silent


_VERILOG: dict[int, str] = {}
"""By `OverlayConfig.hash`: in one process, sources that change have no effect."""


def overlay_verilog(config: OverlayConfig, progress: Progress) -> str:
    """Return the Verilog of an overlay, from the cache where nothing it comes from has changed.

    Raises:
        MissingExtraError: Amaranth is not installed.
    """
    if config.hash not in _VERILOG:
        _VERILOG[config.hash] = _kept_verilog(config, progress)
    return _VERILOG[config.hash]


def _kept_verilog(config: OverlayConfig, progress: Progress) -> str:
    if importlib.util.find_spec("amaranth") is None:
        raise MissingExtraError(extra="hardware", need="The simulation of the RTL")
    digest = hashlib.sha256(f"{config.hash} {importlib.metadata.version('amaranth')}".encode())
    for package in ("arch", "isa", "gateware"):
        for source in sorted((Path(tf2.__file__).parent / package).glob("*.py")):
            digest.update(source.read_bytes())
    kept = cache_folder() / f"{digest.hexdigest()[:32]}.v"
    if kept.exists():
        return kept.read_text()
    from tf2.gateware.verilog import generate

    progress("Amaranth", 0.0)
    text = generate(config)
    write_whole(kept, text)
    return text
