"""Where the host finds what in the overlay's AXI4-Lite registers; 32 bits each."""

from __future__ import annotations

from enum import IntEnum

ID = 0x54463202
"""What the register `Register.ID` reads: "TF2" and the version of this map and of instructions."""

ARENA_ALIGNMENT = 4096
"""The arena begins at a multiple of this many bytes of DDR; the lower bits of its base are 0."""


class Register(IntEnum):
    """Byte addresses. Those of 64 bits are two registers, the lower one first."""

    ID = 0x00
    CONFIG_HASH = 0x04
    CONTROL = 0x08
    STATUS = 0x0C
    INSTRUCTION = 0x10
    IRQ_ENABLE = 0x14
    IRQ_PENDING = 0x18
    ARENA_BASE = 0x20
    ARENA_BYTES = 0x28
    CODE_ADDRESS = 0x30
    FILTERS_ADDRESS = 0x38
    FILTERS_BYTES = 0x40
    WATCHDOG = 0x48
    PROGRAM_HASH = 0x4C
    CYCLES = 0x80
    BUSY = 0x84
    STALL_FILTER = 0x88
    WAITING = 0x8C
    DDR_READ = 0x90
    DDR_WRITE = 0x94
    LAYERS = 0x98
    LOADS = 0x9C
    STORES = 0xA0


CONTROL_START = 1 << 0
CONTROL_ABORT = 1 << 1
"""Stop a run, or clear its error."""

STATUS_BUSY = 1 << 0
STATUS_DONE = 1 << 1
STATUS_ERROR = 1 << 2
STATUS_CODE_SHIFT = 8


class ErrorCode(IntEnum):
    """Why a run stopped: bits 15:8 of the status."""

    BAD_OPCODE = 1
    ADDRESS = 2
    READ = 3
    WRITE = 4
    WATCHDOG = 5
    ROW = 6
