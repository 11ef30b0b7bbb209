"""How a host reaches a board: reads and writes of its bus, over whatever carries bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

WORD = 4
"""Bytes of a word of the bus; addresses and sizes are multiples of it."""


class Link(Protocol):
    """Reads and writes of a board's bus. Writes may be lost unseen: check what they wrote.

    Attributes:
        name: For messages: the port.
    """

    name: str

    def read(self, address: int, size: int) -> bytes:
        """Return so many bytes.

        Raises:
            LinkError: No answer, or half of one.
            DeviceError: The link is gone.
        """
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write bytes; none of them need have arrived when this returns.

        Raises:
            DeviceError: The link is gone.
        """
        ...

    def recover(self) -> None:
        """Leave both ends ready for the next transfer, whatever became of the last one."""
        ...

    def close(self) -> None:
        """Give the link back; it is of no use any more."""
        ...


class ByteStream(Protocol):
    """What carries bytes both ways: a serial port, or a simulation of one.

    Attributes:
        name: For messages.
    """

    name: str

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            DeviceError: It is gone.
        """
        ...

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return so many bytes, or fewer where no more come in that time.

        Raises:
            DeviceError: It is gone.
        """
        ...

    def settle(self, seconds: float) -> None:
        """Wait, and forget what came in until then."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


OpenLink = Callable[[], Link]
"""Opens a link, again where it was unplugged."""
