"""A board simulated whole: its design under Verilator, DRAM and all, behind the host's own link.

The design is the one that a bitstream is made from, with LiteDRAM's model in the place of PHY and
DRAM, and bytes in the place of the serial line's bits; see `tf2.soc.simulated`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tf2.arch import OverlayConfig
from tf2.runtime.uart_bone import UartBone
from tf2.sim.verilator import build
from tf2.soc import simulated

HARNESS = Path(__file__).with_name("simulated_board.cpp")

SETTLE_CYCLES = 20_000
"""In which what is under way comes to its end: no byte is ever lost here."""

Progress = Callable[[str, float], None]


class SimulatedStream:
    """A `tf2.runtime.link.ByteStream` to a simulated board, whose clock runs while the host waits.

    Args:
        board: A board's name, of `tf2.soc.SOC_BOARDS`.
        config: Of the overlay in it.
        progress: Told how far the build is, which is then kept.

    Attributes:
        design: What the host must know of it.

    Raises:
        MissingExtraError: LiteX, Amaranth or Verilator is not installed.
        ConfigError: There is no such board.
        DeviceError: There is no C++ compiler, or the build fails.
    """

    def __init__(
        self, board: str, config: OverlayConfig, *, progress: Progress | None = None
    ) -> None:
        self.name = f"simulated {board}"
        verilog, self.design = simulated(board, config, progress=progress)
        path = build(verilog, top="board", optimize=1, harness=HARNESS, progress=progress)
        self._library = ctypes.CDLL(os.fspath(path))
        handle, count = ctypes.c_void_p, ctypes.c_uint64
        for name, result, arguments in (
            ("create", handle, []),
            ("destroy", None, [handle]),
            ("send", None, [handle, ctypes.c_char_p, count]),
            ("run", None, [handle, count, count]),
            ("receive", count, [handle, ctypes.c_char_p, count]),
            ("cycles", count, [handle]),
        ):
            function = self._function(name)
            function.restype, function.argtypes = result, arguments
        self._handle = self._function("create")()

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._function("destroy")(handle)

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"tf2_{name}")

    @property
    def cycles(self) -> int:
        """Clock cycles since the board was switched on."""
        return self._function("cycles")(self._handle)

    def write(self, data: bytes) -> None:
        """Have bytes sent; they are when the clock runs next."""
        self._function("send")(self._handle, data, len(data))

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return so many bytes, or fewer where no more come in that time of the board's clock."""
        cycles = int(timeout_s * self.design.clock_hz)
        self._function("run")(self._handle, cycles, size)
        found = ctypes.create_string_buffer(size)
        came = self._function("receive")(self._handle, found, size)
        return found.raw[:came]

    def settle(self, seconds: float) -> None:
        """Let what is under way come to its end; far less than the time given."""
        del seconds
        self._function("run")(self._handle, SETTLE_CYCLES, 1 << 62)
        room = ctypes.create_string_buffer(1 << 16)
        while self._function("receive")(self._handle, room, len(room)):
            pass

    def close(self) -> None:
        """Do nothing: the board stays on."""


def simulated_link(stream: SimulatedStream) -> UartBone:
    """Return the host's link over a simulated board's bytes."""
    return UartBone(stream, baud=stream.design.baud)
