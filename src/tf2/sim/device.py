"""What every overlay offers, simulated or on a board: run a program over an arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tf2.arch import OverlayConfig
from tf2.arch.register_map import ErrorCode
from tf2.errors import ProgramError
from tf2.isa.instructions import Layer
from tf2.isa.program import Program


@dataclass(frozen=True)
class Counters:
    """What the overlay counted from the start of a run on.

    Attributes:
        cycles: Clock cycles.
        busy: Cycles in which the array was issued a filter word.
        stall_filter: Cycles in which it waited for one.
        waiting: Cycles without a layer: waiting for loads, stores or instructions.
        ddr_read_beats: Beats read, instructions and filters included.
        ddr_write_beats: Beats written.
    """

    cycles: int = 0
    busy: int = 0
    stall_filter: int = 0
    waiting: int = 0
    ddr_read_beats: int = 0
    ddr_write_beats: int = 0

    def since(self, earlier: Counters) -> Counters:
        """Return what was counted after `earlier`."""
        return Counters(
            **{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)}
        )

    def plus(self, more: Counters) -> Counters:
        """Return both together."""
        return Counters(
            **{f.name: getattr(self, f.name) + getattr(more, f.name) for f in fields(self)}
        )


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """One layer of a run.

    Attributes:
        name: Of the layer.
        end: Cycle in which it was completely written, counted from the start of the run.
        spent: From the end of the layer before it (the start of the run) to its own end.
    """

    name: str
    end: int
    spent: Counters


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run took; nothing where a device does not count cycles.

    Attributes:
        total: Of the whole run.
        layers: In the order in which they ran.
    """

    total: Counters | None = None
    layers: tuple[LayerRecord, ...] = ()

    @property
    def cycles(self) -> int | None:
        """Cycles from the start to the interrupt."""
        return None if self.total is None else self.total.cycles


class Device(Protocol):
    """An overlay that runs programs compiled for its configuration."""

    config: OverlayConfig

    def run(self, program: Program, arena: NDArray[np.uint8]) -> RunReport:
        """Run a program; its outputs are then in the arena.

        Args:
            program: What to run.
            arena: `Program.arena` with the inputs in place; changed.

        Raises:
            ProgramError: The program was made for another configuration, or breaks a rule.
            DeviceError: The device reports an error or does not answer.
        """
        ...


def check_target(program: Program, arena: NDArray[np.uint8], config: OverlayConfig) -> None:
    """Check that a device of this configuration may be given the program and the arena.

    Raises:
        ProgramError: It may not.
    """
    if program.config.hash != config.hash:
        raise ProgramError(
            f"the program was made for the overlay {program.config.name!r} "
            f"({program.config.hash:08x}), this one is {config.name!r} ({config.hash:08x}); "
            "compile it again"
        )
    if arena.dtype != np.uint8 or arena.shape != (program.arena_bytes,):
        raise ProgramError(
            f"the arena holds {arena.shape} {arena.dtype}; it must be {program.arena_bytes} bytes"
        )
    if not arena.flags.c_contiguous or not arena.flags.writeable:
        raise ProgramError("the arena must be contiguous and writeable")


_CAUSES = {
    ErrorCode.BAD_OPCODE: "it met an instruction that does not exist",
    ErrorCode.ADDRESS: "an address lies outside of the arena",
    ErrorCode.READ: "the memory answered a read with an error",
    ErrorCode.WRITE: "the memory answered a write with an error",
    ErrorCode.WATCHDOG: "nothing moved for as long as the watchdog allows: the memory is silent, "
    "or the program waits for what never comes",
    ErrorCode.ROW: "a row lies outside of the Feature Buffer",
}


def stop_cause(code: int) -> str:
    """Return what the overlay's error code means, for a message."""
    return _CAUSES[ErrorCode(code)] if code in set(ErrorCode) else "for a reason unknown"


def stop_place(layers: Sequence[str], done: int) -> str:
    """Return where a run stopped, for a message, from its layers' names and how many were done."""
    if done < len(layers):
        return f"layer {layers[done]!r}"
    return f"after the last layer ({layers[-1]!r})" if layers else "a program without layers"


def layer_records(program: Program, marks: Sequence[Counters]) -> tuple[LayerRecord, ...]:
    """Return the records of layers that ended at these counts, all from the start of the run."""
    names = (i.name for i in program.instructions if isinstance(i, Layer))
    before = (Counters(), *marks)
    return tuple(
        LayerRecord(name=name, end=mark.cycles, spent=mark.since(last))
        for name, mark, last in zip(names, marks, before, strict=False)  # fewer marks after errors
    )
