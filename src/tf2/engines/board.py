"""The engine "board": compiled programs on an overlay in a real FPGA."""

from __future__ import annotations

import os
from pathlib import Path

from tf2.engines.array_engines import register_array_engine
from tf2.engines.target import Target
from tf2.errors import EngineError
from tf2.sim.device import Device

DESIGN_FILE = "soc.json"
"""Beside the bitstream; says what is in it."""


def _board(target: Target) -> Device:
    """Return the board that a session names.

    Raises:
        EngineError: It names none.
        DeviceError: It is not there, or is not what it should be.
    """
    if target.board is None:
        raise EngineError(
            "engine 'board' must be told which board: the folder that `tf2 build --board` made "
            f"(with the bitstream and its {DESIGN_FILE}); `tf2 devices` shows what is plugged in"
        )
    if not isinstance(target.board, str | os.PathLike):
        return target.board
    from tf2.runtime.connect import connect  # not every session has a board

    path = Path(target.board)
    design = path / DESIGN_FILE if path.is_dir() else path
    return connect(design, port=target.port, progress=target.progress)


register_array_engine("board", _board)
