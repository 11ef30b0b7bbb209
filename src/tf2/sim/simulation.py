"""A verilated overlay as an object: clock cycles, registers, counters, waveforms; by ctypes."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf2.errors import DeviceError
from tf2.sim.device import Counters


@dataclass(frozen=True, kw_only=True)
class DdrSettings:
    """The DDR behind a simulated overlay.

    Attributes:
        latency: Cycles from a read's request to its first beat, from a write's last beat to its
            response.
        beats_per_256: Beats moved in 256 cycles, reads and writes together: the bandwidth; 256 is
            what one direction of the port can move.
        stalls_per_256: Cycles of 256 in which each channel is held up at random.
        max_outstanding: Requests accepted and not yet served, a direction.
        seed: Of the random stalls.
        base: Physical address of the arena.
        error_address: Byte of the arena whose transfers are answered by an error.
        silent_from: Cycle of a run from which nothing is answered any more.
    """

    latency: int = 40
    beats_per_256: int = 256
    stalls_per_256: int = 0
    max_outstanding: int = 16
    seed: int = 0
    base: int = 1 << 32
    error_address: int | None = None
    silent_from: int | None = None


class _Settings(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_uint64), ("seed", ctypes.c_uint64), ("error_address", ctypes.c_int64),
        ("silent_from", ctypes.c_int64), ("latency", ctypes.c_uint32),
        ("beats_per_256", ctypes.c_uint32), ("stalls_per_256", ctypes.c_uint32),
        ("max_outstanding", ctypes.c_uint32),
    )  # fmt: skip


_COUNTS = 6
"""Numbers in the harness's Counters, in the order of `Counters`."""


class Simulation:
    """One overlay under simulation. Its arena must stay alive and in place while it runs.

    Args:
        library: Built by `tf2.sim.verilator.build`.
        ddr: The memory behind it.
    """

    def __init__(self, library: Path, ddr: DdrSettings) -> None:
        self._library = ctypes.CDLL(os.fspath(library))
        handle, words = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)
        address, count, text = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
        for name, result, arguments in (
            ("create", handle, [ctypes.POINTER(_Settings)]),
            ("destroy", None, [handle]),
            ("reset", None, [handle]),
            ("memory", None, [handle, ctypes.c_void_p, count]),
            ("begin", None, [handle]),
            ("run", ctypes.c_int, [handle, count]),
            ("write", ctypes.c_int, [handle, address, ctypes.c_uint32]),
            ("read", ctypes.c_int, [handle, address, ctypes.POINTER(ctypes.c_uint32)]),
            ("counters", None, [handle, words]),
            ("marks", count, [handle, words, count]),
            ("violation", text, [handle]),
            ("trace", ctypes.c_int, [handle, text, count, count]),
            ("trace_end", None, [handle]),
        ):
            function = self._function(name)
            function.restype, function.argtypes = result, arguments
        settings = _Settings(
            base=ddr.base, seed=ddr.seed, latency=ddr.latency, beats_per_256=ddr.beats_per_256,
            stalls_per_256=ddr.stalls_per_256, max_outstanding=ddr.max_outstanding,
            error_address=-1 if ddr.error_address is None else ddr.error_address,
            silent_from=-1 if ddr.silent_from is None else ddr.silent_from,
        )  # fmt: skip
        self._handle = self._function("create")(ctypes.byref(settings))
        self._arena: NDArray[np.uint8] | None = None

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._function("destroy")(handle)

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"tf2_{name}")

    def attach(self, arena: NDArray[np.uint8]) -> None:
        """Make this the memory behind the overlay."""
        self._arena = arena  # kept alive
        self._function("memory")(self._handle, arena.ctypes.data, arena.size)

    def reset(self) -> None:
        """Reset the overlay and its DDR."""
        self._function("reset")(self._handle)

    def begin(self) -> None:
        """Count from here."""
        self._function("begin")(self._handle)

    def run(self, cycles: int) -> bool:
        """Run until the interrupt, at most so many cycles; return whether it came."""
        return bool(self._function("run")(self._handle, cycles))

    def write(self, register: int, value: int) -> None:
        """Write a register.

        Raises:
            DeviceError: It does not answer, or refuses.
        """
        if not self._function("write")(self._handle, register, value):
            raise DeviceError(f"register 0x{register:02X} cannot be written")

    def read(self, register: int) -> int:
        """Return a register.

        Raises:
            DeviceError: It does not answer, or refuses.
        """
        value = ctypes.c_uint32()
        if not self._function("read")(self._handle, register, ctypes.byref(value)):
            raise DeviceError(f"register 0x{register:02X} cannot be read")
        return value.value

    def counters(self) -> Counters:
        """Return what was counted since `begin`, up to now."""
        found = (ctypes.c_uint64 * _COUNTS)()
        self._function("counters")(self._handle, found)
        return Counters(*found)

    def marks(self) -> tuple[Counters, ...]:
        """Return the counters at the end of each layer since `begin`."""
        none = (ctypes.c_uint64 * _COUNTS)()
        size = self._function("marks")(self._handle, none, 0)
        found = (ctypes.c_uint64 * (_COUNTS * size))()
        self._function("marks")(self._handle, found, size)
        rows = np.frombuffer(found, dtype=np.uint64).reshape(size, _COUNTS)
        return tuple(Counters(*(int(value) for value in row)) for row in rows)

    def violation(self) -> str:
        """Return the first rule of AXI that the overlay broke, or nothing."""
        return self._function("violation")(self._handle).decode()

    def trace(self, path: str | os.PathLike[str], first: int, last: int) -> None:
        """Write a waveform (VCD) of cycles first..last, counted from `begin`.

        Raises:
            DeviceError: The file cannot be written, or the build has no waveforms.
        """
        if not self._function("trace")(self._handle, os.fsencode(path), first, last):
            raise DeviceError(f"{path}: no waveform can be written there")

    def trace_end(self) -> None:
        """Finish the waveform's file."""
        self._function("trace_end")(self._handle)
