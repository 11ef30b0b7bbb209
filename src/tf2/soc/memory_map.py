"""What the host must know of a board's design: addresses, and how its memory is woken up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf2.arch import OverlayConfig
from tf2.errors import ConfigError
from tf2.model_file import atomic_write

FORMAT = 1
"""Version of the JSON file."""


@dataclass(frozen=True, kw_only=True)
class MemoryCommand:
    """One step in which the host wakes the DRAM, through LiteDRAM's DFI injector.

    Attributes:
        comment: What it does.
        address: On the DRAM's address lines.
        bank: On its bank lines.
        command: Lines CS, WE, CAS, RAS from bit 0 on; `control` steps drive CKE, ODT, RESET_N
            instead.
        control: Whether `command` goes to the control register.
        delay_cycles: Cycles of the memory clock to wait after it, at least.
    """

    comment: str
    address: int
    bank: int
    command: int
    control: bool
    delay_cycles: int


@dataclass(frozen=True, kw_only=True)
class Leveling:
    """The delays of reading that must be searched, for each byte of the DRAM's data bus.

    Attributes:
        modules: Bytes of the bus.
        bitslips: Values of the coarse delay.
        delays: Values of the fine delay.
    """

    modules: int
    bitslips: int
    delays: int


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """Of one design on one board, as a host sees it over its link.

    Attributes:
        board: Name of the board.
        config: The overlay in it.
        clock_hz: Of the overlay and of the memory controller.
        baud: Of the serial link.
        overlay: Byte address of the overlay's registers.
        memory: Byte address at which the host sees the first byte of DRAM.
        memory_bytes: Of DRAM.
        registers: Byte addresses of the design's own registers, by LiteX's names.
        wake: Steps after which the DRAM answers.
        leveling: The search that follows them, if any.
    """

    board: str
    config: OverlayConfig
    clock_hz: int
    baud: int
    overlay: int
    memory: int
    memory_bytes: int
    registers: Mapping[str, int]
    wake: tuple[MemoryCommand, ...]
    leveling: Leveling | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all."""
        with atomic_write(Path(path)) as file:
            file.write(json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MemoryMap:
        """Return what `save` wrote.

        Raises:
            ConfigError: The file is missing, or is not one of these.
        """
        wanted = "It is the soc.json that `tf2 build --board` writes beside the bitstream"
        try:
            return _from_json(json.loads(Path(path).read_bytes()))
        except OSError as error:
            raise ConfigError(f"{os.fspath(path)}: {error.strerror}. {wanted}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{os.fspath(path)} does not describe the design on a board: {error!r}. {wanted}"
            ) from error


def _from_json(content: dict[str, Any]) -> MemoryMap:
    found = content.pop("format", None)
    if found != FORMAT:
        raise ValueError(f"format {found!r}, this version of tf2 reads {FORMAT}")
    leveling = content["leveling"]
    return MemoryMap(
        **{
            **content,
            "config": OverlayConfig(**content["config"]),
            "wake": tuple(MemoryCommand(**step) for step in content["wake"]),
            "leveling": None if leveling is None else Leveling(**leveling),
        }
    )
