"""A board's bus with what a link alone does not give: registers, and transfers that are checked."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import TypeVar

from tf2.errors import DeviceError, LinkError
from tf2.runtime.link import Link
from tf2.soc.memory_map import MemoryMap

T = TypeVar("T")

TRIES = 4
"""Of one transfer, before the link is given up."""

CHUNK = 1 << 16
"""Bytes that one checksum covers, and that are sent again when it is wrong."""

POLLS = 2000
"""Questions to the checksum unit before it is given up."""


class Bus:
    """Registers and memory of a board, over a link that may lose bytes.

    Memory is checked by the board's own CRC-32 of what it holds, so that a byte lost on the way
    there or back is found; what failed is sent or read again.

    Args:
        link: To the board.
        design: What lies where.

    Attributes:
        retries: Transfers done again so far.
    """

    def __init__(self, link: Link, design: MemoryMap) -> None:
        self._link = link
        self._design = design
        self.retries = 0

    @property
    def name(self) -> str:
        """Of the link, for messages."""
        return self._link.name

    def register(self, name: str) -> int:
        """Return a register of the design, by its name."""
        return self.read_word(self._design.registers[name])

    def set_register(self, name: str, value: int) -> None:
        """Write a register of the design, whatever becomes of it."""
        self._link.write(self._design.registers[name], struct.pack("<I", value))

    def read_word(self, address: int) -> int:
        """Return one word of the bus.

        Raises:
            DeviceError: No answer, several times.
        """
        (value,) = struct.unpack("<I", self._again(lambda: self._link.read(address, 4)))
        return value

    def read_words(self, address: int, count: int) -> tuple[int, ...]:
        """Return words of the bus, as `read_word`."""
        data = self._again(lambda: self._link.read(address, 4 * count))
        return struct.unpack(f"<{count}I", data)

    def write_word(self, address: int, value: int) -> None:
        """Write one word of the bus, whatever becomes of it."""
        self._link.write(address, struct.pack("<I", value))

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of the bus as they come, as `read_word`."""
        return self._again(lambda: self._link.read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of the bus, whatever becomes of them."""
        self._link.write(address, data)

    def recover(self) -> None:
        """Leave both ends ready for the next transfer."""
        self._link.recover()

    def close(self) -> None:
        """Give the link back."""
        self._link.close()

    def set_word(self, address: int, value: int) -> None:
        """Write a word that can be read back, until it does.

        Raises:
            DeviceError: It does not.
        """
        for _ in range(TRIES):
            self.write_word(address, value)
            if self.read_word(address) == value:
                return
            self._recover()
        raise DeviceError(f"{self.name}: the word 0x{address:08X} does not keep what is written")

    def crc(self, offset: int, size: int) -> int:
        """Return the CRC-32 of memory, computed by the board.

        Args:
            offset: Of the first byte in memory, a multiple of 4.
            size: Bytes, a multiple of 4.
        """
        registers = self._design.registers
        self.set_register("checksum_enable", 0)
        self.set_word(registers["checksum_base"], self._design.memory + offset)
        self.set_word(registers["checksum_length"], size)
        self.set_word(registers["checksum_enable"], 1)
        for _ in range(POLLS):
            if self.register("checksum_done"):
                return self.register("checksum_value")
        raise DeviceError(f"{self.name}: the board's checksum unit does not come to an end")

    def holds(self, offset: int, data: bytes) -> bool:
        """Return whether memory holds these bytes."""
        return not data or self.crc(offset, len(data)) == zlib.crc32(data)

    def send(
        self, offset: int, data: bytes, progress: Callable[[float], None] | None = None
    ) -> None:
        """Write memory; when this returns, it is there.

        Raises:
            DeviceError: It is not, several times.
        """
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            self._again(lambda at=start, part=part: self._send_chunk(offset + at, part))
            if progress:
                progress((start + len(part)) / len(data))

    def receive(self, offset: int, size: int) -> bytes:
        """Return memory as the board has it.

        Raises:
            DeviceError: What comes differs from what the board has, several times.
        """
        parts = []
        for start in range(0, size, CHUNK):
            length = min(CHUNK, size - start)
            parts.append(
                self._again(lambda at=start, n=length: self._receive_chunk(offset + at, n))
            )
        return b"".join(parts)

    def _send_chunk(self, offset: int, data: bytes) -> None:
        self._link.write(self._design.memory + offset, data)
        if not self.holds(offset, data):
            raise LinkError(f"{self.name}: {len(data)} bytes arrived altered")

    def _receive_chunk(self, offset: int, size: int) -> bytes:
        data = self._link.read(self._design.memory + offset, size)
        if zlib.crc32(data) != self.crc(offset, size):
            raise LinkError(f"{self.name}: {size} bytes came back altered")
        return data

    def _again(self, transfer: Callable[[], T]) -> T:
        """Do a transfer, again when the link fails."""
        for left in reversed(range(TRIES)):
            try:
                return transfer()
            except LinkError as error:
                if not left:
                    raise DeviceError(f"{error}; gave up after {TRIES} tries") from error
                self._recover()
        raise AssertionError

    def _recover(self) -> None:
        self.retries += 1
        self._link.recover()
