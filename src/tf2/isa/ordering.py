"""Whether the waits of a program order all that depends on each other.

Loads, layers and stores each run in order on a unit of their own; layers are written one after the
other, and what they do to each other is `isa.overlap`'s to check. So what is known to have finished
when an instruction begins is a count of each kind: those of its waits, and all that was known to
what it waits for. Two instructions of different kinds that touch the same row (or the same bytes of
DDR), one of them writing, must be so ordered, in the order in which they stand in the program.

A wait may only name instructions that stand before it. The first unfinished one can then always go
on, so no program waits forever.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tf2.errors import ProgramError
from tf2.isa.access import Access, access
from tf2.isa.instructions import Instruction, Layer, Load, Store
from tf2.isa.program import Program

LOADS, LAYERS, STORES = range(3)
_KINDS = (Load, Layer, Store)
_NOUNS = ("load", "layer", "store")

Counts = tuple[int, int, int]
"""Of finished loads, layers, stores."""


def check_order(program: Program) -> None:
    """Check waits, rows and the order of all accesses.

    Raises:
        ProgramError: Names both instructions, the row or byte, and the wait that is missing.
    """
    order = _Order(program)
    for instruction in program.instructions:
        if isinstance(instruction, _KINDS):
            order.append(instruction)


@dataclass
class _Kind:
    """What is known of the instructions of one kind so far.

    Attributes:
        instructions: In order.
        finished: What is known to have finished when each has.
        reader: Of each row, the last that reads it, or -1.
        writer: As reader.
        bytes: First and last byte of DDR of each; of transfers.
    """

    reader: NDArray[np.int64]
    writer: NDArray[np.int64]
    instructions: list[Layer | Load | Store] = field(default_factory=list)
    finished: list[Counts] = field(default_factory=list)
    bytes: list[tuple[int, int]] = field(default_factory=list)


class _Order:
    def __init__(self, program: Program) -> None:
        self._config = program.config
        rows = program.config.feature_rows
        self._kinds = [_Kind(reader=np.full(rows, -1), writer=np.full(rows, -1)) for _ in _KINDS]

    def append(self, instruction: Layer | Load | Store) -> None:
        kind = _KINDS.index(type(instruction))
        known = self._known(instruction, kind)
        touched = access(instruction, self._config)
        for other in range(3):
            if other != kind:
                self._check_rows(instruction, touched, other, known)
        if not isinstance(instruction, Layer):
            self._check_bytes(instruction, kind, known)
        own = self._kinds[kind]
        index = len(own.instructions)
        own.reader[touched.reads] = index
        own.writer[touched.writes] = index
        own.instructions.append(instruction)
        own.finished.append(_with(known, kind, index + 1))

    def _known(self, instruction: Layer | Load | Store, kind: int) -> Counts:
        """Return what is known to have finished when the instruction begins."""
        own = self._kinds[kind]
        known = own.finished[-1] if own.finished else (0, 0, 0)
        for other, count in _waits(instruction):
            there = len(self._kinds[other].instructions)
            if not 0 <= count <= there:
                raise ProgramError(
                    f"{_NOUNS[kind]} {instruction.name!r} waits for {count} {_NOUNS[other]}s, but "
                    f"only {there} stand before it"
                )
            if count:
                known = _joined(known, self._kinds[other].finished[count - 1])
        return known

    def _check_rows(
        self, instruction: Instruction, touched: Access, other: int, known: Counts
    ) -> None:
        earlier = self._kinds[other]
        for rows, last, does, did in (
            (touched.reads, earlier.writer, "reads", "writes"),
            (touched.writes, earlier.writer, "writes", "writes"),
            (touched.writes, earlier.reader, "writes", "reads"),
        ):
            late = rows[last[rows] >= known[other]]
            if late.size:
                row = int(late[0])
                self._refuse(instruction, other, int(last[late].max()), known[other],
                             f"{does} row {row}", did)  # fmt: skip

    def _check_bytes(self, transfer: Load | Store, kind: int, known: Counts) -> None:
        size = transfer.rows * self._config.row_beats * self._config.ddr_bytes
        start, end = transfer.address, transfer.address + size
        self._kinds[kind].bytes.append((start, end))
        other = STORES if kind == LOADS else LOADS
        late = np.array(self._kinds[other].bytes[known[other] :]).reshape(-1, 2)
        meets = np.flatnonzero((late[:, 0] < end) & (late[:, 1] > start))
        if meets.size:
            does, did = ("reads", "writes") if kind == LOADS else ("writes", "reads")
            byte = max(start, int(late[meets[0], 0]))
            self._refuse(transfer, other, known[other] + int(meets[-1]), known[other],
                         f"{does} byte {byte} of the arena", did)  # fmt: skip

    def _refuse(
        self, instruction: Instruction, other: int, index: int, known: int, does: str, did: str
    ) -> None:
        kind = _NOUNS[_KINDS.index(type(instruction))]  # type: ignore[arg-type]
        culprit = self._kinds[other].instructions[index]
        raise ProgramError(
            f"{kind} {getattr(instruction, 'name', '')!r} {does}, which {_NOUNS[other]} "
            f"{culprit.name!r} {did}, and does not wait for it: it waits for {known} "
            f"{_NOUNS[other]}s, {index + 1} are needed"
        )


def _waits(instruction: Layer | Load | Store) -> tuple[tuple[int, int], ...]:
    match instruction:
        case Layer():
            return (LOADS, instruction.wait_loads), (STORES, instruction.wait_stores)
        case Load():
            return (LAYERS, instruction.wait_layers), (STORES, instruction.wait_stores)
        case Store():
            return (LAYERS, instruction.wait_layers), (LOADS, instruction.wait_loads)


def _joined(a: Counts, b: Counts) -> Counts:
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])


def _with(counts: Counts, kind: int, count: int) -> Counts:
    changed = list(counts)
    changed[kind] = count
    return changed[0], changed[1], changed[2]
