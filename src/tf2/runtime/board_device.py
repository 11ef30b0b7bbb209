"""An overlay on a board as a device that runs programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from tf2.errors import DeviceError
from tf2.isa.program import OutputPort, Program
from tf2.isa.verify import verify
from tf2.runtime.bus import TRIES, Bus
from tf2.runtime.link import WORD, OpenLink
from tf2.runtime.overlay_control import OverlayControl
from tf2.runtime.resident_programs import Resident, ResidentPrograms
from tf2.runtime.wake_memory import wake_memory
from tf2.sim.device import RunReport, check_target
from tf2.soc.memory_map import MemoryMap

Progress = Callable[[str, float], None]

AWAKE = 0x54463241
"""Left in the design's scratch register once its memory works."""

SCRATCH = 0x12345678
"""What LiteX has in it after a reset."""

TIMEOUT_S = 60.0


class BoardDevice:
    """An overlay on a board; a `tf2.sim.device.Device`.

    Programs stay in the board's memory: one that is there already, even from another process, is
    found by its checksum and not sent again. Inputs and outputs are checked by the board's own
    CRC-32. After the board was unplugged, the next run connects to it again.

    Args:
        design: What the bitstream is: the ``soc.json`` that was built with it.
        open_link: Opens the link to it.
        timeout_s: Time after which a run is given up.
        progress: Told what is being done.

    Raises:
        DeviceError: There is no board, it is busy, it is not this design, its overlay is of
            another configuration, or its memory does not work.
    """

    def __init__(
        self,
        design: MemoryMap,
        open_link: OpenLink,
        *,
        timeout_s: float = TIMEOUT_S,
        progress: Progress | None = None,
    ) -> None:
        self.config = design.config
        self._design = design
        self._open_link = open_link
        self._timeout_s = timeout_s
        self._progress = progress or (lambda stage, share: None)
        self._verified: Program | None = None
        self._connection: tuple[Bus, ResidentPrograms] | None = None
        self._connected()

    def run(self, program: Program, arena: NDArray[np.uint8]) -> RunReport:
        """Run a program over an arena, see `tf2.sim.device.Device`.

        Only inputs go to the board and only outputs come back; what else is in the arena stays.
        """
        check_target(program, arena, self.config)
        if self._verified is not program:
            verify(program)
            self._verified = program
        bus, programs = self._connected()
        try:
            return self._run(bus, programs, program, arena)
        except DeviceError:
            programs.doubt()
            if not self._answers(bus):
                self.close()  # the next run opens it again
            raise
        except BaseException:  # Ctrl-C amid a transfer
            self.close()
            raise

    def close(self) -> None:
        """Give the link back; the next run opens it again."""
        if self._connection is not None:
            bus, _ = self._connection
            self._connection = None
            bus.close()

    def _run(
        self, bus: Bus, programs: ResidentPrograms, program: Program, arena: NDArray[np.uint8]
    ) -> RunReport:
        place = programs.place(program)
        for _ in range(TRIES):
            before = bus.retries
            self._load(bus, place, program, arena)
            for start, end in _inputs(program):
                self._send(bus, "inputs", place, arena, start, end)
            if bus.retries == before:
                break
            programs.doubt()  # half a packet may have been taken for another one
        overlay = OverlayControl(bus, self._design)
        overlay.start(program, place.base)
        overlay.wait(program, timeout_s=self._timeout_s, progress=self._progress)
        counted = overlay.counters()
        for port in program.outputs:
            size = _whole(_output_bytes(port, program))
            data = bus.receive(place.base + port.address, size)
            arena[port.address : port.address + size] = np.frombuffer(data, dtype=np.uint8)
        return RunReport(total=counted)

    def _connected(self) -> tuple[Bus, ResidentPrograms]:
        """Return the board, after connecting to it where that is still to be done."""
        if self._connection is None:
            bus = Bus(self._open_link(), self._design)
            try:
                self._identify(bus)
                self._wake(bus)
            except BaseException:
                bus.close()
                raise
            self._connection = bus, ResidentPrograms(self._design.memory_bytes)
        return self._connection

    def _identify(self, bus: Bus) -> None:
        """Check that the board is what it should be.

        Raises:
            DeviceError: It is not; says what it is.
        """
        design = self._design
        bus.recover()
        try:
            scratch = bus.register("ctrl_scratch")
        except DeviceError as error:
            raise DeviceError(
                f"{bus.name}: no board answers ({error}). Is it powered, and was its bitstream "
                f"loaded (tf2 flash FILE.bit --board {design.board})?"
            ) from error
        if scratch not in (SCRATCH, AWAKE):
            raise DeviceError(
                f"{bus.name}: what answers is no design of tf2 (its scratch register holds "
                f"0x{scratch:08X}); load the bitstream: tf2 flash FILE.bit --board {design.board}"
            )
        OverlayControl(bus, design).identify()

    def _wake(self, bus: Bus) -> None:
        if bus.register("ctrl_scratch") == AWAKE:
            return
        self._progress("memory", 0.0)
        wake_memory(bus, self._design)
        bus.set_word(self._design.registers["ctrl_scratch"], AWAKE)

    def _load(self, bus: Bus, place: Resident, program: Program, arena: NDArray[np.uint8]) -> None:
        """Leave a program's instructions and filters in memory."""
        for what, start, size in (
            ("instructions", program.code_address, len(program.code)),
            ("filters", program.filters_address, len(program.filters)),
        ):
            end = start + _whole(size)
            if place.checked or bus.holds(place.base + start, arena[start:end].tobytes()):
                continue
            self._send(bus, what, place, arena, start, end)
        place.checked = True

    def _send(
        self, bus: Bus, what: str, place: Resident, arena: NDArray[np.uint8], start: int, end: int
    ) -> None:
        bus.send(
            place.base + start,
            arena[start:end].tobytes(),
            lambda share: self._progress(f"send {what}", share),
        )

    def _answers(self, bus: Bus) -> bool:
        """Return whether the board is still there."""
        if self._connection is None:
            return True
        try:
            return bus.register("ctrl_scratch") == AWAKE
        except DeviceError:
            return False


def _inputs(program: Program) -> Iterable[tuple[int, int]]:
    """Return first and end byte of what the host writes into the arena for each run."""
    config = program.config
    for port in program.inputs:
        size = port.layout.rows(config) * config.row_beats * config.ddr_bytes
        yield port.address, port.address + size


def _output_bytes(port: OutputPort, program: Program) -> int:
    config = program.config
    size = port.layout.rows(config) * config.row_beats * config.ddr_bytes
    return 4 * size if port.sums else size


def _whole(size: int) -> int:
    """Round up to words of the bus."""
    return -(-size // WORD) * WORD
