"""Read protobuf's wire format with bounds, without a schema.

Nothing is copied or reserved from a declared length before that many bytes are known to be there.
Ref: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tf2.errors import ImportModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 1_000_000  # in one file: bounds the time and memory a file of tiny fields can take
_MAX_VARINT_BYTES = 10


@dataclass(slots=True)
class FieldBudget:
    """Count the fields read from one file, so that no file takes unbounded time."""

    left: int = MAX_FIELDS

    def spend(self) -> None:
        """Take one field off, or raise when none is left."""
        self.left -= 1
        if self.left < 0:
            raise ImportModelError(
                f"caffemodel has more than {MAX_FIELDS} fields; real ones have a few thousand. "
                "The file is damaged or not a caffemodel"
            )


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``value`` is an int for VARINT, else the bytes as a view into the file."""

    number: int
    wire_type: int
    value: int | memoryview

    def bytes(self) -> memoryview:
        """Return a length-delimited value, or raise when the field is of another wire type."""
        if self.wire_type != BYTES or isinstance(self.value, int):
            raise ImportModelError(
                f"caffemodel field {self.number} has wire type {self.wire_type}, not {BYTES} "
                "(a block or text); the file is damaged or not a caffemodel"
            )
        return self.value

    def text(self) -> str:
        """Return a string value; bytes that are not UTF-8 become U+FFFD, as in the prototxt."""
        return str(self.bytes(), "utf-8", "replace")

    def signed(self) -> int:
        """Return a varint as int64, or raise when the field is of another wire type."""
        if not isinstance(self.value, int):
            raise ImportModelError(
                f"caffemodel field {self.number} has wire type {self.wire_type}, not {VARINT} "
                "(an integer); the file is damaged or not a caffemodel"
            )
        return as_int64(self.value)


def as_int64(value: int) -> int:
    """Return the two's complement reading of an unsigned 64-bit number: 2**64 - 1 is -1."""
    return value - (1 << 64) if value >= 1 << 63 else value


def read_fields(data: memoryview, budget: FieldBudget) -> Iterator[Field]:
    """Yield the fields of one message in file order, or raise where the bytes are no message.

    Raises:
        ImportModelError: Truncated, a declared length exceeds the message, or an unknown wire type.
    """
    position = 0
    while position < len(data):
        budget.spend()
        key, position = read_varint(data, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise ImportModelError("caffemodel has a field number 0; it is damaged or another file")
        if wire_type == VARINT:
            value, position = read_varint(data, position)
            yield Field(number, wire_type, value)
            continue
        length, position = _payload_length(data, position, wire_type)
        if length > len(data) - position:
            raise ImportModelError(
                f"caffemodel field {number} declares {length} bytes and {len(data) - position} "
                "are left; the file is truncated or damaged"
            )
        yield Field(number, wire_type, data[position : position + length])
        position += length


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return an unsigned 64-bit number and the position behind it."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            raise ImportModelError("caffemodel ends inside a number; the file is truncated")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    raise ImportModelError("caffemodel has a number of more than 10 bytes; the file is damaged")


def _payload_length(data: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == FIXED64:
        return 8, position
    if wire_type == FIXED32:
        return 4, position
    if wire_type == BYTES:
        return read_varint(data, position)
    raise ImportModelError(
        f"caffemodel has wire type {wire_type}; allowed are 0, 1, 2 and 5. "
        "The file is damaged or not a caffemodel"
    )
