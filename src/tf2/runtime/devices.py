"""What is plugged in: serial ports, and the boards that they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tf2.errors import DeviceError
from tf2.runtime.serial_stream import require_serial

USB_IDS: dict[str, tuple[int, int]] = {
    "ulx3s-85f": (0x0403, 0x6015),  # FT231X
    "ecpix5-85f": (
        0x0403,
        0x6010,
    ),  # FT2232H: JTAG first, then the serial line
}
"""Vendor and product of the USB bridge of a board's serial line; other boards have it too."""


@dataclass(frozen=True, kw_only=True)
class SerialPort:
    """A serial port that is there.

    Attributes:
        name: To open it by.
        description: What the system says of it.
        usb: Vendor and product in hexadecimal, or "".
        boards: Boards that it may belong to, by the bridge.
    """

    name: str
    description: str
    usb: str
    boards: tuple[str, ...]


def find_ports() -> tuple[SerialPort, ...]:
    """Return all serial ports, sorted by name.

    Raises:
        MissingExtraError: pyserial is not installed.
    """
    require_serial()
    from serial.tools import list_ports

    return tuple(_port(found) for found in sorted(list_ports.comports(), key=lambda p: p.device))


def find_port(board: str) -> str:
    """Return the serial port of the one board of this kind that is there.

    Raises:
        DeviceError: There is none, or more than one; names what there is.
        MissingExtraError: pyserial is not installed.
    """
    ports = find_ports()
    fitting = [port.name for port in ports if board in port.boards]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DeviceError(
            f"there are several ports that a {board} may be at: {', '.join(fitting)}; say which, "
            "by --port"
        )
    others = ", ".join(f"{port.name} ({port.description})" for port in ports)
    raise DeviceError(
        f"no {board} is plugged in: "
        + (f"the serial ports are {others}; name one by --port" if others else "no serial port")
    )


def _port(found: Any) -> SerialPort:
    known = found.vid is not None and found.pid is not None
    ids = (found.vid, found.pid)
    location = found.location or ""
    boards = tuple(
        board
        for board, usb in USB_IDS.items()
        # Of a bridge with two ports the first, whose interface is 0, is the programmer's.
        if usb == ids and not (board == "ecpix5-85f" and location.endswith(".0"))
    )
    return SerialPort(
        name=found.device,
        description=found.description or "",
        usb=f"{found.vid:04x}:{found.pid:04x}" if known else "",
        boards=boards,
    )
