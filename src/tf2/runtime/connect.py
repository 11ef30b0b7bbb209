"""From the files of a build and what is plugged in to a device."""

from __future__ import annotations

import os
from collections.abc import Callable

from tf2.runtime.board_device import TIMEOUT_S, BoardDevice
from tf2.runtime.devices import find_port
from tf2.runtime.link import Link
from tf2.runtime.serial_stream import SerialStream
from tf2.runtime.uart_bone import UartBone
from tf2.soc.memory_map import MemoryMap


def connect(
    design: str | os.PathLike[str],
    *,
    port: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Callable[[str, float], None] | None = None,
) -> BoardDevice:
    """Return the board that a bitstream was loaded into.

    Args:
        design: The ``soc.json`` that was built with the bitstream.
        port: Serial port; by default the one port of such a board that is there.
        timeout_s: Time after which a run is given up.
        progress: Told what is being done.

    Raises:
        ConfigError: The file does not describe a design.
        DeviceError: There is no board, more than one, or it is not this design.
        MissingExtraError: pyserial is not installed.
    """
    found = MemoryMap.load(design)

    def open_link() -> Link:
        name = port or find_port(found.board)
        return UartBone(SerialStream(name, baud=found.baud), baud=found.baud)

    return BoardDevice(found, open_link, timeout_s=timeout_s, progress=progress)
