"""The overlay on a board by its registers: what it is, one run, what it counted, how to stop it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from tf2.arch import register_map as registers
from tf2.arch.register_map import Register
from tf2.errors import DeviceError
from tf2.isa.instructions import Layer
from tf2.isa.program import Program
from tf2.runtime.bus import Bus
from tf2.sim.device import Counters, stop_cause, stop_place
from tf2.soc.memory_map import MemoryMap

WATCHDOG_S = 1.0
"""Time without progress after which the overlay gives up by itself."""

RESET_S = 0.05
DRAIN_S = 0.1
POLL_S = 0.0005

STARTS = 4
"""Times a run is started, where the board does not get to hear of it."""

_COUNTED = ("cycles", "busy", "stall_filter", "waiting", "ddr_read_beats", "ddr_write_beats")
"""Fields of `Counters`, in the order of the registers from `Register.CYCLES` on."""


class OverlayControl:
    """Runs programs that lie in the board's memory, over a link that may lose what is written.

    Args:
        bus: Of the board.
        design: Where its registers lie, and which configuration it is of.
    """

    def __init__(self, bus: Bus, design: MemoryMap) -> None:
        self._bus = bus
        self._design = design

    def identify(self) -> None:
        """Check that the bitstream holds the overlay of the design.

        Raises:
            DeviceError: It is of another version or configuration.
        """
        config = self._design.config
        found = self._read(Register.ID)
        if found != registers.ID:
            raise DeviceError(
                f"{self._bus.name}: the overlay's registers are of version 0x{found:08X}, this tf2 "
                f"drives 0x{registers.ID:08X}; build the bitstream with this version"
            )
        found = self._read(Register.CONFIG_HASH)
        if found != config.hash:
            raise DeviceError(
                f"{self._bus.name}: the bitstream holds the overlay {found:08x}, the design is of "
                f"{config.name!r} ({config.hash:08x}); load the bitstream that was built with it, "
                "or give the soc.json of the one that is loaded"
            )

    def start(self, program: Program, base: int) -> None:
        """Begin a run, with what says that one has ended cleared before.

        Args:
            program: To be run.
            base: Where its arena lies in memory.

        Raises:
            DeviceError: The overlay is not ready, or does not keep its registers.
        """
        self._write_registers(program, base)
        if not self._idle() and not self.stop():
            raise DeviceError(
                f"{self._bus.name}: the overlay was still busy and did not stop; the board was "
                "reset, run again"
            )
        self._write(Register.IRQ_PENDING, 1)
        if self._read(Register.IRQ_PENDING):
            self._bus.recover()
            self._write(Register.IRQ_PENDING, 1)
        if self._read(Register.IRQ_PENDING):
            raise DeviceError(f"{self._bus.name}: the overlay still reports the run before")
        self._write(Register.CONTROL, registers.CONTROL_START)

    def wait(
        self, program: Program, *, timeout_s: float, progress: Callable[[str, float], None]
    ) -> None:
        """Wait until the run has ended; a start that was not heard is repeated.

        Raises:
            DeviceError: It ended by an error, or does not end; the overlay is stopped then.
        """
        names = [i.name for i in program.instructions if isinstance(i, Layer)]
        start, lost = time.monotonic(), 0
        while not self._read(Register.IRQ_PENDING):
            if self._idle() and not self._read(Register.IRQ_PENDING):
                lost += 1
                if lost == STARTS:
                    raise DeviceError(f"{self._bus.name}: the overlay does not start")
                self._bus.recover()
                self._write(Register.CONTROL, registers.CONTROL_START)
            spent = time.monotonic() - start
            done = self._read(Register.INSTRUCTION)
            if spent > timeout_s:
                self.stop()
                raise DeviceError(
                    f"{stop_place(names, done)}: no end after {spent:.1f} s; the board was "
                    "stopped. Give more time (timeout_s), or look at it with the engine 'rtl'"
                )
            progress("run", done / max(1, len(names)))
            time.sleep(POLL_S)
        status = self._read(Register.STATUS)
        if status & registers.STATUS_ERROR:
            done = self._read(Register.INSTRUCTION)
            self.stop()
            code = status >> registers.STATUS_CODE_SHIFT & 0xFF
            raise DeviceError(
                f"{stop_place(names, done)}: the overlay stopped (error {code}): {stop_cause(code)}"
            )

    def counters(self) -> Counters:
        """Return what the overlay counted in the last run."""
        counts = self._bus.read_words(self._design.overlay + Register.CYCLES, len(_COUNTED))
        return Counters(**dict(zip(_COUNTED, counts, strict=True)))

    def stop(self) -> bool:
        """Leave the overlay ready for the next run, if need be by a reset of the whole design.

        Returns:
            Whether it stopped by itself; after a reset the memory must be woken again.
        """
        end = time.monotonic() + DRAIN_S
        while True:
            self._write(Register.CONTROL, registers.CONTROL_ABORT)
            if self._idle():
                return True
            if time.monotonic() > end:
                break
        self._bus.set_register("ctrl_reset", 1)
        time.sleep(RESET_S)
        return False

    def _write_registers(self, program: Program, base: int) -> None:
        digest = hashlib.sha256(program.code + program.filters).digest()
        overlay = self._design.overlay
        for register, value in (
            (Register.ARENA_BASE, base),
            (Register.ARENA_BYTES, program.arena_bytes),
            (Register.CODE_ADDRESS, program.code_address),
            (Register.FILTERS_ADDRESS, program.filters_address),
            (Register.FILTERS_BYTES, len(program.filters)),
        ):
            self._bus.set_word(overlay + register, value & 0xFFFFFFFF)
            self._bus.set_word(overlay + register + 4, value >> 32)
        watchdog = int(WATCHDOG_S * self._design.clock_hz)
        self._bus.set_word(overlay + Register.WATCHDOG, watchdog)
        self._bus.set_word(overlay + Register.PROGRAM_HASH, int.from_bytes(digest[:4], "little"))
        self._bus.set_word(overlay + Register.IRQ_ENABLE, 1)

    def _idle(self) -> bool:
        return not self._read(Register.STATUS) & (registers.STATUS_BUSY | registers.STATUS_ERROR)

    def _read(self, register: int) -> int:
        return self._bus.read_word(self._design.overlay + register)

    def _write(self, register: int, value: int) -> None:
        self._bus.write_word(self._design.overlay + register, value)
