"""An overlay as a design: alone between registers, or in the system of a board."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from tf2.arch import OverlayConfig
from tf2.sim.rtl import overlay_verilog
from tf2.synthesis.design import Design, in_harness, plain_names

Progress = Callable[[str, float], None]


def overlay_design(
    config: OverlayConfig, *, board: str | None, clock_mhz: float | None, progress: Progress
) -> tuple[Design, float | None, bytes | None]:
    """Return a design, the clock that it must meet, and what its host must know (soc.json).

    Args:
        config: Of the overlay.
        board: Name of the board; None: the overlay alone, without a memory map.
        clock_mhz: Asked for; a board has one of its own where None is.
        progress: Told what is being made.

    Raises:
        ConfigError: There is no design for that board.
        MissingExtraError: Amaranth or LiteX is not installed.
    """

    def elaborate(text: str, share: float) -> None:
        progress(f"elaborate: {text}", share)

    if board is None:
        return in_harness(overlay_verilog(config, elaborate), top="overlay"), clock_mhz, None
    from tf2.soc import generate  # LiteX is an extra

    with tempfile.TemporaryDirectory(prefix="tf2-soc-") as name:
        clock_hz = None if clock_mhz is None else round(clock_mhz * 1e6)
        files = generate(board, config, name, clock_hz=clock_hz, progress=elaborate)
        sources = {path.name: _without_comments(path.read_text()) for path in files.verilog}
        # What the Verilog reads at its start.
        sources |= {path.name: path.read_text() for path in Path(name).glob("*.init")}
        design = Design(
            top=files.top, sources=sources, constraints=files.constraints.read_text(), clock="sys"
        )
        return design, files.memory_map.clock_hz / 1e6, files.memory_map_file.read_bytes()


def _without_comments(verilog: str) -> str:
    """Return Verilog without lines of comment: LiteX writes the date, which makes nothing new."""
    return plain_names(re.sub(r"^\s*//.*\n", "", verilog, flags=re.MULTILINE))
