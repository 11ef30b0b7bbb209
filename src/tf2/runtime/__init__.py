"""The host's side of a board: link, device, recordings, flashing, what is plugged in."""

from tf2.runtime.board_device import BoardDevice
from tf2.runtime.link import ByteStream, Link, OpenLink
from tf2.runtime.recording import RecordingLink, ReplayLink
from tf2.runtime.uart_bone import UartBone

__all__ = [
    "BoardDevice",
    "ByteStream",
    "Link",
    "OpenLink",
    "RecordingLink",
    "ReplayLink",
    "UartBone",
]
