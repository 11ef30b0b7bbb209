"""FPGA boards as data: which part, which memory, which host link."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from tf2.errors import ConfigError
from tf2.platforms.parts import PARTS, Part


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that a complete design can be built for.

    Attributes:
        name: As `--board` takes it.
        part: Name of its FPGA in `PARTS`.
        grade: Speed grade of the FPGA that is on it.
        package: Of the FPGA, as nextpnr names it.
        clock_hz: Of the oscillator.
        memory: What kind of memory it has.
        memory_bytes: Of the memory.
        memory_width_bits: Of the memory's data bus.
        memory_bytes_a_cycle: Peak of the memory in a cycle of the overlay's clock.
        loader: Its name in openFPGALoader.
    """

    name: str
    part: str
    grade: str
    package: str
    clock_hz: int
    memory: Literal["sdr", "ddr3"]
    memory_bytes: int
    memory_width_bits: int
    memory_bytes_a_cycle: int
    loader: str

    @property
    def fpga(self) -> Part:
        """Its FPGA."""
        return PARTS[self.part]


BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        # Ref: github.com/emard/ulx3s; 32 MB of single data rate SDRAM: for bring-up.
        Board(name="ulx3s-85f", part="ecp5-85k", grade="6", package="CABGA381",
              clock_hz=25_000_000, memory="sdr", memory_bytes=32 << 20, memory_width_bits=16,
              memory_bytes_a_cycle=2, loader="ulx3s"),
        # Ref: LambdaConcept ECPIX-5; DDR3L, 16 bits at two words a memory clock,
        # which is twice the overlay's: 8 bytes a cycle.
        Board(name="ecpix5-85f", part="ecp5-um5g-85k", grade="8", package="CABGA554",
              clock_hz=100_000_000, memory="ddr3", memory_bytes=512 << 20, memory_width_bits=16,
              memory_bytes_a_cycle=8, loader="ecpix5"),
    )
}  # fmt: skip
"""The boards, by name."""


def board_of(name: str) -> Board:
    """Return the board of that name.

    Raises:
        ConfigError: There is none; says which there are, and which comes near.
    """
    if name in BOARDS:
        return BOARDS[name]
    near = difflib.get_close_matches(name, BOARDS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ConfigError(f"there is no board {name!r}{hint}; there are {', '.join(BOARDS)}")
