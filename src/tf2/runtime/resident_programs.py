"""Which programs lie where in a board's memory, so that each is sent once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tf2.arch.register_map import ARENA_ALIGNMENT
from tf2.errors import DeviceError
from tf2.isa.program import Program


@dataclass(kw_only=True)
class Resident:
    """A program's place.

    Attributes:
        base: Of its arena in memory, a multiple of `ARENA_ALIGNMENT`.
        size: Bytes of its arena.
        digest: SHA-256 of its instructions and filters.
        checked: Whether it is known to be there.
    """

    base: int
    size: int
    digest: bytes
    checked: bool = False


class ResidentPrograms:
    """Places for programs in memory, one behind the other; when it is full, all begin anew.

    Args:
        memory_bytes: Of memory.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._places: dict[bytes, Resident] = {}
        self._free = 0

    def place(self, program: Program) -> Resident:
        """Return the place of a program, a new one where it has none.

        Raises:
            DeviceError: It is larger than memory.
        """
        digest = program_digest(program)
        if digest in self._places:
            return self._places[digest]
        size = program.arena_bytes
        if size > self._memory_bytes:
            raise DeviceError(
                f"the program needs {size:,} bytes of memory, the board has "
                f"{self._memory_bytes:,}; compile a smaller network or take another board"
            )
        if self._free + size > self._memory_bytes:
            self._places, self._free = {}, 0
        found = Resident(base=self._free, size=size, digest=digest)
        self._places[digest] = found
        self._free += -(-size // ARENA_ALIGNMENT) * ARENA_ALIGNMENT
        return found

    def doubt(self) -> None:
        """Have every program checked before it runs again."""
        for place in self._places.values():
            place.checked = False


def program_digest(program: Program) -> bytes:
    """Return the SHA-256 of what a program is in memory, and of where in its arena."""
    digest = hashlib.sha256()
    for number in (program.code_address, program.filters_address, program.arena_bytes):
        digest.update(number.to_bytes(8, "little"))
    digest.update(program.code)
    digest.update(program.filters)
    return digest.digest()
