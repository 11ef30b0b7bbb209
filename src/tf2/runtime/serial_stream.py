"""A serial port as a stream of bytes, by pyserial."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import time
from typing import Any

from tf2.errors import DeviceError, MissingExtraError


class SerialStream:
    """A `tf2.runtime.link.ByteStream` over a serial port, which no other program may use meanwhile.

    Args:
        port: As the system names it: /dev/ttyUSB0, COM3.
        baud: Bits a second.

    Raises:
        MissingExtraError: pyserial is not installed.
        DeviceError: The port is absent, busy or may not be opened; says which ports there are.
    """

    def __init__(self, port: str, *, baud: int) -> None:
        require_serial()
        import serial

        self.name = port
        try:
            self._port: Any = serial.Serial(port, baud, timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise DeviceError(_why(port, error)) from error
        with contextlib.suppress(Exception):  # a wish: Linux has it for some drivers only
            self._port.set_low_latency_mode(True)

    def write(self, data: bytes) -> None:
        """Send bytes, all of them."""
        with self._unplugged():
            self._port.write(data)

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return so many bytes, or fewer where no more come in that time."""
        with self._unplugged():
            self._port.timeout = timeout_s
            return self._port.read(size)

    def settle(self, seconds: float) -> None:
        """Wait, and forget what came in until then."""
        with self._unplugged():
            self._port.flush()
            time.sleep(seconds)
            self._port.reset_input_buffer()

    def close(self) -> None:
        """Give the port back."""
        with contextlib.suppress(Exception):  # it may be gone
            self._port.close()

    @contextlib.contextmanager
    def _unplugged(self) -> Any:
        import serial

        try:
            yield
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: pyserial's own
            raise DeviceError(
                f"{self.name}: the board was unplugged or the link broke ({error}); plug it in and "
                "connect again"
            ) from error


def require_serial() -> None:
    """Check that pyserial is there.

    Raises:
        MissingExtraError: It is not.
    """
    if importlib.util.find_spec("serial") is None:
        raise MissingExtraError(extra="boards", need="A serial link to a board (pyserial)")


def _why(port: str, error: Exception) -> str:
    """Say why a port did not open, and what to do."""
    text, number = str(error), getattr(error, "errno", None)
    if number in (errno.EBUSY, errno.EWOULDBLOCK) or "exclusively lock" in text:
        return f"{port} is busy: another program has it open; end that one"
    if number == errno.EACCES:
        return (
            f"{port} may not be opened by this user; on Linux join its group "
            "(sudo usermod -aG dialout $USER) and log in again"
        )
    if number == errno.ENOENT or "could not open port" in text:
        from serial.tools import list_ports

        there = ", ".join(found.device for found in list_ports.comports())
        return f"there is no port {port}; " + (
            f"there are {there}" if there else "no serial port is there: is the board plugged in?"
        )
    return f"{port} cannot be opened: {text}"
