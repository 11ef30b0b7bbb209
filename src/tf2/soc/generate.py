"""From a board's name and an overlay to the files that make its bitstream, or its simulation."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tf2.arch import OverlayConfig
from tf2.errors import ConfigError, MissingExtraError
from tf2.model_file import atomic_write
from tf2.sim.rtl import overlay_verilog
from tf2.soc.memory_map import MemoryMap

if TYPE_CHECKING:
    from tf2.soc.board_designs import BoardDesign, BoardParts

Progress = Callable[[str, float], None]

SOC_BOARDS = ("ecpix5-85f", "ulx3s-85f")
"""Boards of `tf2.platforms.BOARDS` that have a complete design here."""

TOP = "board"
"""Name of the top module."""


@dataclass(frozen=True, kw_only=True)
class SocFiles:
    """A design as files.

    Attributes:
        verilog: All of it.
        constraints: Pins and clocks (LPF).
        top: Name of the top module.
        memory_map: What the host needs.
        memory_map_file: The same, as a file to be kept beside the bitstream.
    """

    verilog: tuple[Path, ...]
    constraints: Path
    top: str
    memory_map: MemoryMap
    memory_map_file: Path


def generate(
    board: str,
    config: OverlayConfig,
    directory: str | os.PathLike[str],
    *,
    clock_hz: int | None = None,
    baud: int | None = None,
    progress: Progress | None = None,
) -> SocFiles:
    """Write the design of a board around an overlay: Verilog, constraints and memory map.

    Args:
        board: One of `SOC_BOARDS`.
        config: Of the overlay.
        directory: Where the files go; made if it is not there.
        clock_hz: Of overlay and memory controller, from which PLL and DRAM timings follow; by
            default what the board's memory is known to work with.
        baud: Of the serial link.
        progress: Told what is being made.

    Raises:
        ConfigError: There is no design for this board.
        MissingExtraError: LiteX or Amaranth is not installed.
    """
    design = _design(board)
    clock_hz, baud = clock_hz or design.clock_hz, baud or design.baud
    folder = Path(directory).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    overlay = folder / "overlay.v"
    with atomic_write(overlay) as file:
        file.write(overlay_verilog(config, progress or _silent).encode())
    if progress:
        progress("LiteX", 0.0)
    with _quiet(folder):
        parts = design.make(clock_hz, baud)
        soc = _soc(parts, clock_hz, config)
        parts.platform.build(soc, build_dir=str(folder), build_name=TOP, run=False)
        found = _memory_map(soc, parts, board=board, config=config, baud=baud)
    design_file = folder / f"{TOP}.v"
    design_file.write_text(_without_comments(design_file.read_text()))
    for script in (f"{TOP}.ys", f"build_{TOP}.sh"):  # LiteX's own way to a bitstream
        (folder / script).unlink(missing_ok=True)
    kept = folder / "soc.json"
    found.save(kept)
    return SocFiles(
        verilog=(design_file, overlay), constraints=folder / f"{TOP}.lpf", top=TOP,
        memory_map=found, memory_map_file=kept,
    )  # fmt: skip


def simulated(
    board: str, config: OverlayConfig, *, progress: Progress | None = None
) -> tuple[str, MemoryMap]:
    """Return the Verilog of a board's design with a simulated memory, and its memory map.

    Its top module `board` has the ports sys_clk, sys_rst and serial_{source,sink}_{valid,ready,
    data}: bytes to and from the host.

    Raises:
        ConfigError: There is no design for this board.
        MissingExtraError: LiteX or Amaranth is not installed.
    """
    design = _design(board)
    overlay = overlay_verilog(config, progress or _silent)
    from tf2.soc.simulated_board import simulated_parts

    with _quiet(Path.cwd()):
        parts = simulated_parts(design, design.clock_hz)
        soc = _soc(parts, design.clock_hz, config)
        fragment = soc.get_fragment()
        parts.platform.finalize(fragment)
        text = _without_comments(str(parts.platform.get_verilog(fragment, name=TOP)))
        found = _memory_map(soc, parts, board=board, config=config, baud=design.baud)
    return f"{text}\n{overlay}", found


def _design(board: str) -> BoardDesign:
    """Return how the board's design is made, where LiteX is there to do it."""
    if board not in SOC_BOARDS:
        raise ConfigError(
            f"there is no design for the board {board!r}; there is one for {', '.join(SOC_BOARDS)}"
        )
    for package in ("litex", "litedram", "liteeth", "litex_boards"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(extra="boards", need=f"The design of a board ({package})")
    with _quiet(Path.cwd()):
        from tf2.soc.board_designs import DESIGNS
    return DESIGNS[board]


def _soc(parts: BoardParts, clock_hz: int, config: OverlayConfig):
    from tf2.soc.overlay_soc import OverlaySoc

    return OverlaySoc(
        parts.platform, clock_hz, crg=parts.crg, phy=parts.phy, module=parts.module,
        serial=parts.serial, config=config,
    )  # fmt: skip


def _memory_map(soc, parts: BoardParts, **known) -> MemoryMap:
    from tf2.soc.overlay_soc import memory_map

    return memory_map(soc, module=parts.module, **known)


def _without_comments(verilog: str) -> str:
    """Leave out date and hierarchy, which differ each time: equal designs are equal texts."""
    return re.sub(r"/\*.*?\*/|^\s*//.*?\n", "", verilog, flags=re.DOTALL | re.MULTILINE)


def _silent(stage: str, share: float) -> None:
    """Tell nobody."""


@contextmanager
def _quiet(folder: Path) -> Iterator[None]:
    """Keep LiteX from talking, and from staying in the folder that it changes to."""
    before, root = logging.root.manager.disable, logging.getLogger()
    handlers, here = list(root.handlers), Path.cwd()
    logging.disable(logging.WARNING)
    try:
        os.chdir(folder)
        yield
    finally:
        os.chdir(here)
        logging.disable(before)
        root.handlers[:] = handlers  # importing LiteX adds one
