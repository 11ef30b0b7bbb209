"""LiteX's UARTBone: bus transfers as bytes, without an answer to writes and without checksums.

A packet is a command, a number of words, the address in words (4 bytes), and the words to write;
a read answers with its words; all most significant byte first. A board that waits for the rest of
a packet for 100 ms forgets it.

# Ref: litex/soc/cores/uart.py, Stream2Wishbone (litex 2024.12).
"""

from __future__ import annotations

import numpy as np

from tf2.errors import LinkError
from tf2.runtime.link import WORD, ByteStream

WRITE, READ = 0x01, 0x02
"""Commands: bursts whose address counts up."""

MOST_WORDS = 255
PACKET_S = 0.1
"""The board's patience with one packet."""

ANSWER_S = 1.0
"""Time given to an answer beyond what its bytes take."""

BITS = 10
"""Of a byte on a serial line."""


class UartBone:
    """A `tf2.runtime.link.Link` by UARTBone packets.

    Args:
        stream: Carries the bytes.
        baud: Bits a second of the line, which bound the size of a packet.
        answer_s: Time given to an answer beyond what its bytes take.
    """

    def __init__(self, stream: ByteStream, *, baud: int, answer_s: float = ANSWER_S) -> None:
        self.name = stream.name
        self._stream = stream
        self._byte_s = BITS / baud
        self._answer_s = answer_s
        fits = int(PACKET_S / 4 / self._byte_s) // WORD
        self._burst = WORD * max(1, min(MOST_WORDS, fits))

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of the bus, see `Link`."""
        _check(address, size)
        parts = []
        for start in range(0, size, self._burst):
            wanted = min(self._burst, size - start)
            self._stream.write(_head(READ, address + start, wanted))
            answer = self._stream.read(wanted, self._answer_s + wanted * self._byte_s)
            if len(answer) < wanted:
                raise LinkError(
                    f"{self.name}: the board answered {len(answer)} of {wanted} bytes of address "
                    f"0x{address + start:08X}"
                )
            parts.append(_swapped(answer))
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of the bus, see `Link`."""
        _check(address, len(data))
        for start in range(0, len(data), self._burst):
            words = data[start : start + self._burst]
            self._stream.write(_head(WRITE, address + start, len(words)) + _swapped(words))

    def recover(self) -> None:
        """Wait until the board has forgotten half a packet."""
        self._stream.settle(1.5 * PACKET_S)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def _head(command: int, address: int, size: int) -> bytes:
    return bytes((command, size // WORD)) + (address // WORD).to_bytes(4, "big")


def _swapped(data: bytes) -> bytes:
    """Turn the bytes of each word: memory has the least significant first, the link the most."""
    return np.frombuffer(data, dtype="<u4").astype(">u4").tobytes()


def _check(address: int, size: int) -> None:
    assert address % WORD == 0, hex(address)
    assert size % WORD == 0, size
